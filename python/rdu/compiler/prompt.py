"""Allocation for prompts: waves of positions stream through operators that all work at the same time.

The weights of a layer stay on chip while all waves pass; those of the next layer replace them vector by vector as the
last wave leaves them behind, as far as they run ahead in the buffers. So PCUs go by the work of an operator, not by its
root, and the time of a wave is that of the slowest operator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from rdu.compiler.allocate import (
    check_budget,
    fixed_units,
    hbm_vectors_per_cycle,
    linear_pmus,
    one_lane,
    place_weights,
    prompt_pmus,
    row_vectors,
    vectors_under_way,
)
from rdu.compiler.allocation import Allocation, Attend, Linear, Wave, granule_bytes, pmus_for
from rdu.compiler.formats import VECTOR_BYTES, Format, chunks, lanes
from rdu.compiler.fuse import Region
from rdu.compiler.prompt_cycles import prompt_cycles
from rdu.errors import CompileError
from rdu.graph import Attention
from rdu.machine import Machine

PROMPT_HELP = "more sockets, a narrower dtype, a smaller mapping.prefill_wave, or fusion='op'"


def waves_of(machine: Machine, prompt: int, sequences: int, blocks: int) -> Iterator[Wave]:
    """Waves of one size, not larger than ``mapping.prefill_wave``; then smaller ones, which take less SRAM.

    Of each: with the rows of earlier blocks on chip, and streamed.
    """
    block, rows = -(-prompt // blocks), machine.mapping.prefill_wave
    while rows >= _least_wave(machine):
        count = -(-block // rows)
        for streamed in (False, True)[: min(blocks, 2)]:
            yield Wave(-(-block // count), count, sequences, blocks, streamed)
        rows //= 2


def _least_wave(machine: Machine) -> int:
    return min(machine.mapping.least_wave, machine.mapping.prefill_wave)


def choose_wave(
    regions: Iterable[Region], machine: Machine, form: Format, prompt: int, sequences: int
) -> tuple[Wave, list[Allocation]]:
    """The blocks and waves with which the prompts are done first, and the allocation of each region.

    All prompts in one call are tried first, then one after another, then each in blocks, as the SRAM must hold what the
    positions of a call carry from layer to layer. More blocks read the weights more often.

    Raises
    ------
    CompileError
        If not even the smallest waves of the shortest blocks fit.
    """
    regions = list(regions)
    best: tuple[float, Wave, list[Allocation]] | None = None
    problem: CompileError | None = None
    for together, blocks in _cuts(machine, prompt, sequences):
        found: tuple[float, Wave, list[Allocation]] | None = None
        for wave in waves_of(machine, prompt, together, blocks):
            if wave.streamed and found is not None and not found[1].streamed:
                continue
            try:
                spread = [allocate_prompt(region, machine, form, wave) for region in regions]
            except CompileError as error:
                problem = error
                continue
            each = zip(regions, spread, strict=True)
            calls = blocks * (sequences // together)
            cycles = calls * sum(prompt_cycles(*both, machine, form, wave) for both in each)
            if found is None or cycles < found[0]:
                found = cycles, wave, spread
        if best is not None and (found is None or found[0] >= best[0]):
            break
        best = found
    if best is None:
        assert problem is not None
        raise problem
    return best[1:]


def _cuts(machine: Machine, prompt: int, sequences: int) -> Iterator[tuple[int, int]]:
    """(sequences in a call, calls for each of them): from few and long calls to many and short ones."""
    yield sequences, 1
    if sequences > 1:
        yield 1, 1
    blocks = 2
    while blocks * _least_wave(machine) <= prompt:
        yield 1, blocks
        blocks *= 2


def allocate_prompt(region: Region, machine: Machine, form: Format, wave: Wave) -> Allocation:
    """Spread ``region`` over the machine for waves of positions.

    Attention is given fewer units than its work asks for where that makes all of it fit, or be done sooner.

    Raises
    ------
    CompileError
        Names the resource, how much is missing, and what would help.
    """
    best: tuple[float, Allocation] | None = None
    problem: CompileError | None = None
    shares = wave.rows
    while shares:
        try:
            found = _allocate(region, machine, form, wave, shares)
        except CompileError as error:
            problem = error
            shares //= 2
            continue
        cycles = prompt_cycles(region, found, machine, form, wave)
        if best is not None and cycles >= best[0]:
            break
        best = cycles, found
        shares = max((attend.shares for attend in found.attends.values()), default=0) // 2
    if best is None:
        assert problem is not None
        raise problem
    return best[1]


def _allocate(region: Region, machine: Machine, form: Format, wave: Wave, shares: int) -> Allocation:
    """With at most so many ``shares`` of a head's query rows in attention."""
    tail = {op.name for op in region.tail}
    linears = [op for op in region.operators if op.kind == "linear"]
    one = {op.name: one_lane(op, form) for op in linears}
    work = {name: int(linear.work * linear.products * wave.rows) for name, linear in one.items() if name not in tail}
    attention = [op.attention for op in region.operators if op.attention is not None]
    # Scores, and as much for weighted sums, of the last wave, which sees the whole prompt.
    scores = sum(a.heads * a.head_dim * wave.rows * wave.context for a in attention)
    total = sum(work.values()) + 2 * scores
    result = Allocation(granule_bytes(machine), wave=wave)
    cycles = 2 * total / (machine.total_pcus * machine.pcu.flops_per_cycle[form.rate])
    widest = max(chunks(op.output.width, "f32") for op in region.operators if op.name not in tail or not work)
    # An activation passes a unit twice, in and out; that should not take longer than the macs take for a wave.
    result.width = max(1, min(wave.rows, round(2 * wave.rows * widest / cycles))) if total else 1
    for op in region.operators:
        if op.attention is not None:
            result.attends[op.name] = _attend(op.attention, machine, form, wave, scores / total, result.granule, shares)
    fixed = list(fixed_units(region, machine, form, wave.rows, wave.context, result))
    fixed_pcus, fixed_pmus = (sum(counts) for counts in zip(*fixed, strict=True))
    # What runs once, for the last position, takes its weights as fast as they come.
    rate = hbm_vectors_per_cycle(machine)
    # Below this, weights that are ahead would not even cover the way to memory and back.
    way = math.ceil(vectors_under_way(machine))
    most = machine.mapping.weight_buffer_vectors
    vectors = fair = max(1.0, sum(linear.work for name, linear in one.items() if name in work) / machine.total_pcus)
    # No spreading makes the weights smaller.
    least = sum(1 + pmus_for(machine, linear.work * VECTOR_BYTES) for name, linear in one.items() if name in work)
    check_budget(region, machine, fixed_pcus + len(one), fixed_pmus + least, PROMPT_HELP)
    once = {
        name: _lanes(linear, linear.work / (2 * rate), machine, form)
        for name, linear in one.items()
        if name not in work
    }
    while True:
        chosen = {
            name: once[name] if name in once else _lanes(linear, vectors, machine, form) for name, linear in one.items()
        }
        # A gather is counted as wide as other units so far.
        pcus = fixed_pcus + sum(linear.macs + max(0, linear.ports - result.width) for linear in chosen.values())
        for ahead in (most, most // 4, most // 16, 1):
            buffers = {
                name: min(linear.vectors_per_unit, most, max(ahead, -(-way // linear.macs)))
                for name, linear in chosen.items()
            }
            pmus = fixed_pmus + sum(
                sum(prompt_pmus(machine, linear, buffers[name] + linear.vectors_per_unit, wave.rows))
                if name in work
                else linear_pmus(machine, linear, buffers[name], wave.sequences)
                for name, linear in chosen.items()
            )
            if pcus <= machine.total_pcus and pmus <= machine.total_pmus:
                result.linears, result.buffer_vectors = chosen, buffers
                place_weights(region, form, result)
                return result
        if vectors > machine.mapping.longest_lane * fair or all(
            linear.macs == 1 for name, linear in chosen.items() if name in work
        ):
            check_budget(region, machine, pcus, pmus, PROMPT_HELP)
        vectors *= 1.05


def _attend(a: Attention, machine: Machine, form: Format, wave: Wave, part: float, granule: int, most: int) -> Attend:
    """Heads side by side, and query rows of a head, as far as the work for scores is ``part`` of all work."""
    per_head, queries = chunks(a.head_dim, form.operand), a.heads // a.kv_heads * wave.rows
    shares = 1
    # The waves before the last see less: on average half.
    while (
        shares * 2 <= most and queries % (shares * 2) == 0 and a.kv_heads * shares * 3 < part * machine.total_pcus * 2
    ):
        shares *= 2
    return Attend(
        heads=a.kv_heads,
        units=a.kv_heads,
        dots=1,
        parts=1,
        mixes=1,
        per_head=per_head,
        padded=row_vectors(a.kv_heads * per_head, granule),
        shares=shares,
    )


def _lanes(linear: Linear, vectors: float, machine: Machine, form: Format) -> Linear:
    """Few PCUs that leave each lane at most ``vectors`` weight vectors, and little padding, which takes SRAM as well;
    the most lanes there can be if none leave so few.

    Each split more is another sum on its way to the gather, which needs ports for all of them.
    """
    # What the macs take at least for a row of activations.
    cycles = vectors * float(linear.products) * 2 / machine.pcu.flops_per_cycle[form.rate]
    tiles = linear.tiles
    sums = tiles * linear.width // lanes("f32") * -(-VECTOR_BYTES // machine.network.vector_bytes_per_cycle)
    found = []
    splits = 1
    while splits <= machine.mapping.most_splits and linear.chunks % splits == 0:
        part = replace(linear, splits=splits, ports=math.ceil(sums * splits / cycles))
        most = min(tiles, int(vectors // part.part))
        found += [replace(part, units=-(-tiles // rounds)) for rounds in range(most, most // 2, -1)]
        splits *= 2
    if not found:
        return replace(linear, units=tiles, splits=splits // 2, ports=math.ceil(sums * splits / 2 / cycles))
    return min(found, key=lambda linear: ((linear.macs + linear.ports) * linear.vectors, linear.macs))
