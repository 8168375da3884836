"""The stream level: units and streams by hand, one by one.

A program is built from *units* that fire and *streams* that carry tokens between them; ``docs/dataflow.md`` explains
the firing rule.
"""

from .builder import Builder
from .program import StreamProgram
from .result import StreamRun, StreamTotals, UnitTotals

__all__ = ["Builder", "StreamProgram", "StreamRun", "StreamTotals", "UnitTotals"]
