"""What a prompt takes, estimated from its allocation: to choose between allocations before one is lowered.

In a layer, waves follow each other at the pace of the slowest operator, if two things keep up: what goes past others
must wait for what goes through them, and there is room for so many waves to wait; and a wave must be through before it
can begin with the next layer. The weights of that come while the last wave leaves those before them behind, and the
first takes them.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdu.compiler.allocate import hbm_vectors_per_cycle, waves_kept
from rdu.compiler.allocation import Allocation, Wave
from rdu.compiler.formats import VECTOR_BYTES, Format, chunks, lanes, rate_of
from rdu.compiler.fuse import Region, Stretch
from rdu.graph import Operator
from rdu.machine import Machine

# Of the waves, to tell those that see little from those that see much.
PARTS = 4


@dataclass(frozen=True)
class Pace:
    """Of an operator, or of a layer: cycles from one wave to the next, and of one wave on its way through."""

    wave: float
    through: float


def prompt_cycles(region: Region, allocation: Allocation, machine: Machine, form: Format, wave: Wave) -> float:
    """Cycles of a call: of all layers, one after another."""
    tail = set(region.tail)
    cycles = 0.0
    for stretch in region.stretches:
        loaded = sum(allocation.linears[op.name].vectors for op in stretch.operators if op.kind == "linear")
        layer = load = loaded / hbm_vectors_per_cycle(machine)
        if tail.isdisjoint(stretch.operators):
            # What a wave sees grows from the first to the last.
            seen = [wave.context * (2 * part + 1) / (2 * PARTS) for part in range(PARTS)]
            paces = [_paces(stretch, allocation, machine, form, wave, positions) for positions in seen]
            slowest = sum(pace.wave for pace in paces) / PARTS
            streaming = wave.count * wave.sequences * slowest + max(0.0, load - 2 * slowest)
            layer = max(streaming, paces[0].through + load)
        cycles += stretch.layers * layer
    return cycles


def _paces(stretch: Stretch, allocation: Allocation, machine: Machine, form: Format, wave: Wave, seen: float) -> Pace:
    """Of a layer whose waves see so many positions."""
    slowest = 0.0
    # When a wave that comes at 0 has left each operator.
    left: dict[int, float] = {}
    for op in stretch.operators:
        pace = _pace(op, stretch, allocation, machine, form, wave, seen)
        ways = [left.get(id(tensor), 0.0) for tensor in op.inputs] or [0.0]
        slowest = max(slowest, pace.wave)
        if wave.count * wave.sequences > 1:
            # Of the waves that can wait for what comes later, one is being taken.
            ahead = max(1, waves_kept(op, machine, wave) - 1)
            slowest = max(slowest, (max(ways) - min(ways)) / ahead)
        left[id(op.output)] = max(ways) + pace.through
    return Pace(slowest, max(left.values()))


def _pace(
    op: Operator,
    stretch: Stretch,
    allocation: Allocation,
    machine: Machine,
    form: Format,
    wave: Wave,
    seen: float,
) -> Pace:
    pipeline = float(machine.pcu.pipeline_cycles)
    # Into the operator and through it, half across the chip each time.
    way = (machine.grid.rows + machine.tiles * machine.grid.columns) * machine.network.hop_cycles
    # What comes out passes the links of the operator, a vector a cycle each.
    out = chunks(op.output.width, "f32") * wave.rows / allocation.width
    if op.kind == "linear":
        linear = allocation.linears[op.name]
        macs = float(linear.vectors_per_unit * linear.products * wave.rows)
        macs *= 2 / machine.pcu.flops_per_cycle[form.rate]
        return Pace(max(macs, out), macs + out + way + 2 * pipeline)
    if op.attention is not None:
        attend = allocation.attends[op.name]
        rows = op.attention.heads // op.attention.kv_heads * wave.rows / attend.shares
        scores = 2 * seen * attend.per_head * lanes(form.operand) * rows
        scores /= machine.pcu.flops_per_cycle[rate_of(form.operand)]
        read = 2 * seen * attend.padded / hbm_vectors_per_cycle(machine) if wave.streamed else 0.0
        # Scores, and then the weighted sums, of all that a wave sees.
        return Pace(max(scores, read, out), 2 * (max(scores, read) + out + way + 2 * pipeline))
    if op.kind == "all_reduce":
        sums = sum(other.kind == "all_reduce" for other in stretch.operators)
        sent = sums * _sent(op, machine, wave)
        latency = (1 if machine.p2p.all_reduce == "exchange" else 2) * machine.cycles(machine.p2p.latency_ns)
        return Pace(max(sent, out), sent + latency + way + 2 * pipeline)
    if op.kind == "norm":
        # All of a row is there before any of it goes on.
        return Pace(2 * (out + pipeline), out + way + 3 * pipeline)
    return Pace(out, way + pipeline)


def _sent(op: Operator, machine: Machine, wave: Wave) -> float:
    """Cycles for what a socket sends of a wave's sums."""
    peers, vectors = machine.sockets - 1, chunks(op.output.width, "f32")
    # All of it to each of the others, or a share to each, and its sum back.
    sent = peers * (vectors if machine.p2p.all_reduce == "exchange" else 2 * -(-vectors // machine.sockets))
    return sent * wave.rows * VECTOR_BYTES * machine.clock_ghz / machine.p2p.gbps
