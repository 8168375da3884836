"""Memory by itself: DRAM devices timed command by command, tile SRAM bank by bank, copies between tiers."""

from rdu.memory.allocation import Allocation, Buffer, Piece
from rdu.memory.copy import Copy, CopyEngine, add_copy, copy
from rdu.memory.description import Entry
from rdu.memory.dram import Dram
from rdu.memory.presets import names
from rdu.memory.regions import Region
from rdu.memory.replay import COMMANDS, IDLE_CAUSES, LatencyHistogram, Replay
from rdu.memory.sram import Sram
from rdu.memory.vector import Vector
from rdu.memory.vector_cost import PairCost, PingPong, TransposeCost, VectorCost

__all__ = [
    "COMMANDS",
    "IDLE_CAUSES",
    "Allocation",
    "Buffer",
    "Copy",
    "CopyEngine",
    "Dram",
    "Entry",
    "LatencyHistogram",
    "PairCost",
    "Piece",
    "PingPong",
    "Region",
    "Replay",
    "Sram",
    "TransposeCost",
    "Vector",
    "VectorCost",
    "add_copy",
    "copy",
    "names",
]
