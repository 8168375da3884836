"""Ours against other simulators on the same graphs: ratios of transfers per CPU second, measured in turns in one run.

``python benches/peers/ratios.py [NAME='COMMAND {graph} {size} {tokens}' ...]`` runs the `fast` engine with every firing
timed, SimPy where it is installed (on shorter runs: its rate does not depend on their length), and each peer named. A
peer's command runs one graph of `benches/peers/README.md` and prints a line of three numbers: stream transfers, elapsed
cycles, CPU seconds. The elapsed cycles of all must agree.
"""

from __future__ import annotations

import importlib.util
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 5

# Graph, its size (generators, stages, side), tokens, and tokens for SimPy.
GRAPHS = (("adder-tree", 1024, 4096, 64), ("broadcast-chain", 16, 1 << 20, 4096), ("mesh", 32, 4096, 64))


def spoken(command: list[str]) -> tuple[int, float]:
    """Elapsed cycles and transfers per CPU second of a command that prints transfers, cycles and seconds last."""
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True)
    transfers, cycles, seconds = done.stdout.split()[-3:]
    return int(cycles), float(transfers) / float(seconds)


def rdu(graph: str, size: int, tokens: int) -> tuple[int, float]:
    return spoken(["cargo", "bench", "--quiet", "--bench", "dataflow", "--", "--once", graph, str(tokens), "fast"])


def simpy(graph: str, size: int, tokens: int) -> tuple[int, float]:
    import simpy_graphs

    build = {"adder-tree": simpy_graphs.adder_tree, "broadcast-chain": simpy_graphs.broadcast_chain}
    model, _ = build.get(graph, simpy_graphs.mesh)(size, tokens)
    start = time.process_time()
    model.env.run()
    return round(model.env.now), model.streams * tokens / (time.process_time() - start)


def main() -> None:
    peers = dict(argument.split("=", 1) for argument in sys.argv[1:])
    has_simpy = importlib.util.find_spec("simpy") is not None
    for graph, size, tokens, few in GRAPHS:
        names = ["rdu", *peers, *(["SimPy"] if has_simpy else [])]
        rates: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(ROUNDS):
            cycles, rate = rdu(graph, size, tokens)
            rates["rdu"].append(rate)
            for name, command in peers.items():
                taken, rate = spoken(shlex.split(command.format(graph=graph, size=size, tokens=tokens)))
                rates[name].append(rate)
                if taken != cycles:
                    raise SystemExit(f"{graph} {size} x {tokens}: {name} takes {taken} cycles, rdu {cycles}")
            if has_simpy:
                taken, rate = simpy(graph, size, few)
                rates["SimPy"].append(rate)
                if taken - few != cycles - tokens:
                    raise SystemExit(f"{graph} {size} x {few}: SimPy takes {taken} cycles, not {cycles - tokens + few}")
        ours = statistics.median(rates["rdu"])
        print(f"{graph} {size} x {tokens}: rdu {ours / 1e6:.1f} M transfers per CPU second")
        for name in names[1:]:
            theirs = statistics.median(rates[name])
            print(f"    {name:<8} {theirs / 1e6:>8.3f} M, rdu is {ours / theirs:,.1f} times as fast", flush=True)


if __name__ == "__main__":
    main()
