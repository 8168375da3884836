"""The rate at which a machine's memory streams reads: what a decode step could reach if nothing ever waited."""

from __future__ import annotations

from functools import lru_cache

from rdu.builder import Builder
from rdu.builder.transfer import Transfer
from rdu.machine import Machine

STREAMED_BYTES = 2**26


@lru_cache(maxsize=64)
def streaming_gbps(machine: Machine) -> float:
    """GB/s of HBM that reads 64 MiB in order, one round over its channels a request, as many in flight as AGCUs allow.

    Refreshes and the change from row to row are in it; they take 7 to 9 % of an HBM2E's peak.
    """
    granule = machine.hbm.channels * machine.hbm.interleave_bytes
    issue = -(-granule * machine.agcu.issue_cycles // (machine.total_agcus * machine.agcu.bytes_per_cycle))
    in_flight = max(2, machine.agcu.outstanding * machine.total_agcus * machine.agcu.bytes_per_cycle // granule)
    b = Builder()
    transfer = Transfer("hbm", nbytes=granule, outstanding=in_flight)
    b.unit("agcus", firings=-(-STREAMED_BYTES // granule), ii=issue, transfer=transfer)
    return b.build().run(machine=machine).memory["hbm"].gbps
