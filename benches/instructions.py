"""Instructions per firing and per stream transfer of each graph of `benches/dataflow.rs`, from callgrind.

``python benches/instructions.py [GRAPH ...]`` builds the benchmark, runs each graph at two lengths under ``valgrind
--tool=callgrind`` and divides the difference of the instructions by that of the firings and transfers: what it takes to
build the graph drops out, and the noise of the machine never comes in. Valgrind emulates AVX2 at most.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The shorter and the longer run in tokens (iterations of random-1000-4), and the goal in instructions per transfer.
LENGTHS: dict[str, tuple[int, int, int | None]] = {
    "pipeline-32": (2_048, 18_432, None),
    "pipeline-values": (512, 4_608, None),
    "random-1000-4": (32, 160, None),
    "adder-tree": (256, 768, 30),
    "broadcast-chain": (4_096, 36_864, None),
    "mesh": (256, 768, None),
}


def executable() -> str:
    """Builds the benchmark in its release profile and returns its path."""
    command = ["cargo", "bench", "--bench", "dataflow", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["target"]["name"] == "dataflow":
            path = message.get("executable")
            if path:
                return str(path)
    raise SystemExit("benches/instructions.py: cargo names no executable for the benchmark")


def counts(program: str, graph: str, tokens: int, mode: str) -> tuple[int, int, int]:
    """Instructions, firings and transfers of one run."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program]
    run = subprocess.run([*command, "--once", graph, str(tokens), mode], capture_output=True, text=True, check=False)
    collected = re.search(r"Collected\s*:\s*(\d+)", run.stderr)
    if run.returncode or collected is None:
        raise SystemExit(f"benches/instructions.py: {graph} {tokens} {mode}: {run.stderr}")
    firings, transfers = run.stdout.split()[:2]
    return int(collected[1]), int(firings), int(transfers)


def main() -> None:
    if shutil.which("valgrind") is None:
        raise SystemExit("benches/instructions.py: valgrind not found; install it from your system's packages")
    program = executable()
    print(f"{'instructions per':<16} {'mode':<5} {'firing':>8} {'transfer':>9}   goal")
    for graph in sys.argv[1:] or LENGTHS:
        short, long, goal = LENGTHS[graph]
        for mode in ("fast", "step"):
            less, more = counts(program, graph, short, mode), counts(program, graph, long, mode)
            instructions, firings, transfers = (b - a for a, b in zip(less, more, strict=True))
            wanted = f"<= {goal} per transfer" if goal and mode == "fast" else ""
            row = f"{graph:<16} {mode:<5} {instructions / firings:>8.1f} {instructions / transfers:>9.1f}   {wanted}"
            print(row.rstrip(), flush=True)


if __name__ == "__main__":
    main()
