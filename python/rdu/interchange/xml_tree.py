"""XML of strangers as a small tree with line numbers; whatever makes a parser unsafe is refused.

The standard library's expat reads it. No document type, hence no entities and no outside files; bounded size, depth and
number of elements.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from ..errors import GraphError
from .sequences import shown

# A graph of 100 000 actors takes about 50 MB.
MOST_BYTES = 1 << 28
MOST_ELEMENTS = 1 << 22
MOST_DEPTH = 64
# Attributes and elements of this namespace are rdu's own; those of others (xsi, for one) say nothing here.
NAMESPACE = "urn:rdu:sdf3:1"


@dataclass(eq=False, slots=True)
class Element:
    """An element: its name without namespace (``"rdu:…"`` for rdu's own), its attributes likewise, and its place."""

    name: str
    attributes: dict[str, str]
    file: str
    line: int
    children: list[Element] = field(default_factory=list)

    @property
    def place(self) -> str:
        """What a message begins with: file, line and element."""
        named = f" {shown(self.attributes['name'])}" if "name" in self.attributes else ""
        return f"{self.file}, line {self.line}, <{self.name}>{named}"

    def all(self, name: str) -> list[Element]:
        """The children of this name."""
        return [child for child in self.children if child.name == name]

    def optional(self, name: str) -> Element | None:
        """The child of this name, if there is one; two are an error."""
        found = self.all(name)
        if len(found) > 1:
            raise GraphError(f"{found[1].place}: a second one; <{self.name}> has room for one")
        return found[0] if found else None

    def one(self, name: str) -> Element:
        """The child of this name, which must be there."""
        found = self.optional(name)
        if found is None:
            raise GraphError(f"{self.place} has no <{name}>; add one")
        return found

    def text(self, attribute: str) -> str:
        """An attribute that must be there and not be empty."""
        value = self.attributes.get(attribute)
        if value is None:
            raise GraphError(f'{self.place} has no attribute {attribute!r}; write {attribute}="..."')
        if not value:
            raise GraphError(f"{self.place}: attribute {attribute!r} is empty")
        return value


def parse(text: bytes, file: str, encoding: str | None = None) -> Element:
    """The root element of a document; ``encoding`` overrides what the document says of itself."""
    if len(text) > MOST_BYTES:
        raise GraphError(f"{file} has {len(text)} bytes; rdu reads at most {MOST_BYTES}")
    # Between namespace and name expat puts a space, which neither can hold.
    parser = expat.ParserCreate(encoding, namespace_separator=" ")
    reader = _Reader(parser, file)
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise GraphError(f"{file}, line {error.lineno}, column {error.offset + 1}: no XML: {reason}") from None
    except (ValueError, LookupError) as error:
        # An encoding that Python does not know, or one of several bytes a character.
        raise GraphError(f"{file}: {error}; save it as UTF-8") from None
    # Without a root element expat raises, so there is one.
    return reader.open[0]


class _Reader:
    def __init__(self, parser: expat.XMLParserType, file: str) -> None:
        self.parser = parser
        self.file = file
        # From the root down to the element being read; the root stays.
        self.open: list[Element] = []
        self.depth = 0
        self.elements = 0

    def refuse(self, name: str, *_: object) -> None:
        line = self.parser.CurrentLineNumber
        raise GraphError(f"{self.file}, line {line}: <!DOCTYPE {name}> is refused: SDF3 needs none; take it out")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        self.depth += 1
        line = self.parser.CurrentLineNumber
        if self.elements > MOST_ELEMENTS:
            raise GraphError(f"{self.file}, line {line}: more than {MOST_ELEMENTS} elements, more than rdu reads")
        if self.depth > MOST_DEPTH:
            raise GraphError(f"{self.file}, line {line}: more than {MOST_DEPTH} elements inside each other")
        known = {short: value for key, value in attributes.items() if (short := _short(key, foreign=False))}
        element = Element(_short(name, foreign=True), known, self.file, line)
        if self.depth > 1:
            self.open[self.depth - 2].children.append(element)
        self.open[self.depth - 1 :] = [element]

    def end(self, _: str) -> None:
        self.depth -= 1


def _short(name: str, foreign: bool) -> str:
    """A name as `Element` has it; one of another namespace without it, or "" if ``foreign`` is false."""
    space, _, local = name.rpartition(" ")
    if space == NAMESPACE:
        return f"rdu:{local}"
    return local if foreign or not space else ""
