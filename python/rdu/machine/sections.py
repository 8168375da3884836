"""The sections of a machine description, in the order of a data sheet. Per socket, unless a line says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from rdu.machine.parameter import Number, Word

MAX_BYTES = 2**50
MAX_GBPS = 1e6
MAX_NS = 1e9
MAX_US = 1e6
# Pages in machines/dram.
DEVICES = ("hbm2-2000", "hbm2e-3200", "hbm2e-3600", "hbm3-6400", "ddr4-3200", "ddr5-4800")


@dataclass(frozen=True)
class Grid:
    """Units of a socket and the switch mesh of one tile."""

    dies: Annotated[int, Number("dies", "dies of a socket", maximum=64)]
    tiles_per_die: Annotated[int, Number("tiles", "tiles of a die", maximum=64)]
    pcus_per_tile: Annotated[int, Number("PCUs", "pattern compute units of a tile", maximum=2**16)]
    pmus_per_tile: Annotated[int, Number("PMUs", "pattern memory units of a tile", maximum=2**16)]
    rows: Annotated[int, Number("switches", "rows of a tile's switch mesh", maximum=4096)]
    columns: Annotated[int, Number("switches", "columns of a tile's switch mesh", maximum=4096)]
    agcus_per_tile: Annotated[int, Number("AGCUs", "address generation units of a tile", maximum=4096)]


@dataclass(frozen=True)
class Pcu:
    """One pattern compute unit."""

    bf16_flops_per_cycle: Annotated[int, Number("FLOP/cycle", "bf16 peak, a fused multiply-add counts two")]
    fp32_flops_per_cycle: Annotated[int, Number("FLOP/cycle", "fp32 peak, a fused multiply-add counts two")]
    int8_ops_per_cycle: Annotated[int, Number("op/cycle", "int8 peak, a multiply-add counts two")]
    pipeline_cycles: Annotated[int, Number("cycles", "latency from a firing's inputs to its output", maximum=4096)]
    # The kernels compute in vectors of 64 bytes; another width would be a number nobody obeys.
    vector_bytes: Annotated[int, Number("bytes", "width of a token", minimum=64, maximum=64)]
    lanes: Annotated[int, Number("lanes", "SIMD lanes", maximum=1024, engine=False)]
    stages: Annotated[int, Number("stages", "SIMD pipeline stages", maximum=1024, engine=False)]

    @property
    def flops_per_cycle(self) -> dict[str, int]:
        """The peaks by type of the multiplications."""
        return {"bf16": self.bf16_flops_per_cycle, "fp32": self.fp32_flops_per_cycle, "int8": self.int8_ops_per_cycle}


@dataclass(frozen=True)
class Pmu:
    """One pattern memory unit."""

    capacity_bytes: Annotated[int, Number("bytes", "SRAM", minimum=64, maximum=2**40, multiple=64)]
    read_bytes_per_cycle: Annotated[int, Number("bytes/cycle", "read port, beside the write port")]
    write_bytes_per_cycle: Annotated[int, Number("bytes/cycle", "write port, beside the read port")]
    banks: Annotated[int, Number("banks", "SRAM banks", maximum=4096, engine=False)]
    latency_cycles: Annotated[int, Number("cycles", "from a vector's arrival to its earliest leaving", maximum=4096)]
    addresses_per_cycle: Annotated[int, Number("addresses/cycle", "addresses taken", maximum=64, engine=False)]


@dataclass(frozen=True)
class Network:
    """The vector fabric of a tile: a mesh of switches with credit flow control."""

    vector_bytes_per_cycle: Annotated[int, Number("bytes/cycle", "one link, each direction", maximum=4096)]
    hop_cycles: Annotated[int, Number("cycles", "a vector's time for a switch and its link", maximum=1024)]
    credit_hop_cycles: Annotated[int, Number("cycles", "a credit's time for a hop back", minimum=0, maximum=1024)]
    fifo_vectors: Annotated[int, Number("vectors", "input FIFO of a unit")]


@dataclass(frozen=True)
class Agcu:
    """One address generation and coalescing unit: a tile's door to memory, the host and other sockets."""

    bytes_per_cycle: Annotated[int, Number("bytes/cycle", "data moved", maximum=4096)]
    outstanding: Annotated[int, Number("requests", "transfers in flight at once")]
    issue_cycles: Annotated[int, Number("cycles", "between two requests", maximum=4096)]


@dataclass(frozen=True)
class Tier:
    """What HBM and DDR have in common: a DRAM device, brought to these channels, this bandwidth and this capacity."""

    device: Annotated[str, Word(DEVICES, "preset whose organisation, timings and controller the channels have")]
    capacity_bytes: Annotated[int, Number("bytes", "capacity", maximum=MAX_BYTES)]
    peak_gbps: Annotated[float, Number("GB/s", "peak bandwidth, all channels", minimum=0.001, maximum=MAX_GBPS)]
    channels: Annotated[int, Number("channels", "independent channels", maximum=4096)]
    interleave_bytes: Annotated[
        int, Number("bytes", "consecutive bytes of one channel", minimum=64, maximum=2**30, multiple=64)
    ]
    interleave: Annotated[
        str, Word(("plain", "hashed"), "hashed turns each round over the channels by a hash: strides spread too")
    ]
    network_ns: Annotated[
        float,
        Number("ns", "AGCU to memory controller and back, beside the device's own time", minimum=0, maximum=MAX_NS),
    ]
    refresh_interval_ns: Annotated[float, Number("ns", "between two refreshes (tREFI)", minimum=1, maximum=MAX_NS)]
    refresh_ns: Annotated[
        float, Number("ns", "a channel is shut for a refresh (tRFC); 0: never", minimum=0, maximum=MAX_NS)
    ]


