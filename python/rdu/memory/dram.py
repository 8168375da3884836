"""`rdu.Dram`: the memory model by itself. Addresses in, time and statistics out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy.typing as npt

from rdu import _core
from rdu.errors import TransferError
from rdu.memory.description import Description, Entry
from rdu.memory.presets import Given, read
from rdu.memory.regions import Region, checked, interleaved
from rdu.memory.replay import Replay, replay_of
from rdu.memory.requests import number, requests
from rdu.memory.section import Section

MOST = 2**53


class Dram:
    """A DRAM device: stacks of channels of banks, timed command by command.

    Parameters
    ----------
    described : str, path, mapping or Dram
        A preset (`rdu.memory.names`), a TOML file, a mapping of timings and organisation, or a memory to change.
    **overrides
        Dotted keys with ``__`` for the dot: ``timings__trp=20``, ``controller__read_queue=16``. The rest of a key may
        be left out where the last part says it all: ``trp=20``.

    Raises
    ------
    MemoryDescriptionError
        Unknown name or key (names the nearest), a value of the wrong kind, or a memory that cannot be: tRC below
        tRAS + tRP, a size that is no power of two where the address map needs one, bits that the map leaves out.

    Examples
    --------
    >>> import numpy as np
    >>> import rdu
    >>> dram = rdu.Dram("ddr4-3200")
    >>> result = dram.replay(np.arange(10_000) * 64, 64, outstanding=32)
    >>> result.bytes, result.row_hit_rate > 0.99, result.peak_fraction > 0.9
    (640000, True, True)
    """

    def __init__(self, described: Given | Dram = "hbm2e-3200", **overrides: object) -> None:
        whole: Description = described._description if isinstance(described, Dram) else read(described)
        settings = {_full(key.replace("__", "."), whole.values): value for key, value in overrides.items()}
        self._description: Description = whole.override(settings) if settings else whole
        self._core = _core.Dram(self._description.config())
        facts = self._core.facts()
        self.name: str = whole.name
        self.title: str = whole.title
        #: Bytes of the whole device.
        self.capacity_bytes: int = facts["capacity_bytes"]
        #: GB/s with every data bus always busy (GB = 1e9 bytes).
        self.peak_gbps: float = facts["peak_bytes_per_second"] / 1e9
        #: Bytes that one command moves; a request is cut into so many.
        self.burst_bytes: int = facts["burst_bytes"]
        #: Channels of all stacks.
        self.channels: int = facts["channels"]
        #: Time in ns that the controller decides in; all times are multiples of it.
        self.tick_ns: float = facts["tick_fs"] * 1e-6

    @property
    def organisation(self) -> Section:
        """Resolved values: ``dram.organisation.rows``."""
        return self._section("organisation")

    @property
    def timings(self) -> Section:
        """Resolved values in CK, and the clock in fs: ``dram.timings.trcd_rd``, ``dram.timings["tck_fs"]``."""
        return self._section("timings")

    @property
    def controller(self) -> Section:
        """Resolved values: ``dram.controller.scheduler``."""
        return self._section("controller")

    @property
    def map(self) -> Section:
        """Resolved values: ``dram.map.fields``."""
        return self._section("map")

    def entries(self) -> Iterator[Entry]:
        """Every number with its unit, status, source and meaning, in the order of a data sheet."""
        return self._description.entries()

    def to_dict(self) -> dict[str, object]:
        """The resolved description with provenance, of plain types; `Dram` takes it back."""
        return self._description.to_dict()

    def replay(
        self,
        addresses: npt.ArrayLike,
        nbytes: npt.ArrayLike | None = None,
        is_write: npt.ArrayLike = False,
        *,
        outstanding: int | None = None,
        arrival: npt.ArrayLike | None = None,
        warmup: int = 0,
        measure: int | None = None,
        latencies: bool = False,
        trace: int = 0,
        skip: bool = True,
    ) -> Replay:
        """Serve requests, in the order given, and say how long it takes.

        Parameters
        ----------
        addresses : (n,) integers
            First byte of each request. 64-bit integers are borrowed, not copied.
        nbytes : integer or (n,) integers, optional
            Bytes of each. Default: one burst. More than a burst is cut into bursts.
        is_write : bool or (n,) bool
        outstanding : int, optional
            Reads in flight at most, one queue for all channels. Default: traffic saturates, as much as the controllers
            accept, each channel with a queue of reads and one of writes.
        arrival : number or (n,) numbers, optional
            Time in ns before which a request is not made, never falling. Default: 0.
        warmup : int
            Bursts that are served before anything is counted.
        measure : int, optional
            Bursts to count; what is left of the requests only keeps the queues full. Default: all.
        latencies : bool
            Also give when each request was accepted and when it was done.
        trace : int
            Also give the first so many commands.
        skip : bool
            Jump over states that repeat; it changes nothing but the time that the replay takes.

        Returns
        -------
        Replay

        Raises
        ------
        TransferError
            A request outside the memory or of no bytes, a wrong type or shape, lengths that do not fit together.
        """
        made = requests(addresses, self.burst_bytes if nbytes is None else nbytes, is_write, arrival)
        given = (made.addresses, made.nbytes, made.is_write, made.arrivals_ps)
        asked = _asked(outstanding, warmup, measure, latencies, trace, skip)
        return self._result(len(made.addresses), self._core.replay(given, asked), asked)

    def read(
        self,
        start: int = 0,
        nbytes: int | None = None,
        *,
        stride: int | None = None,
        request_bytes: int | None = None,
        outstanding: int | None = None,
        warmup: int = 0,
        trace: int = 0,
        skip: bool = True,
    ) -> Replay:
        """Read a region from its beginning to its end, without an array of addresses, however long it is.

        Parameters
        ----------
        start, nbytes : int
            The region. Default: from ``start`` to the end of the memory.
        stride : int, optional
            From one request to the next. Default: ``request_bytes``.
        request_bytes : int, optional
            Default: one burst.
        outstanding, warmup, trace, skip
            As in `replay`.
        """
        return self._pattern(start, nbytes, stride, request_bytes, False, outstanding, warmup, trace, skip)

    def write(
        self,
        start: int = 0,
        nbytes: int | None = None,
        *,
        stride: int | None = None,
        request_bytes: int | None = None,
        outstanding: int | None = None,
        warmup: int = 0,
        trace: int = 0,
        skip: bool = True,
    ) -> Replay:
        """Write a region from its beginning to its end; as `read`."""
        return self._pattern(start, nbytes, stride, request_bytes, True, outstanding, warmup, trace, skip)

    def stream(
        self,
        regions: Sequence[Region | tuple[int, int] | tuple[int, int, bool]],
        *,
        request_bytes: int | None = None,
        outstanding: int | None = None,
        latencies: bool = False,
    ) -> Replay:
        """Read and write several regions at the same time: they take turns, a request each, until each is done.

        Parameters
        ----------
        regions : sequence of Region or (start, nbytes) or (start, nbytes, is_write)
        request_bytes : int, optional
            Default: one burst.
        outstanding, latencies
            As in `replay`.

        Raises
        ------
        TransferError
            No regions, an empty one, one outside the memory, or two that overlap.
        """
        size = self._request_bytes(request_bytes)
        addresses, sizes, writes = interleaved(checked(regions, self.capacity_bytes), size)
        return self.replay(addresses, sizes, writes, outstanding=outstanding, latencies=latencies)

    def __repr__(self) -> str:
        return f"<Dram {self.name}: {self.channels} channels, {self.capacity_bytes} bytes, {self.peak_gbps:.2f} GB/s>"

    def __reduce__(self) -> tuple[type[Dram], tuple[dict[str, object]]]:
        return Dram, (self.to_dict(),)

    def _section(self, name: str) -> Section:
        values = self._description.config()[name]
        assert isinstance(values, dict)
        return Section({key: Section(value) if isinstance(value, dict) else value for key, value in values.items()})

    def _pattern(
        self,
        start: int,
        nbytes: int | None,
        stride: int | None,
        request_bytes: int | None,
        is_write: bool,
        outstanding: int | None,
        warmup: int,
        trace: int,
        skip: bool,
    ) -> Replay:
        first = number("start", start, 0, self.capacity_bytes - 1)
        room = self.capacity_bytes - first
        length = room if nbytes is None else number("nbytes", nbytes, 1, room)
        size = self._request_bytes(request_bytes)
        step = size if stride is None else number("stride", stride, 1, self.capacity_bytes)
        if size > length:
            raise TransferError(f"request_bytes={size} is more than the region's nbytes={length}")
        count = (length - size) // step + 1
        asked = _asked(outstanding, warmup, None, False, trace, skip)
        return self._result(count, self._core.replay_pattern((first, step, count, size, is_write), asked), asked)

    def _result(self, requests: int, made: _core._ReplayMade, asked: _core._ReplayAsked) -> Replay:
        if not made["read_bursts"] + made["written_bursts"]:
            raise TransferError(f"warmup is {asked['warmup']}: it leaves no burst of {requests} requests to count")
        return replay_of(self.name, requests, self.burst_bytes, self.peak_gbps, self.tick_ns, made)

    def _request_bytes(self, given: int | None) -> int:
        return self.burst_bytes if given is None else number("request_bytes", given, 1, self.capacity_bytes)


def _asked(
    outstanding: int | None, warmup: int, measure: int | None, latencies: bool, trace: int, skip: bool
) -> _core._ReplayAsked:
    return {
        "outstanding": None if outstanding is None else number("outstanding", outstanding, 1, MOST),
        "warmup": number("warmup", warmup, 0, MOST),
        "measure": None if measure is None else number("measure", measure, 1, MOST),
        "times": bool(latencies),
        "trace": number("trace", trace, 0, MOST),
        "skip": bool(skip),
    }


def _full(key: str, known: object) -> str:
    """The whole key where only its last part is given and no other key ends so."""
    assert isinstance(known, dict)
    found = [candidate for candidate in known if candidate.rpartition(".")[2] == key]
    return str(found[0]) if len(found) == 1 and key not in known else key
