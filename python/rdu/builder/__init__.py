"""The stream level: units and streams by hand, one by one.

A program is built from *units* that fire and *streams* that carry tokens between them; ``docs/dataflow.md`` explains
the firing rule.
"""

from .builder import Builder
from .nest import Loop, Phase, loop, phase
from .program import StreamProgram
from .result import StreamRun, StreamTotals, UnitTotals
from .trace import Trace, TraceWindow
from .traffic import TierTotals
from .transfer import Transfer

__all__ = [
    "Builder",
    "Loop",
    "Phase",
    "StreamProgram",
    "StreamRun",
    "StreamTotals",
    "TierTotals",
    "Trace",
    "TraceWindow",
    "Transfer",
    "UnitTotals",
    "loop",
    "phase",
]
