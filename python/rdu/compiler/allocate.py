"""Pass 2, allocate: PCUs and PMUs per operator so that the pipeline balances; a place in memory for every weight."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from rdu.compiler.formats import VECTOR_BYTES, Format, chunks, lanes, row_bytes
from rdu.compiler.fuse import Region
from rdu.errors import CompileError
from rdu.graph import Operator
from rdu.machine import Machine

# A sum is split over at most this many units: three levels of a PCU's reduction tree.
MOST_SPLITS = 8
ALIGNMENT_BYTES = 256


@dataclass(frozen=True)
class Linear:
    """How one linear operator is spread: ``units`` side by side over its tiles, each sum cut into ``splits`` parts.

    Unit (s, u) holds part s of tiles u, u + units, u + 2 units, ...
    """

    tiles: int
    inner: int
    units: int
    splits: int

    @property
    def macs(self) -> int:
        """PCUs that multiply."""
        return self.units * self.splits

    @property
    def vectors_per_unit(self) -> int:
        """Weight vectors that the busiest unit takes."""
        return -(-self.tiles // self.units) * -(-self.inner // self.splits)


@dataclass
class Allocation:
    """The choices for one region, the same for every number of positions (they fix the order of addition)."""

    linears: dict[str, Linear] = field(default_factory=dict)
    weight_offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    weight_bytes: int = 0
    buffer_vectors: dict[str, int] = field(default_factory=dict)


def pmus_for(machine: Machine, byte_count: int) -> int:
    """PMUs that hold this many bytes; at least one."""
    return max(1, -(-byte_count // machine.pmu.capacity_bytes))


def allocate(region: Region, machine: Machine, form: Format, positions: int, context: int) -> Allocation:
    """Spread ``region`` over the machine so that ``positions`` rows and ``context`` cached rows fit.

    Raises
    ------
    CompileError
        Names the resource, how much is missing, and what would help.
    """
    result = Allocation()
    _place_weights(region, form, result)
    fixed = [_fixed(op, machine, form, positions, context) for op in region.operators]
    fixed_pcus, fixed_pmus = (sum(counts) for counts in zip(*fixed, strict=True))
    linears = [op for op in region.operators if op.kind == "linear"]
    if not linears:
        _check(region, machine, fixed_pcus, fixed_pmus)
        return result
    shapes = {op.name: _shape(op, form) for op in linears}
    most = machine.mapping.weight_buffer_vectors
    per_pmu = machine.pmu.capacity_bytes // VECTOR_BYTES
    vectors = max(1, sum(tiles * inner for tiles, inner in shapes.values()) // machine.total_pcus)
    largest = max(tiles * inner for tiles, inner in shapes.values())
    while True:
        chosen = {name: _spread(tiles, inner, vectors, lanes(form.operand)) for name, (tiles, inner) in shapes.items()}
        buffers = {name: min(linear.vectors_per_unit, most) for name, linear in chosen.items()}
        pcus = fixed_pcus + sum(linear.macs for linear in chosen.values())
        held = {
            name: -(-chunks(linear.inner, form.operand) // linear.splits) * positions for name, linear in chosen.items()
        }
        pmus = fixed_pmus + sum(
            linear.macs * -(-(buffers[name] + held[name]) // per_pmu) for name, linear in chosen.items()
        )
        if pcus <= machine.total_pcus and pmus <= machine.total_pmus:
            result.linears, result.buffer_vectors = chosen, buffers
            return result
        if vectors >= largest:
            _check(region, machine, pcus, pmus)
        vectors = vectors + max(1, vectors // 20)


def _shape(op: Operator, form: Format) -> tuple[int, int]:
    weight = op.weights[0]
    assert weight is not None
    outer, inner = weight.shape
    return chunks(outer, form.operand), inner


def _spread(tiles: int, inner: int, vectors: int, width: int) -> Linear:
    """As few units as leave each at most ``vectors`` weight vectors (as far as splitting goes)."""
    if inner <= vectors:
        rounds = -(-tiles // -(-tiles // (vectors // inner)))
        return Linear(tiles, inner, -(-tiles // rounds), 1)
    splits = 1
    while splits < MOST_SPLITS and inner > vectors * splits and splits * 2 <= -(-inner // width):
        splits *= 2
    return Linear(tiles, inner, tiles, splits)


def _fixed(op: Operator, machine: Machine, form: Format, positions: int, context: int) -> tuple[int, int]:
    """(PCUs, PMUs) of the units that an operator has beside its macs."""
    pmus = partial(pmus_for, machine)
    row = row_bytes(op.output.width, "f32") * positions
    if op.kind == "attention":
        assert op.attention is not None
        a = op.attention
        rows = a.heads // a.kv_heads * positions
        q, kv = row, row_bytes(a.kv_heads * a.head_dim, "f32") * positions
        seen = context if a.window is None else min(context, a.window + positions)
        scores = rows * 4 * seen
        cached = pmus(machine.mapping.weight_buffer_vectors * VECTOR_BYTES)
        # The three aligners, then per cached head: dot, softmax and mix, each with what it holds; at last the flatten.
        return 4 + 3 * a.kv_heads, pmus(q) + 2 * pmus(kv) + a.kv_heads * (2 + pmus(scores) + 2 * cached) + pmus(row)
    if op.kind in ("add", "mul", "silu", "silu_mul"):
        return 1, len(op.inputs) * pmus(row)
    # A linear operator may need its input rounded first: one more PCU.
    return 2 if op.kind == "linear" else 1, pmus(row)


def _place_weights(region: Region, form: Format, result: Allocation) -> None:
    for op in region.operators:
        for at, weight in enumerate(op.weights):
            if weight is None:
                continue
            if op.kind == "rows":
                size = weight.shape[0] * row_bytes(weight.shape[1], form.operand)
            elif len(weight.shape) == 2:
                size = chunks(weight.shape[0], form.operand) * weight.shape[1] * VECTOR_BYTES
            else:
                size = row_bytes(weight.shape[0], form.operand)
            result.weight_offsets[(op.name, at)] = result.weight_bytes
            result.weight_bytes += -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _check(region: Region, machine: Machine, pcus: int, pmus: int) -> None:
    for what, need, have in (("PCUs", pcus, machine.total_pcus), ("PMUs", pmus, machine.total_pmus)):
        if need > have:
            raise CompileError(
                f"kernel {region.name!r} needs {need} {what}, machine {machine.name!r} has {have}: "
                f"{need - have} too many; "
                f"fewer positions per call (mapping.prefill_block), a shorter context, a smaller "
                f"mapping.weight_buffer_vectors or fusion='op' would help"
            )
