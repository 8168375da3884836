"""Hypothesis strategies for programs of which some units load or store."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from ..builder.transfer import TIERS, Transfer
from .graphs import Graph, Unit

# Everything lies in the first bytes of a tier, where it meets: any machine has so many.
MOST_ADDRESS = 1 << 16
SIZES = (1, 32, 64, 200, 1024, 4096)


@st.composite
def transfers(draw: st.DrawFn) -> Transfer:
    """Loads and stores of a tier: sequential, strided, tiled, or the same place over and over."""
    nbytes, run = draw(st.sampled_from(SIZES)), draw(st.integers(1, 4))
    return Transfer(
        draw(st.sampled_from(TIERS)),
        draw(st.integers(0, MOST_ADDRESS)),
        nbytes=nbytes,
        write=draw(st.booleans()),
        run=run,
        stride=draw(st.sampled_from((None, 0, nbytes // 2, 256, 8192))),
        outstanding=draw(st.sampled_from((1, 2, 16))),
    )


@st.composite
def loading(draw: st.DrawFn, graph: Graph) -> Graph:
    """``graph`` with transfers at some of the units whose firings are counted, and at least at one if it has any."""
    counted = [at for at, unit in enumerate(graph.units) if unit.firings is not None and unit.choice is None]
    if not counted:
        return graph
    chosen = draw(st.lists(st.sampled_from(counted), min_size=1, unique=True))
    units = tuple(draw(_loading(unit)) if at in chosen else unit for at, unit in enumerate(graph.units))
    return replace(graph, units=units)


@st.composite
def _loading(draw: st.DrawFn, unit: Unit) -> Unit:
    first = draw(transfers())
    if unit.phases is None:
        return replace(unit, transfer=first)
    # One door; phases go on with each other's addresses, or have their own.
    other = Transfer(first.tier, nbytes=64, write=first.write, outstanding=first.outstanding)
    drawn = {name: draw(st.sampled_from((first, other))) for name in unit.phases}
    return replace(unit, phases={name: replace(entry, transfer=drawn[name]) for name, entry in unit.phases.items()})


def asked_bytes(graph: Graph) -> dict[str, dict[bool, int]]:
    """Bytes that the plain units of a graph ask of each tier in a whole run: read (False) and written (True)."""
    found = {tier: {False: 0, True: 0} for tier in TIERS}
    for unit in graph.units:
        if unit.transfer is not None:
            found[unit.transfer.tier][unit.transfer.write] += (unit.firings or 0) * unit.transfer.nbytes
    return found
