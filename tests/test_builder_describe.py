"""StreamProgram.describe(): what a program is, as plain dictionaries."""

from __future__ import annotations

import json

import rdu


def test_a_description_has_units_with_phases_and_streams_with_rates() -> None:
    b = rdu.Builder()
    b.unit("a", firings=5, ii=[1, 3], latency=2)
    b.unit("b", firings=3)
    b.stream("a", "b", capacity=8, latency=4, credit=1, produce=[1, 0], initial=2, name="s")
    assert b.build().describe() == {
        "units": [
            {
                "name": "a",
                "op": None,
                "firings": 5,
                "phases": [
                    {"ii": 1, "latency": 2, "consume": {}, "produce": {"s": 1}},
                    {"ii": 3, "latency": 2, "consume": {}, "produce": {}},
                ],
                "nest": [
                    {"body": [{"phase": 0, "times": 1}, {"phase": 1, "times": 1}], "times": 2},
                    {"phase": 0, "times": 1},
                ],
                "choice": None,
                "transfer": None,
            },
            {
                "name": "b",
                "op": None,
                "firings": 3,
                "phases": [{"ii": 1, "latency": 0, "consume": {"s": 1}, "produce": {}}],
                "nest": [{"phase": 0, "times": 3}],
                "choice": None,
                "transfer": None,
            },
        ],
        "streams": [
            {
                "name": "s",
                "source": "a",
                "target": "b",
                "capacity": 8,
                "latency": 4,
                "credit": 1,
                "initial": 2,
                "lanes": 1,
                "produce": [1, 0],
                "consume": [1],
            }
        ],
    }


def test_a_description_is_json_and_names_operators() -> None:
    b = rdu.Builder()
    b.source("x", [[1, 2], [3, 4]])
    b.unit("n", op="neg")
    b.sink("y")
    b.stream("x", "n")
    b.stream("n", "y")
    found = b.build().describe()
    assert json.loads(json.dumps(found)) == found
    assert [unit["op"] for unit in found["units"]] == ["source", "neg", "sink"]
    assert [stream["lanes"] for stream in found["streams"]] == [2, 2]
