"""Pass 2, allocate: PCUs and PMUs per operator so that the pipeline balances; a place in memory for every weight."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from rdu.compiler.allocation import Allocation, Attend, Linear, Wave, granule_bytes, pmus_for, whole
from rdu.compiler.formats import VECTOR_BYTES, Format, chunks, element_bytes, lanes, row_bytes
from rdu.compiler.fuse import Region
from rdu.errors import CompileError
from rdu.graph import Attention, Operator
from rdu.machine import Machine
from rdu.machine.sections import Mapping

# Where a linear operator's scales stand behind its weights: 0 weight, 1 bias.
SCALES = 2


def allocate(
    region: Region,
    machine: Machine,
    form: Format,
    positions: int,
    context: int,
    batch: int = 1,
    like: Allocation | None = None,
) -> Allocation:
    """Spread ``region`` over the machine so that ``positions`` rows and ``context`` cached rows fit.

    With ``like``, sums are cut as they are there, and the weights of both lie in the same place.

    Raises
    ------
    CompileError
        Names the resource, how much is missing, and what would help.
    """
    result = Allocation(granule_bytes(machine))
    mapping = machine.mapping
    # What is not linear works on so many sequences of a batch at once.
    result.width = max(1, min(batch, int(machine.total_pcus * mapping.batch_share / len(region.operators))))
    linears = [op for op in region.operators if op.kind == "linear"]
    # Alone in a kernel, the first that leaves room for what comes and goes.
    alone = [mapping.attention_share_alone * thirds / 3 for thirds in (3, 2, 1)]
    for share in (mapping.attention_share,) if linears else alone:
        _spread_attention(region, machine, form, context, batch, share, result)
        fixed = list(fixed_units(region, machine, form, positions, context, result))
        fixed_pcus, fixed_pmus = (sum(counts) for counts in zip(*fixed, strict=True))
        if fixed_pcus <= machine.total_pcus and fixed_pmus <= machine.total_pmus:
            break
    if not linears:
        place_weights(region, form, result, like)
        check_budget(region, machine, fixed_pcus, fixed_pmus)
        return result
    one = {op.name: one_lane(op, form) for op in linears}
    repeats = {op.name: stretch.layers for stretch in region.stretches for op in stretch.operators}
    # Operators wait for each other, so their times add up: the sum is least when units go by the root of the work.
    work = {name: linear.work for name, linear in one.items()}
    scale = sum(math.sqrt(work[name] * repeats[name]) for name in work) / machine.total_pcus
    splits = {name: linear.splits for name, linear in like.linears.items()} if like else {}
    while True:
        targets = {name: max(1, int(scale * math.sqrt(work[name] / repeats[name]))) for name in work}
        chosen = {name: _spread(one[name], targets[name], mapping, splits.get(name)) for name in work}
        # A gather takes a vector of each part of a sum in a cycle; it is counted as wide as other units so far.
        pcus = fixed_pcus + sum(linear.macs + max(0, linear.ports - result.width) for linear in chosen.values())
        if pcus <= machine.total_pcus:
            # How sums are cut must not depend on the positions of a call, which the SRAM may have to make room for.
            splits = splits or {name: linear.splits for name, linear in chosen.items()}
            buffers = {name: _buffered(machine, linear, positions) for name, linear in chosen.items()}
            pmus = fixed_pmus + sum(
                linear_pmus(machine, linear, buffers[name], positions) for name, linear in chosen.items()
            )
            if pmus <= machine.total_pmus:
                result.linears, result.buffer_vectors = chosen, buffers
                place_weights(region, form, result, like)
                return result
        if all(targets[name] >= work[name] for name in work):
            check_budget(region, machine, pcus, pmus if splits else 0)
        scale *= 1.05


def _buffered(machine: Machine, linear: Linear, positions: int) -> int:
    """Vectors that a lane may hold ahead; the activations beside them come out of the same PMUs."""
    most = ahead(machine, linear.macs)
    room = pmus_for(machine, most * VECTOR_BYTES) * machine.pmu.capacity_bytes // VECTOR_BYTES
    return min(linear.vectors_per_unit, most, max(room - linear.held_chunks * positions, room // 2, 1))


def ahead(machine: Machine, takers: int) -> int:
    """Vectors that each of so many buffers side by side has room for: what the mapping gives it, and where a PMU holds
    that, its share of what is under way.
    """
    share = min(math.ceil(vectors_under_way(machine) / takers), machine.pmu.capacity_bytes // VECTOR_BYTES)
    return max(machine.mapping.weight_buffer_vectors, share)


def vectors_under_way(machine: Machine) -> float:
    """What HBM sends between a request and its answer, which may have to wait for a refresh."""
    return machine.hbm.peak_gbps * (machine.hbm.network_ns + machine.hbm.refresh_ns) / VECTOR_BYTES


def hbm_vectors_per_cycle(machine: Machine) -> float:
    """What HBM gives at its peak."""
    return machine.hbm.peak_gbps / (machine.clock_ghz * VECTOR_BYTES)


def linear_pmus(machine: Machine, linear: Linear, buffered: int, positions: int) -> int:
    """PMUs beside the macs: weights that are ahead, and the activations that the macs multiply by."""
    held = linear.held_chunks * positions
    return linear.macs * pmus_for(machine, (buffered + held) * VECTOR_BYTES)


def prompt_pmus(machine: Machine, linear: Linear, buffered: int, rows: int) -> tuple[int, int]:
    """PMUs of a linear operator in a prompt: beside the macs (weights, and activations that are just met), and of the
    unit that keeps a wave of activations while the next one comes.
    """
    rows *= linear.taken
    beside = max(linear.macs, pmus_for(machine, linear.macs * (buffered + 2 * rows) * VECTOR_BYTES))
    return beside, max(linear.splits, pmus_for(machine, 2 * linear.chunks * rows * VECTOR_BYTES))


def one_lane(op: Operator, form: Format) -> Linear:
    """A linear operator that is not spread."""
    weight = op.weights[0]
    assert weight is not None
    outer, inputs = weight.shape
    form, width = form.of(weight), form.width
    return Linear(-(-outer // width), form.vectors(inputs), 1, 1, width, form.chunk, width // lanes(form.activation))


def _spread(linear: Linear, vectors: int, mapping: Mapping, splits: int | None = None) -> Linear:
    """As few units as leave each at most ``vectors`` weight vectors (as far as splitting goes)."""
    if splits is None:
        splits = 1
        while splits < mapping.most_splits and linear.inner > vectors * splits:
            if not _divides(linear.chunks, splits * 2, mapping.split_padding):
                break
            splits *= 2
    tiles, part = linear.tiles, replace(linear, splits=splits).part
    # Of about as many rounds, those that leave least of the last one empty.
    most = min(tiles, max(1, vectors // part))
    rounds = min(range(most, (most - 1) // 2, -1), key=lambda r: -(-tiles // r) * r)
    return replace(linear, units=-(-tiles // rounds), splits=splits, ports=splits)


def _divides(chunks_of_sum: int, parts: int, padding: float) -> bool:
    """Whether so many parts of a sum are about even: at most so much of it would be padding."""
    return -(-chunks_of_sum // parts) * parts <= chunks_of_sum * (1 + padding)


def _spread_attention(
    region: Region, machine: Machine, form: Format, context: int, batch: int, share: float, into: Allocation
) -> None:
    """All attention operators of the region together get this part of the PCUs and PMUs."""
    operators = [op for op in region.operators if op.attention is not None]
    for op in operators:
        assert op.attention is not None
        each = share / len(operators)
        into.attends[op.name] = _attend(op.attention, machine, form, context, batch, each, into.granule)


def _attend(
    a: Attention, machine: Machine, form: Format, context: int, batch: int, share: float, granule: int
) -> Attend:
    """Parts of a sum, heads side by side, vectors of a value row, rows of keys, as far as the share goes."""
    heads, per_head, group = a.kv_heads * batch, chunks(a.head_dim, form.operand), a.heads // a.kv_heads
    most, enough = max(1, lanes("f32") // group), hbm_vectors_per_cycle(machine)
    scores = pmus_for(machine, group * 4 * context)

    def fits(units: int, dots: int, parts: int, mixes: int, share: float = share) -> bool:
        # Beside each dot and mix stand a PMU of its own and one of its buffer, beside each softmax its scores.
        macs = dots + parts * mixes
        pcus, pmus = units * (macs + 1), units * (2 * macs + scores)
        return pcus <= share * machine.total_pcus and pmus <= share * machine.total_pmus

    # Beyond what HBM gives, more units would gain nothing. How sums are cut must depend neither on the batch nor on
    # what else is in the kernel; with a window, whose first row moves, they are not cut.
    parts = 1
    while (
        a.window is None
        and a.kv_heads * parts * per_head < enough
        and parts * 2 <= most
        and fits(a.kv_heads, parts * 2, parts * 2, per_head, machine.mapping.attention_share)
    ):
        parts *= 2
    units = heads
    if batch > 1:
        units = max((n for n in range(1, heads + 1) if heads % n == 0 and fits(n, parts, parts, 1)), default=1)
    mixes = per_head if fits(units, parts, parts, per_head) else 1
    # The softmax takes a vector of scores a cycle, and a dot needs ``per_head`` cycles for a row.
    dots = parts
    while units * dots < enough and dots * 2 <= most * per_head and fits(units, dots * 2, parts, mixes):
        dots *= 2
    return Attend(heads, units, dots, parts, mixes, per_head, row_vectors(units * per_head, granule))


def row_vectors(vectors: int, granule: int) -> int:
    """The least number from ``vectors`` on that divides a granule, or that granules divide."""
    if vectors >= granule:
        return -(-vectors // granule) * granule
    return next(n for n in range(vectors, granule + 1) if granule % n == 0)


def fixed_units(
    region: Region, machine: Machine, form: Format, positions: int, context: int, result: Allocation
) -> Iterator[tuple[int, int]]:
    """(PCUs, PMUs) of the units that the operators have beside their macs, and of the region's borders."""

    def pmus(byte_count: int) -> int:
        return pmus_for(machine, byte_count)

    for tensor in region.inputs:
        yield 0, pmus(row_bytes(tensor.width, "f32") * positions)
    wide = result.width
    for loop in region.loops:
        if loop.carried is not None:
            kept = result.wave.positions if result.wave else positions
            yield 0, pmus(row_bytes(loop.carried.width, "f32") * kept)
    tail = region.tail if result.wave else ()
    for op in region.operators:
        rows = result.wave.sequences if result.wave and op in tail else positions
        row = row_bytes(op.output.width, "f32") * rows
        if op.attention is not None:
            a, attend = op.attention, result.attends[op.name]
            q, kv = row, row_bytes(a.kv_heads * a.head_dim, "f32") * positions
            held = sum(attend_pmus(machine, a, attend, positions, context, result.wave))
            # The three aligners and the flatten with what they hold.
            yield 4 * wide + attend.pcus, 2 * pmus(q) + 2 * pmus(kv) + held
        elif op.kind in ("add", "mul", "silu", "silu_mul"):
            yield wide, len(op.inputs) * pmus(row * waves_kept(op, machine, result.wave))
        elif op.kind == "all_reduce":
            yield 2 * wide, 2 * pmus(row)
        else:
            # A linear operator may need its input rounded first: one more PCU, and SRAM for rows to quantise.
            quantised = op.kind == "linear" and form.activation == "int8"
            held = pmus(row_bytes(op.inputs[0].width, "f32") * positions) if quantised else 0
            yield wide * (2 if op.kind == "linear" else 1), pmus(row) + held


