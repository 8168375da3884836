"""How a program is mapped: the units of each operator, how long each is busy in a call, and what that balances to.

Nothing is run: these are the firings and intervals of the mapping, each unit as if it never had to wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rdu.compiler.allocate import hbm_vectors_per_cycle
from rdu.compiler.formats import VECTOR_BYTES
from rdu.compiler.links import firings, shares
from rdu.compiler.lower import Kernel
from rdu.compiler.netlist import Json, Unit
from rdu.machine import Machine
from rdu.program import Program, Site
from rdu.run import cache_argument

HEADINGS = (
    f"  {'operator / unit':<30}{'copies':>7}{'PCUs':>6}{'PMUs':>6}{'firings':>12}{'busy cycles':>13}{'of most':>8}"
)


@dataclass(frozen=True)
class UnitRow:
    """One unit, or a bundle of ``copies`` of them; all figures but ``copies``, ``pcus`` and ``pmus`` are of one copy.

    Attributes
    ----------
    pcus, pmus : int
        Of all copies.
    firings : int
        In a call.
    vectors_in, vectors_out : int
        Tokens taken and sent in a call.
    busy_cycles : int
        Firings times their intervals.
    """

    name: str
    role: str
    copies: int
    pcus: int
    pmus: int
    firings: int
    vectors_in: int
    vectors_out: int
    busy_cycles: int


@dataclass(frozen=True)
class OperatorRow:
    """The units of one operator in a call.

    Attributes
    ----------
    hbm_bytes : int
        That it reads, padding included.
    hbm_cycles : float
        What these take at HBM's peak.
    busy_cycles : int
        Of its busiest unit.
    bound : {"hbm", "units"}
        The larger of the two.
    """

    name: str
    pcus: int
    pmus: int
    hbm_bytes: int
    hbm_cycles: float
    busy_cycles: int
    bound: str
    units: tuple[UnitRow, ...]


@dataclass(frozen=True)
class KernelRow:
    """One kernel.

    Attributes
    ----------
    calls : int
        In a pass of all positions.
    busiest_link_vectors : float
        What the busiest link of the mesh carries in a call; a link carries one a cycle at most.
    busiest_link_share : float
        Of what it can carry while the busiest unit works, or HBM at its peak: above 1, it is asked for too much.
    busiest_link_streams : tuple of (str, float)
        The streams that it carries most of, at most three, and their vectors.
    longest_way_cycles : int
        Latency of the longest stream on chip.
    """

    name: str
    calls: int
    pcus: int
    pmus: int
    streams: int
    hbm_cycles: float
    busiest_link_vectors: float
    busiest_link_share: float
    busiest_link_streams: tuple[tuple[str, float], ...]
    longest_way_cycles: int
    operators: tuple[OperatorRow, ...]


@dataclass(frozen=True)
class Explanation:
    """A mapped program at a number of positions; ``print`` it, or take it apart."""

    machine: str
    fusion: str
    dtype: str
    positions: int
    past: int
    have_pcus: int
    have_pmus: int
    kernels: tuple[KernelRow, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain types."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.machine}, {self.fusion}, {self.dtype}: {self.positions} positions after {self.past}"
        for kernel in self.kernels:
            yield ""
            yield (
                f"kernel {kernel.name}: calls {kernel.calls}, PCUs {kernel.pcus} of {self.have_pcus}, "
                f"PMUs {kernel.pmus} of {self.have_pmus}, HBM {kernel.hbm_cycles:,.0f} cycles a call, "
                f"longest way {kernel.longest_way_cycles} cycles"
            )
            streams = ", ".join(f"{name} {vectors:,.0f}" for name, vectors in kernel.busiest_link_streams)
            yield (
                f"  busiest link: {kernel.busiest_link_vectors:,.0f} vectors, {kernel.busiest_link_share:.0%} of "
                f"what it can carry while the busiest unit or HBM works; most of {streams}"
            )
            yield HEADINGS
            most = max([op.busy_cycles for op in kernel.operators] + [1])
            for op in kernel.operators:
                yield (
                    f"  {op.name:<30}{'':>7}{op.pcus:>6}{op.pmus:>6}{'':>12}{op.busy_cycles:>13,}"
                    f"{op.busy_cycles / most:>8.0%}  bound by {op.bound}"
                    + (f", HBM {op.hbm_cycles:,.0f} cycles" if op.hbm_bytes else "")
                )
                for unit in op.units:
                    yield (
                        f"    {unit.name:<28}{unit.copies:>7}{unit.pcus:>6}{unit.pmus:>6}{unit.firings:>12,}"
                        f"{unit.busy_cycles:>13,}{unit.busy_cycles / most:>8.0%}"
                    )


def explain(program: Program, positions: int = 1, past: int = 0) -> Explanation:
    """Take the mapping of ``program`` apart, for calls of so many positions with ``past`` of them in the caches."""
    machine = program.machine
    sites = program.sites if program.whole is None else (program.whole,)
    rows = []
    for number in dict.fromkeys(site.kernel for site in sites):
        mine = [site for site in sites if site.kernel == number]
        lowered = program.kernel(number, positions, (positions,) * len(mine[0].inputs)).lowered
        assert isinstance(lowered, Kernel)
        rows.append(_kernel(lowered, mine, machine, past))
    return Explanation(
        machine.name,
        program.fusion,
        program.dtype,
        positions,
        past,
        machine.total_pcus,
        machine.total_pmus,
        tuple(rows),
    )


def _kernel(kernel: Kernel, sites: list[Site], machine: Machine, past: int) -> KernelRow:
    times = _times(kernel, sites[0], past, machine.mapping.held(past))
    units: dict[str, list[UnitRow]] = {}
    sent: dict[tuple[int, int], int] = {}
    for unit in kernel.units:
        each = firings(unit, times)
        for output in range(unit.outputs):
            sent[id(unit), output] = _tokens(unit, each, "produce", output)
        units.setdefault(unit.operator, []).append(_unit(unit, each))
    tokens = [sent[id(stream.source), stream.output] for stream in kernel.streams]
    loaded: dict[str, int] = {}
    for stream, count in zip(kernel.streams, tokens, strict=True):
        loaded[stream.target.operator] = loaded.get(stream.target.operator, 0) + stream.read_bytes(count)
    rate = hbm_vectors_per_cycle(machine) * VECTOR_BYTES
    operators = []
    for name, found in units.items():
        hbm, busy = loaded.get(name, 0) / rate, max(unit.busy_cycles for unit in found)
        pcus, pmus = sum(unit.pcus for unit in found), sum(unit.pmus for unit in found)
        bound = "hbm" if hbm > busy else "units"
        operators.append(OperatorRow(name, pcus, pmus, loaded.get(name, 0), hbm, busy, bound, tuple(found)))
    whole, mine = shares(kernel.net, machine, tokens)
    hbm_cycles = sum(op.hbm_cycles for op in operators)
    carried = sorted(zip((stream.name for stream in kernel.streams), mine, strict=True), key=lambda one: -one[1])
    return KernelRow(
        kernel.name,
        len(sites),
        sum(op.pcus for op in operators),
        sum(op.pmus for op in operators),
        len(kernel.streams),
        hbm_cycles,
        whole.busiest,
        whole.busiest * kernel.net.link_cycles / max(hbm_cycles, *(op.busy_cycles for op in operators), 1),
        tuple(one for one in carried[:3] if one[1]),
        max(stream.latency for stream in kernel.streams if not stream.peers),
        tuple(operators),
    )


def _times(kernel: Kernel, site: Site, past: int, held: int) -> dict[str, int]:
    """What a call passes that counts firings."""
    found = {}
    for name in kernel.arguments:
        kind, _, rest = name.partition(".")
        if kind in ("past", "rounds", "granules", "rest"):
            found[name] = cache_argument(site.caches[int(rest)], kind, "", past, held)
    return found


def _unit(unit: Unit, each: list[int]) -> UnitRow:
    return UnitRow(
        unit.name,
        unit.role,
        unit.copies,
        unit.copies * unit.pcus,
        unit.copies * unit.pmus,
        sum(each),
        sum(_tokens(unit, each, "consume", at) for at in range(unit.inputs)),
        sum(_tokens(unit, each, "produce", at) for at in range(unit.outputs)),
        sum(count * phase["ii"] for count, phase in zip(each, unit.phases, strict=True)),
    )


def _tokens(unit: Unit, each: list[int], way: str, end: int) -> int:
    def rate(phase: Json) -> int:
        return sum(count for at, count in phase[way] if at == end)

    return sum(count * rate(phase) for count, phase in zip(each, unit.phases, strict=True))
