"""The families of random programs that properties hold for, and how many of each were drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from rdu.testing.flows import flows
from rdu.testing.graphs import SHAPES, Graph, graphs
from rdu.testing.nests import nested_graphs

# Programs drawn in this session, shrinking included.
drawn: Counter[str] = Counter()

FAMILIES = {
    **{shape: graphs(shapes=[shape]) for shape in SHAPES},
    "multirate": graphs(lists=False),
    "nested": nested_graphs(),
    "operators": flows(),
    "decided": flows(values=False, choices=True),
    "routed": flows(choices=True),
    "merged": flows(choices=True, merges=True),
}
# Units with counts, and no values: what can run any number of times over.
STATIC = (*SHAPES, "multirate", "nested")
# All but those whose values depend on time.
DETERMINED = tuple(name for name in FAMILIES if name != "merged")


def each(names: Sequence[str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Runs a test once for each family."""
    return pytest.mark.parametrize("family", names)


def program(family: str) -> st.SearchStrategy[Graph]:
    """Programs of a family, counted."""

    def count(graph: Graph) -> Graph:
        drawn[family] += 1
        return graph

    return FAMILIES[family].map(count)


def examples(share: float) -> settings:
    """So many of the profile's examples, at least one; a property that takes long or has many families takes few."""
    return settings(max_examples=max(1, round(settings().max_examples * share)), deadline=None)