def waves_kept(op: Operator, machine: Machine, wave: Wave | None) -> int:
    """Waves of an input that an elementwise operator keeps until the other input is there."""
    most = machine.mapping.waves_ahead if op.kind == "add" else 2
    return 1 if wave is None else min(wave.count * wave.sequences, most)


def attend_pmus(
    machine: Machine, a: Attention, attend: Attend, positions: int, context: int, wave: Wave | None = None
) -> tuple[int, int, int, int]:
    """PMUs of the key buffer, the value buffer, the dots and mixes, and the softmax units."""
    if wave is not None:
        # Each unit has its share of the query rows.
        keys = max(attend.units, pmus_for(machine, wave.kept * attend.units * attend.per_head * VECTOR_BYTES))
        scores = 2 * a.heads // a.kv_heads * positions // attend.shares * 4 * context
        units = attend.units * attend.shares
        return keys, keys, 2 * units, units * pmus_for(machine, scores)
    seen = context if a.window is None else min(context, a.window + positions)
    scores = a.heads // a.kv_heads * positions * 4 * (seen + attend.dots)
    dots, mixes = attend.units * attend.dots, attend.units * attend.parts * attend.mixes
    return (
        dots * pmus_for(machine, ahead(machine, dots) * VECTOR_BYTES),
        mixes * pmus_for(machine, ahead(machine, mixes) * VECTOR_BYTES),
        dots + mixes,
        attend.units * pmus_for(machine, scores),
    )


