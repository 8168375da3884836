"""Pass 1, fuse: cut the graph into regions; each region becomes one kernel call."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import chain

from rdu.errors import CompileError
from rdu.graph import Graph, Operator, Tensor

LEVELS = ("op", "layer", "loop")


@dataclass(frozen=True, eq=False)
class Stretch:
    """Operators that a kernel runs once, or in a loop: ``layers`` of them, alike in all but their weights.

    From one layer of a loop to the next goes one tensor: ``carried`` is what the first layer takes, ``result`` what the
    last one makes.
    """

    bodies: tuple[tuple[Operator, ...], ...]
    carried: Tensor | None = None
    result: Tensor | None = None

    @property
    def operators(self) -> tuple[Operator, ...]:
        """Those of the first layer, which stand for all."""
        return self.bodies[0]

    @property
    def layers(self) -> int:
        """Times that the operators run."""
        return len(self.bodies)


@dataclass(frozen=True, eq=False)
class Region:
    """Operators of one kernel call; ``inputs`` and ``outputs`` cross its border through HBM."""

    name: str
    stretches: tuple[Stretch, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def operators(self) -> tuple[Operator, ...]:
        """All operators, those of a loop once."""
        return tuple(chain.from_iterable(stretch.operators for stretch in self.stretches))

    @property
    def tail(self) -> tuple[Operator, ...]:
        """Operators after the last that keeps rows of a sequence: they need only its last position."""
        keeps = [any(op.kind == "attention" for op in stretch.operators) for stretch in self.stretches]
        after = len(keeps) - keeps[::-1].index(True) if any(keeps) else len(keeps)
        return tuple(chain.from_iterable(stretch.operators for stretch in self.stretches[after:]))

    @property
    def loops(self) -> tuple[Stretch, ...]:
        """The stretches that repeat."""
        return tuple(stretch for stretch in self.stretches if stretch.layers > 1)

    @property
    def signature(self) -> Hashable:
        """Equal for regions that one kernel can serve: same operators, wiring and shapes, whatever the names."""
        number = {id(tensor): at for at, tensor in enumerate(self.inputs)}
        for stretch in self.stretches:
            for op in stretch.operators:
                number[id(op.output)] = len(number)
            if stretch.result is not None:
                number[id(stretch.result)] = len(number)
        return (
            tuple(tensor.width for tensor in self.inputs),
            tuple(
                (stretch.layers, tuple(_alike(op, number) for op in stretch.operators)) for stretch in self.stretches
            ),
            tuple(number[id(tensor)] for tensor in self.outputs),
        )


def _alike(op: Operator, number: dict[int, int]) -> Hashable:
    return (
        op.kind,
        tuple(number[id(tensor)] for tensor in op.inputs),
        op.output.width,
        tuple((weight.shape, weight.held) if weight else None for weight in op.weights),
        op.group,
        op.eps,
        op.attention,
    )


def fuse(graph: Graph, level: str, collective: str = "streamed") -> list[Region]:
    """Regions in the order of their calls.

    ``op`` makes every operator a region; ``layer`` every stretch of operators of one block; ``loop`` makes one region
    of blocks that follow each other and are alike. A sum over sockets is how an operator is divided, and streams out of
    its region, unless ``collective`` is "kernel".
    """
    if level not in LEVELS:
        raise CompileError(f"fusion is {level!r}; choose one of {', '.join(LEVELS)}")
    groups: list[list[Operator]] = []
    for op in graph.operators:
        if op.kind == "input":
            continue
        streamed = op.kind == "all_reduce" and collective == "streamed"
        if groups and groups[-1][0].block == op.block and (level != "op" or streamed):
            groups[-1].append(op)
        else:
            groups.append([op])
    if not groups:
        raise CompileError("the graph has no operators")
    if not graph.outputs:
        raise CompileError("the graph has no outputs; call graph.output(tensor)")
    uses = _Uses(graph)
    for op in graph.operators:
        if op.kind == "input" and not uses.takers(op.output):
            raise CompileError(f"input {op.name!r} is read by no operator; drop it")
    regions = [_region(uses, group) for group in groups]
    return _looped(regions) if level == "loop" else regions


def merged(regions: list[Region]) -> Region:
    """One region of all: what a call needs that has the same positions everywhere."""
    made = {id(op.output) for region in regions for stretch in region.stretches for op in chain(*stretch.bodies)}
    inputs: dict[int, Tensor] = {}
    taken: set[int] = set()
    for region in regions:
        for tensor in region.inputs:
            taken.add(id(tensor))
            if id(tensor) not in made:
                inputs.setdefault(id(tensor), tensor)
    outputs = tuple(tensor for region in regions for tensor in region.outputs if id(tensor) not in taken)
    kept = tuple(tensor for region in regions for tensor in region.outputs if tensor in outputs)
    return Region("loop", tuple(s for region in regions for s in region.stretches), tuple(inputs.values()), kept)


class _Uses:
    """Who takes each tensor of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._takers: dict[int, list[Operator]] = {}
        for op in graph.operators:
            for tensor in op.inputs:
                self._takers.setdefault(id(tensor), []).append(op)
        self._results = {id(tensor) for tensor in graph.outputs}

    def takers(self, tensor: Tensor) -> list[Operator]:
        return self._takers.get(id(tensor), [])

    def crosses(self, tensor: Tensor, group: Iterable[int]) -> bool:
        """Whether somebody outside of ``group`` (operators by identity) needs the tensor."""
        return id(tensor) in self._results or any(id(op) not in group for op in self.takers(tensor))


def _region(uses: _Uses, group: list[Operator]) -> Region:
    mine = {id(op) for op in group}
    made = {id(op.output) for op in group}
    inputs: dict[int, Tensor] = {}
    for op in group:
        for tensor in op.inputs:
            if id(tensor) not in made:
                inputs.setdefault(id(tensor), tensor)
        if not uses.takers(op.output) and not uses.crosses(op.output, mine):
            raise CompileError(f"tensor {op.name!r} is never used; make it an output or drop its operator")
    outputs = tuple(op.output for op in group if uses.crosses(op.output, mine))
    name = group[0].block or (group[0].name if len(group) == 1 else "graph")
    return Region(name, (Stretch((tuple(group),)),), tuple(inputs.values()), outputs)


def _looped(regions: list[Region]) -> list[Region]:
    """Runs of regions that are alike and hand one tensor on, each run made one region."""
    found: list[Region] = []
    at = 0
    while at < len(regions):
        end = at + 1
        while end < len(regions) and _follows(regions[end - 1], regions[end]):
            end += 1
        run = regions[at:end]
        found.append(run[0] if len(run) == 1 else _loop(run))
        at = end
    return found


def _follows(before: Region, after: Region) -> bool:
    hands_on = len(before.inputs) == 1 and before.outputs == after.inputs and len(after.outputs) == 1
    return hands_on and before.inputs[0].width == after.outputs[0].width and before.signature == after.signature


def _loop(run: list[Region]) -> Region:
    stretch = Stretch(tuple(region.operators for region in run), run[0].inputs[0], run[-1].outputs[0])
    head, _, number = run[0].name.rpartition(".")
    return Region(head if number.isdigit() else run[0].name, (stretch,), run[0].inputs, run[-1].outputs)
