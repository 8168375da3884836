"""The machine is data: what an RDU is made of, each number with its unit, status and source."""

from rdu.machine.description import PARAMETERS, Entry, Machine
from rdu.machine.file import machine, names, read
from rdu.machine.parameter import OVERRIDE, STATUSES, Number, Parameter, Provenance, Word
from rdu.machine.sections import Agcu, Call, Ddr, DieToDie, Grid, Hbm, Host, Mapping, Network, P2p, Pcu, Pmu, Rack, Tier

__all__ = [
    "OVERRIDE",
    "PARAMETERS",
    "STATUSES",
    "Agcu",
    "Call",
    "Ddr",
    "DieToDie",
    "Entry",
    "Grid",
    "Hbm",
    "Host",
    "Machine",
    "Mapping",
    "Network",
    "Number",
    "P2p",
    "Parameter",
    "Pcu",
    "Pmu",
    "Provenance",
    "Rack",
    "Tier",
    "Word",
    "machine",
    "names",
    "read",
]
