"""The three graphs of `benches/dataflow.rs` on SimPy: transfers per CPU second of the peer.

Run with a Python that has SimPy (it is no dependency of rdu): ``pip install simpy``, then
``python benches/peers/simpy_graphs.py``. A token waits one cycle in its unit, which stands for the initiation interval
and for the stream's latency at once: that is the cheapest SimPy model with the published elapsed cycles.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Generator
from typing import Any

import simpy

CAPACITY = 32
REPEATS = 3


def unit(
    env: simpy.Environment, inputs: list[simpy.Store], outputs: list[simpy.Store], tokens: int
) -> Generator[simpy.Event, Any, None]:
    for _ in range(tokens):
        for stream in inputs:
            yield stream.get()
        yield env.timeout(1)
        for stream in outputs:
            yield stream.put(0)


class Graph:
    """Units are processes, streams are bounded stores."""

    def __init__(self, tokens: int) -> None:
        self.env = simpy.Environment()
        self.tokens = tokens
        self.streams = 0

    def add(self, inputs: list[simpy.Store], outputs: int) -> list[simpy.Store]:
        """Joins a unit to ``inputs`` and returns its output streams."""
        self.streams += outputs
        streams = [simpy.Store(self.env, capacity=CAPACITY) for _ in range(outputs)]
        self.env.process(unit(self.env, inputs, streams, self.tokens))
        return streams


def adder_tree(width: int, tokens: int) -> tuple[Graph, int]:
    graph = Graph(tokens)
    row = [graph.add([], 1)[0] for _ in range(width)]
    while len(row) > 1:
        row = [graph.add([a, b], 1)[0] for a, b in zip(row[::2], row[1::2], strict=True)]
    graph.add(row, 0)
    return graph, tokens + width.bit_length()


def broadcast_chain(stages: int, tokens: int) -> tuple[Graph, int]:
    graph = Graph(tokens)
    last = graph.add([], 1)[0]
    for _ in range(stages - 1):
        last, aside = graph.add([last], 2)
        graph.add([aside], 0)
    graph.add([last], 0)
    return graph, tokens + stages


def mesh(side: int, tokens: int) -> tuple[Graph, int]:
    graph = Graph(tokens)
    north = [graph.add([], 1)[0] for _ in range(side)]
    for _ in range(side):
        west = graph.add([], 1)[0]
        for column in range(side):
            west, north[column] = graph.add([west, north[column]], 2)
        graph.add([west], 0)
    for last in north:
        graph.add([last], 0)
    return graph, tokens + 2 * side


def main() -> None:
    print(f"SimPy {simpy.__version__}, medians of {REPEATS} runs")
    for build, size, tokens in (
        (adder_tree, 16, 4096),
        (adder_tree, 1024, 64),
        (broadcast_chain, 16, 4096),
        (mesh, 8, 1024),
        (mesh, 32, 64),
    ):
        rates = []
        for _ in range(REPEATS):
            graph, expected = build(size, tokens)
            start = time.process_time()
            graph.env.run()
            rates.append(graph.streams * tokens / (time.process_time() - start))
            if graph.env.now != expected:
                raise SystemExit(f"{build.__name__} {size} x {tokens}: {graph.env.now} cycles, {expected} expected")
        rate = statistics.median(rates)
        print(f"{build.__name__:>16} {size:>4} x {tokens:<5} {rate / 1e6:.3f} M transfers per CPU second")


if __name__ == "__main__":
    main()
