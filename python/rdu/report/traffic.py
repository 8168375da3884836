"""Bytes moved by operator and by what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rdu.report.tally import Tally

if TYPE_CHECKING:
    from rdu.compiler.netlist import Unit

# What the address of a transfer is relative to (an argument of the call) says what it moves.
KINDS = {
    "weights": "weights",
    "turns": "positions",
    "k": "cache",
    "v": "cache",
    "in": "activations",
    "out": "activations",
}
CONSTANT = "constants"


@dataclass(frozen=True)
class Moved:
    """Bytes between memory and the units of one operator.

    ``kind`` is weights, cache, activations, positions (cosines and sines) or constants.
    """

    operator: str
    kind: str
    read_bytes: int
    written_bytes: int


def moved(tally: Tally) -> list[Moved]:
    """Bytes by operator and kind, in the order of the kernel's units.

    Reads: the transfers behind the tokens on the streams that leave load units, by the operator that takes them.
    Writes: a transfer a firing of a store unit. Padding counts: it moves too.
    """
    order = {unit.operator: at for at, unit in reversed(list(enumerate(tally.units)))}
    sums: dict[tuple[str, str], list[int]] = {}
    for stream, (tokens, _) in zip(tally.streams, tally.stream_rows, strict=True):
        if read := stream.read_bytes(tokens):
            kind = _kind(stream.source, stream.output, tally.arguments)
            sums.setdefault((stream.target.operator, kind), [0, 0])[0] += read
    for unit, row in (entry for tier in range(len(tally.traffic)) for entry in tally.ports(write=True, tier=tier)):
        kind = _kind(unit, None, tally.arguments)
        sums.setdefault((unit.operator, kind), [0, 0])[1] += row[-1] * unit.transfer_bytes
    found = [Moved(operator, kind, *both) for (operator, kind), both in sums.items() if any(both)]
    return sorted(found, key=lambda entry: (order[entry.operator], entry.kind))


def _kind(unit: Unit, output: int | None, arguments: tuple[str, ...]) -> str:
    """What the transfers behind an output of a load unit (or of a store unit: None) move."""
    assert unit.port is not None
    for phase in unit.phases:
        if output is None or any(at == output for at, _ in phase["produce"]):
            argument = unit.port["patterns"][phase["transfer"]].get("argument")
            return CONSTANT if argument is None else KINDS[arguments[argument].partition(".")[0]]
    return CONSTANT