@dataclass(frozen=True)
class Hbm(Tier):
    """High-bandwidth memory."""

    stacks: Annotated[int, Number("stacks", "stacks on the interposer", maximum=64, engine=False)]


@dataclass(frozen=True)
class Ddr(Tier):
    """Large memory behind HBM."""

    to_hbm_gbps: Annotated[
        float, Number("GB/s", "copy rate from DDR to HBM", minimum=0.001, maximum=MAX_GBPS, engine=False)
    ]


@dataclass(frozen=True)
class Call:
    """Cost of a kernel call, by who orders its three steps."""

    ordering: Annotated[str, Word(("software", "hardware"), "who orders the steps: the host's software or the AGCUs")]
    software_program_load_us: Annotated[
        float, Number("us", "program load, when the configuration changes; host-ordered", minimum=0, maximum=MAX_US)
    ]
    software_argument_load_us: Annotated[float, Number("us", "argument load; host-ordered", minimum=0, maximum=MAX_US)]
    software_execute_us: Annotated[float, Number("us", "start of execution; host-ordered", minimum=0, maximum=MAX_US)]
    hardware_program_load_us: Annotated[
        float, Number("us", "program load, when the configuration changes; AGCU-ordered", minimum=0, maximum=MAX_US)
    ]
    hardware_argument_load_us: Annotated[float, Number("us", "argument load; AGCU-ordered", minimum=0, maximum=MAX_US)]
    hardware_execute_us: Annotated[float, Number("us", "start of execution; AGCU-ordered", minimum=0, maximum=MAX_US)]


@dataclass(frozen=True)
class P2p:
    """Socket to socket."""

    ports: Annotated[int, Number("ports", "links of a socket", maximum=1024, engine=False)]
    gbps: Annotated[float, Number("GB/s", "all ports, each direction", minimum=0.001, maximum=MAX_GBPS)]
    latency_ns: Annotated[float, Number("ns", "tile to tile", minimum=0, maximum=MAX_NS)]
    all_reduce: Annotated[
        str,
        Word(
            ("exchange", "scatter", "ring"),
            "sums over sockets: each sends all to all; each adds and returns its share; from neighbour to neighbour",
        ),
    ]
    collective: Annotated[
        str,
        Word(("streamed", "kernel"), "a sum over sockets streams out of the kernel of its parts, or is one of its own"),
    ]


@dataclass(frozen=True)
class DieToDie:
    """Between the dies of a socket."""

    gbps: Annotated[float, Number("GB/s", "each direction", minimum=0.001, maximum=MAX_GBPS, engine=False)]
    latency_ns: Annotated[float, Number("ns", "added to a route", minimum=0, maximum=MAX_NS)]


@dataclass(frozen=True)
class Host:
    """The link to the host."""

    gbps: Annotated[float, Number("GB/s", "each direction", minimum=0.001, maximum=MAX_GBPS, engine=False)]
    latency_ns: Annotated[float, Number("ns", "one way", minimum=0, maximum=MAX_NS, engine=False)]


@dataclass(frozen=True)
class Rack:
    """How sockets are sold."""

    sockets_per_node: Annotated[int, Number("sockets", "sockets of a node", maximum=4096, engine=False)]
    sockets_per_rack: Annotated[int, Number("sockets", "sockets of a rack", maximum=2**16, engine=False)]
    typical_kw: Annotated[float, Number("kW", "power of a rack", minimum=0.001, maximum=1e5, engine=False)]


@dataclass(frozen=True)
class Mapping:
    """Choices of the mapping that belong to the machine: how the compiler spends its units and its SRAM."""

    weight_buffer_vectors: Annotated[int, Number("vectors", "SRAM given to one weight stream", maximum=2**32)]
    cache_tile: Annotated[
        int, Number("positions", "cached positions that attention takes at a time: it reads whole tiles", maximum=2**16)
    ]
    prefill_block: Annotated[int, Number("positions", "positions of one kernel call in prefill", maximum=2**16)]
    prefill_wave: Annotated[
        int, Number("positions", "positions that stream through the operators together in prefill", maximum=2**16)
    ]
    activation_buffering: Annotated[int, Number("buffers", "copies of an activation (2: double)", maximum=64)]
    most_splits: Annotated[int, Number("parts", "parts that a sum is split into at most", maximum=1024)]
    split_padding: Annotated[
        float,
        Number("share", "padding that the parts of a split sum may have in decode steps", minimum=0.001, maximum=1),
    ]
    attention_share: Annotated[
        float, Number("share", "of the PCUs and PMUs, what attention gets at most in a step", minimum=0.001, maximum=1)
    ]
    attention_share_alone: Annotated[
        float,
        Number("share", "the same in a kernel without linear operators, or 2/3 or 1/3 of it", minimum=0.001, maximum=1),
    ]
    batch_share: Annotated[
        float, Number("share", "of the PCUs, what works side by side on sequences of a batch", minimum=0.001, maximum=1)
    ]
    waves_ahead: Annotated[
        int, Number("waves", "waves of a prompt that an addition keeps of the input that is ahead", maximum=1024)
    ]
    least_wave: Annotated[int, Number("positions", "positions of a wave in prefill at least", maximum=2**16)]
    longest_lane: Annotated[
        float, Number("times", "an even share of a prompt's weights that a PCU may have at most", minimum=1)
    ]

    def held(self, past: int) -> int:
        """Cached positions that are moved for a call with ``past`` behind it: whole tiles."""
        return -(-past // self.cache_tile) * self.cache_tile
