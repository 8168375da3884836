"""Memory by itself: DRAM devices timed command by command."""

from rdu.memory.description import Entry
from rdu.memory.dram import Dram
from rdu.memory.presets import names
from rdu.memory.regions import Region
from rdu.memory.replay import COMMANDS, IDLE_CAUSES, LatencyHistogram, Replay

__all__ = ["COMMANDS", "IDLE_CAUSES", "Dram", "Entry", "LatencyHistogram", "Region", "Replay", "names"]
