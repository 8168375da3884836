"""`rdu.Sram`: costs against the definition of a banked memory, and allocations against the definition of an overlap."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rdu
from rdu.errors import CompileError, MachineError, MemoryDescriptionError, RduError, SramFullError, TransferError
from rdu.memory import Allocation, Buffer, PingPong, Sram

SN40L = Sram("sn40l")
SHARED = Sram("sn40l", bank_ports="1rw")


def buffer(name: str, size: int, first: int, last: int, alignment: int = 64) -> Buffer:
    return Buffer(name, size, first, last, alignment)


ROWS = [buffer("weights", 4096, 0, 9), buffer("scores", 3072, 1, 4), buffer("row", 2048, 3, 6)]
SMALL = Sram(capacity_bytes=8192)


def test_the_numbers_are_the_machine_s() -> None:
    described = rdu.machine("sn40l")
    assert SN40L.to_dict() == {
        "name": "sn40l",
        "capacity_bytes": described.pmu.capacity_bytes,
        "banks": described.pmu.banks,
        "bank_bytes": 4,
        "read_bytes_per_cycle": described.pmu.read_bytes_per_cycle,
        "write_bytes_per_cycle": described.pmu.write_bytes_per_cycle,
        "addresses_per_cycle": described.pmu.addresses_per_cycle,
        "latency_cycles": described.pmu.latency_cycles,
        "bank_ports": "1r1w",
        "address_per_lane": False,
    }
    assert SN40L.pmus == described.total_pmus
    assert Sram(described, banks=32).bank_bytes == 2
    assert Sram(rdu.machine("sn40l", pmu__banks=8)).bank_bytes == 8
    assert Sram("tiny").capacity_bytes == 131072
    json.dumps(SN40L.to_dict())


@pytest.mark.parametrize("stride", [*range(1, 34), 48, 64, -1, -2, -16, -17])
def test_a_stride_costs_what_it_shares_with_the_banks(stride: int) -> None:
    assert SN40L.cycles(stride=stride) == math.gcd(abs(stride), 16)
    assert SN40L.conflicts(stride=stride) == math.gcd(abs(stride), 16) - 1


@given(
    stride=st.integers(-300, 300),
    lanes=st.integers(1, 80),
    element=st.sampled_from([1, 2, 3, 4, 6, 8, 16]),
    base=st.integers(100_000, 100_200),
    row=st.sampled_from([None, 16, 64, 128, 320, 1024]),
)
def test_a_cost_is_a_count(stride: int, lanes: int, element: int, base: int, row: int | None) -> None:
    bytes_touched = {base + lane * stride + at for lane in range(lanes) for at in range(element)}
    words = {byte // 4 for byte in bytes_touched}
    skew = 0 if row is None else max(row, 64) // 4
    banks = [0] * 16
    for word in words:
        banks[(word + (word // skew if skew else 0)) % 16] += 1
    kind: dict[str, Any] = {} if row is None else {"layout": "skewed", "row_bytes": row}
    vector = {"stride_bytes": stride, "lanes": lanes, "element_bytes": element, "base_bytes": base, **kind}
    cost = SN40L.access(**vector)
    assert (cost.words, cost.busiest_bank_words) == (len(words), max(banks))
    assert cost.cycles == max(max(banks), -(-len(words) // 16))
    assert SN40L.bank_words(**vector) == banks
    assert cost.bytes == lanes * element
    assert cost.to_dict()["port_fraction"] == cost.bytes / (64 * cost.cycles)


def test_a_column_under_a_skew_is_free_and_one_lane_more_is_not() -> None:
    column = {"stride_bytes": 1024, "layout": "skewed"}
    assert SN40L.cycles(**column, lanes=16) == 1
    assert SN40L.cycles(**column, lanes=17) == 2
    assert SN40L.cycles(**column, row_bytes=64) == 16
    assert SN40L.cycles(stride_bytes=1024) == 16


@pytest.mark.parametrize("stride", [0, 1, 2, 4, 8, 16, 32, 48, 256, -1, -16, -64])
def test_a_skew_made_for_a_stride_frees_it(stride: int) -> None:
    assert SN40L.cycles(stride=stride, layout="skewed") == 1


def test_gathered_lanes_need_addresses() -> None:
    lanes = np.arange(16) * 68
    assert SN40L.access(addresses=lanes).cycles == 4
    assert Sram(addresses_per_cycle=16).cycles(addresses=lanes) == 1
    assert SN40L.cycles(addresses=np.arange(16) * 64) == 16
    assert Sram(address_per_lane=True).cycles(stride=3) == 4


def test_reads_and_writes_together() -> None:
    assert (SN40L.pair().cycles, SHARED.pair().cycles) == (1, 2)
    assert SHARED.pair({"lanes": 8}, {"lanes": 8, "base_bytes": 32}).cycles == 1
    assert SN40L.pair(read={"stride": 4}).to_dict() == {"cycles": 4, "conflict_cycles": 3}


def test_a_double_buffer_waits_for_the_slower_side() -> None:
    assert SN40L.ping_pong(100, 10, read_vectors=60) == PingPong(1060, 1000, 0, 600, 460, 540, 0)
    assert SN40L.ping_pong(100, 10, read_vectors=60, buffers=1).overlap_cycles == 0
    assert SN40L.ping_pong(10, 5, read={"stride": 2}).elapsed_cycles == 10 + 5 * 20
    assert SHARED.ping_pong(8, 6).elapsed_cycles == 96
    assert SHARED.ping_pong(8, 6).to_dict()["contention_cycles"] > 0


@pytest.mark.parametrize("element", [1, 2, 4])
def test_a_transpose_is_full_rate_under_a_skew(element: int) -> None:
    full = SN40L.transpose(64, 64, element_bytes=element)
    assert (full.cycles, full.conflict_cycles) == (full.vectors, 0)
    assert full.vectors == 64 * 64 * element // 64
    # Rows of a whole line or more: every element of a column lies in the same bank.
    plain = SN40L.transpose(64, 64, element_bytes=element, layout="linear")
    assert plain.to_dict() == {"cycles": 16 * full.cycles, "conflict_cycles": 15 * full.cycles, "vectors": full.vectors}


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        ({"stride": 2.5}, "stride is 2.5"),
        ({"stride": True}, "stride is True"),
        ({"lanes": 0}, "lanes is 0"),
        ({"lanes": 2**30, "stride": 0}, "1073741824 lanes"),
        ({"element_bytes": 0}, "element_bytes is 0"),
        ({"element_bytes": -4}, "element_bytes is -4"),
        ({"base_bytes": 2**19}, "lane 0 touches 4 bytes at address 524288"),
        ({"base_bytes": 0, "stride": -1}, "lane 1 touches 4 bytes at address -4"),
        ({"stride": 2**39}, "beyond any SRAM"),
        ({"stride": 1, "stride_bytes": 4}, "both given"),
        ({"layout": "diagonal"}, "layout is 'diagonal'; give one of 'linear', 'skewed'"),
        ({"layout": "skewed", "row_bytes": 72}, "pad them to 128"),
        ({"row_bytes": 64}, "row_bytes is given for a linear layout"),
        ({"addresses": [0, -1]}, "addresses"),
        ({"addresses": []}, "0 lanes"),
        ({"addresses": [0.5]}, "addresses"),
        ({"addresses": [0], "lanes": 1}, "lanes is given and so are addresses"),
        ({"strides": 1}, "no 'strides'; the nearest is 'stride'"),
        ({"port": "both"}, "port is 'both'"),
    ],
)
def test_a_vector_that_cannot_be_is_named(vector: dict[str, Any], says: str) -> None:
    with pytest.raises(TransferError) as caught:
        SN40L.cycles(**vector)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"banks": 3}, "3 banks do not share 64 bytes a cycle evenly"),
        ({"banks": 0}, "give bank_bytes"),
        ({"banks": 10**6, "bank_bytes": 1}, "banks is 1000000; it must be between 1 and 4096"),
        ({"capacity_bytes": 100}, "capacity_bytes is 100; it must be a multiple of 64"),
        ({"capacity_bytes": 1.5}, "capacity_bytes is 1.5"),
        ({"read_bytes_per_cycle": 128, "bank_bytes": 4}, "read_bytes_per_cycle is 128"),
        ({"latency_cycles": -1}, "latency_cycles is -1"),
        ({"bank_ports": "2rw"}, "bank_ports is '2rw'"),
    ],
)
def test_a_pmu_that_cannot_be_is_named(sizes: dict[str, Any], says: str) -> None:
    with pytest.raises(MemoryDescriptionError) as caught:
        Sram(**sizes)
    assert says in str(caught.value)


def test_an_unknown_machine_names_the_nearest() -> None:
    with pytest.raises(MachineError, match="sn40l"):
        Sram("sn40")


def test_other_bad_numbers_are_named() -> None:
    with pytest.raises(TransferError, match="blocks is 0"):
        SN40L.ping_pong(1, 0)
    with pytest.raises(TransferError, match="pitch_bytes is 2"):
        SN40L.transpose(4, 4, pitch_bytes=2)
    with pytest.raises(TransferError, match="elements of 3 bytes"):
        SN40L.transpose(4, 4, element_bytes=3)
    with pytest.raises(TransferError, match="outside the SRAM"):
        SN40L.transpose(2048, 2048)


def test_an_allocation_tells_where_everything_lies() -> None:
    allocation = Sram(capacity_bytes=9216).allocate(ROWS)
    assert (allocation.high_water_bytes, allocation.lower_bound_bytes, allocation.fullest_step) == (9216, 9216, 3)
    assert allocation.live_bytes(0) == 4096
    assert set(allocation.offsets) == {"weights", "scores", "row"}
    told = json.loads(json.dumps(allocation.to_dict()))
    assert told["pieces"][0] == {
        "buffer": "weights",
        "pmu": 0,
        "offset_bytes": told["pieces"][0]["offset_bytes"],
        "bytes": 4096,
    }
    assert told["pmu_high_water_bytes"] == [9216]


def test_a_mapping_is_a_buffer() -> None:
    rows: list[dict[str, object]] = [{"name": "a", "bytes": np.int64(65), "first_use": 0, "last_use": 0}]
    assert SN40L.allocate(rows).buffers == (buffer("a", 65, 0, 0),)
    assert SN40L.allocate([]).high_water_bytes == 0


def test_what_did_not_fit_is_told_with_what_would() -> None:
    with pytest.raises(SramFullError) as caught:
        SMALL.allocate(ROWS)
    error = caught.value
    assert isinstance(error, CompileError)
    assert (error.buffer, error.needed_bytes, error.free_bytes, error.step) == ("row", 2048, 1024, 3)
    assert error.holders == [("weights", 4096), ("scores", 3072)]
    assert error.fits == {"capacity_bytes": 9216, "pmus": 2, "shrink_bytes": 1024, "shorten": ("weights", 2)}
    assert str(error) == (
        'buffer "row" of 2048 bytes (steps 3 to 6) does not fit into 1 PMU of 8192 bytes: at step 3 1024 bytes are '
        'free (1024 in one piece for its whole life); held by "weights" (4096), "scores" (3072). At step 3 9216 bytes '
        'are alive together. What would fit: PMUs of 9216 bytes; or 2 PMUs; or "row" with at most 1024 bytes; or '
        '"weights" last used at step 2'
    )
    assert Sram(capacity_bytes=9216).allocate(ROWS)
    with pytest.raises(SramFullError):
        Sram(capacity_bytes=9152).allocate(ROWS)
    assert SMALL.allocate(ROWS, pmus=2)


def test_splitting_uses_what_is_left() -> None:
    three = [buffer(name, 5120, 0, 1) for name in "abc"]
    with pytest.raises(SramFullError) as caught:
        SMALL.allocate(three, pmus=2)
    assert caught.value.fits["split"] is True
    split = SMALL.allocate(three, pmus=2, split=True)
    assert [len(pieces) for pieces in split.places.values()] == [1, 1, 2]
    assert split.high_water_bytes == split.lower_bound_bytes == 3 * 5120
    assert set(split.offsets) == {"a", "b"}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"name": "a"}], "buffers[0]: bytes is missing"),
        ([{"name": "", "bytes": 1, "first_use": 0, "last_use": 0}], "buffers[0]: name is ''"),
        ([{"name": "a", "bytes": 1, "first_use": 0, "last_use": 0, "align": 1}], "the nearest is 'alignment_bytes'"),
        (["a"], "buffers[0] is 'a'"),
        ([buffer("a", 0, 0, 0)], "buffer 'a': bytes is 0"),
        ([buffer("a", 1, 2, 1)], 'buffer "a": last_use is 1; it must be at least 2'),
        ([buffer("a", 1, -1, 1)], "buffer 'a': first_use is -1"),
        ([buffer("a", 1, 0, 0, 48)], "alignment_bytes is 48; it must be a power of two"),
        ([buffer("a", 1, 0, 0), buffer("a", 1, 0, 0)], 'two buffers are called "a"'),
    ],
)
def test_a_buffer_that_cannot_be_is_named(rows: list[Any], says: str) -> None:
    with pytest.raises(TransferError) as caught:
        SN40L.allocate(rows)
    assert says in str(caught.value)
    with pytest.raises(TransferError, match="pmus is 0"):
        SN40L.allocate([], pmus=0)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Sram, list[Buffer], int, bool]:
    rows = draw(st.lists(st.tuples(st.integers(1, 900), st.integers(0, 20), st.integers(0, 9)), max_size=14))
    made = [buffer(f"b{at}", size, first, first + more) for at, (size, first, more) in enumerate(rows)]
    return Sram(capacity_bytes=64 * draw(st.integers(16, 60))), made, draw(st.integers(1, 4)), draw(st.booleans())


@given(crowds())
def test_buffers_alive_together_never_overlap(crowd: tuple[Sram, list[Buffer], int, bool]) -> None:
    sram, rows, pmus, split = crowd
    steps = {row.first_use for row in rows}
    least = max((sum(row.bytes for row in rows if row.first_use <= at <= row.last_use) for at in steps), default=0)
    try:
        allocation = sram.allocate(rows, pmus=pmus, split=split)
    except SramFullError:
        # Never where all of them fit one after the other in one PMU.
        assert sum(-(-row.bytes // 64) * 64 for row in rows) > sram.capacity_bytes
        return
    assert allocation.lower_bound_bytes == least <= allocation.high_water_bytes <= sram.capacity_bytes * pmus
    lives = {row.name: row for row in rows}
    for one, two in itertools.combinations(allocation.pieces, 2):
        a, b = lives[one.buffer], lives[two.buffer]
        assert (
            one.pmu != two.pmu
            or a.last_use < b.first_use
            or b.last_use < a.first_use
            or one.offset_bytes + one.bytes <= two.offset_bytes
            or two.offset_bytes + two.bytes <= one.offset_bytes
        )
    for row in rows:
        assert sum(piece.bytes for piece in allocation.places[row.name]) == row.bytes
    assert sram.allocate(rows, pmus=pmus, split=split) == allocation


def test_a_pipeline_of_activations_reaches_the_lower_bound() -> None:
    # As a fused decoder layer leaves them: each lives from its producer to its last reader, the residual longer.
    sizes = {"x": 8192, "normed": 4096, "q": 4096, "k": 1024, "v": 1024, "scores": 16384, "mixed": 4096, "o": 4096}
    lives = {"x": (0, 8), "normed": (1, 4), "q": (2, 5), "k": (3, 5), "v": (4, 6), "scores": (5, 6), "mixed": (6, 7)}
    rows = [buffer(name, size, *lives.get(name, (7, 8))) for name, size in sizes.items()]
    allocation = SN40L.allocate(rows)
    assert allocation.high_water_bytes == allocation.lower_bound_bytes
    assert allocation.high_water_bytes < sum(sizes.values())


def test_the_picture_in_characters() -> None:
    allocation = Sram(capacity_bytes=1024).allocate([buffer("long", 512, 0, 3), buffer("late", 256, 2, 3)])
    assert allocation.to_text(width=4, height=3).splitlines() == [
        "PMU 0: 768 of 1024 bytes, steps 0 to 3",
        "..bb",
        "aaaa",
        "aaaa",
        "a long, b late",
    ]
    assert SN40L.allocate([]).to_text() == "no buffers"
    with pytest.raises(TransferError, match="pmu is 1"):
        allocation.to_text(pmu=1)


def test_the_picture_as_svg_is_xml_with_a_box_for_each_buffer() -> None:
    rows = [buffer("a<b", 512, 0, 3), buffer("c", 256, 2, 3)]
    drawn = ElementTree.fromstring(Sram(capacity_bytes=1024).allocate(rows).to_svg())
    titles = [title.text for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["a<b: 512 bytes at 0, steps 0 to 3", "c: 256 bytes at 512, steps 2 to 3"]
    assert ElementTree.fromstring(SN40L.allocate([]).to_svg()) is not None


def test_an_allocation_is_a_value() -> None:
    allocation = SN40L.allocate(ROWS)
    assert isinstance(allocation, Allocation)
    assert allocation == SN40L.allocate(ROWS)
    assert issubclass(SramFullError, RduError)
    assert repr(SN40L).startswith("Sram('sn40l', capacity_bytes=524288, banks=16")