def place_weights(region: Region, form: Format, result: Allocation, like: Allocation | None = None) -> None:
    """Weights lie in the order of need, each padded to whole granules; a loop's layers follow each other."""
    spreads = [result, like] if like else [result]
    for stretch in region.stretches:
        start = result.weight_bytes
        for op in stretch.operators:
            for at in stored(op, form):
                result.weight_offsets[(op.name, at)] = result.weight_bytes
                result.weight_bytes += max(_stored_bytes(op, at, form, spread) for spread in spreads)
        result.layer_bytes[start] = result.weight_bytes - start
        result.weight_bytes += (stretch.layers - 1) * result.layer_bytes[start]
    if like:
        like.weight_offsets, like.weight_bytes = result.weight_offsets, result.weight_bytes
        like.layer_bytes = result.layer_bytes


def stored(op: Operator, form: Format) -> list[int]:
    """What an operator keeps in memory, in order: its weights by number, then `SCALES`."""
    weights = [at for at, weight in enumerate(op.weights) if weight is not None]
    return [*weights, SCALES] if op.kind == "linear" and form.scaled else weights


def _stored_bytes(op: Operator, at: int, form: Format, result: Allocation) -> int:
    if op.kind == "linear" and at > 0:
        # Tile by tile, as the gather takes it.
        linear = result.linears[op.name]
        return whole(linear.tiles * linear.width * element_bytes(form.beside), result.granule_bytes)
    weight = op.weights[at]
    assert weight is not None
    if op.kind == "rows":
        # A row is read alone, in whole granules.
        return weight.shape[0] * whole(row_bytes(weight.shape[1], form.operand), result.granule_bytes)
    if len(weight.shape) == 2:
        size = result.linears[op.name].vectors * VECTOR_BYTES
    else:
        size = row_bytes(weight.shape[0], form.operand)
    return whole(size, result.granule_bytes)


STEP_HELP = (
    "fewer positions per call (mapping.prefill_block), a shorter context, a smaller mapping.weight_buffer_vectors or "
    "fusion='op'"
)


def check_budget(region: Region, machine: Machine, pcus: int, pmus: int, help: str = STEP_HELP) -> None:
    """Say which resource is short, by how much, and what would help."""
    for what, need, have in (("PCUs", pcus, machine.total_pcus), ("PMUs", pmus, machine.total_pmus)):
        if need > have:
            raise CompileError(
                f"kernel {region.name!r} needs {need} {what}, machine {machine.name!r} has {have}: "
                f"{need - have} too many; {help} would help"
            )
