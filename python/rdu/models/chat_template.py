"""Chat templates, in a sandbox: they come with a stranger's model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from rdu.errors import TokenizerError
from rdu.models.extras import LLM, needs


class ChatTemplate:
    """A Jinja template as Hugging Face models carry it.

    Parameters
    ----------
    source : str
        The template's text.
    place : str
        Where it was found, for messages.
    tokens : mapping
        ``bos_token``, ``eos_token`` and such, as the template may use them.
    """

    def __init__(self, source: str, place: str, tokens: Mapping[str, str] | None = None) -> None:
        self.source = source
        self.place = place
        self.tokens = dict(tokens or {})

    def render(self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """The prompt text; `TokenizerError` if the template is damaged or refuses the messages."""
        with needs(LLM):
            import jinja2
            from jinja2.sandbox import ImmutableSandboxedEnvironment

        def raise_exception(message: str) -> None:
            raise jinja2.TemplateError(message)

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _tojson
        environment.globals.update(
            raise_exception=raise_exception, strftime_now=lambda form: datetime.now().strftime(form)
        )
        try:
            return environment.from_string(self.source).render(
                messages=[dict(message) for message in messages],
                add_generation_prompt=add_generation_prompt,
                tools=None,
                documents=None,
                **self.tokens,
            )
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise TokenizerError(f"{self.place}: the chat template fails: {error or type(error).__name__}") from error
        except RecursionError as error:
            raise TokenizerError(f"{self.place}: the chat template fails: it calls itself without end") from error


def _tojson(value: object, ensure_ascii: bool = False, indent: int | None = None, sort_keys: bool = False) -> str:
    # jinja2's own filter escapes < > & for HTML, which a prompt must not have
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, sort_keys=sort_keys)
