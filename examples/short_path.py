"""A fork whose short path has too few slots: what that costs, which slots help, and 10^12 firings with and without."""

import sys
import time
from pathlib import Path

import rdu
from rdu.interchange import to_svg


def fork(sizes):
    b = rdu.Builder()
    b.unit("read", firings=10**12, latency=4)
    b.unit("scale", latency=6)
    b.unit("add", latency=2)
    b.stream("read", "scale", latency=3)
    b.stream("scale", "add", latency=3)
    b.stream("read", "add", capacity=sizes["read->add"])
    return b.build()


narrow = fork({"read->add": 4})
analysis = narrow.analyse()
print(analysis)  # exact, before anything runs
sizes = analysis.capacities().full
print(f"the short path needs {sizes['read->add']} slots instead of 4\n")

for program in (narrow, fork(sizes)):
    start = time.perf_counter()
    run = program.run()  # periods that repeat are jumped over; run(skip=False) would look at each firing for hours
    host_ms = (time.perf_counter() - start) * 1e3
    print(f"{run.firings:.1e} firings: {run.cycles:.4e} cycles, {host_ms:.1f} ms on this host")

if len(sys.argv) > 1:  # a file for the picture: the short path in red
    Path(sys.argv[1]).write_text(to_svg(narrow, narrow.run(), highlight=analysis), encoding="utf-8")
