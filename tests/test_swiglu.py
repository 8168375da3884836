"""The SwiGLU layer of the STeP paper, cycle by cycle, against what its hardware description took."""

from __future__ import annotations

import pytest

from rdu.errors import GraphError
from rdu.machine import machine
from rdu.studies import swiglu
from rdu.studies.tile_memory import TileMemory, interleave

# Rows, columns: cycles and MB of the hardware description, read from the marks of the published figure (5 cycles).
MEASURED = {
    (16, 16): (36512, 8.48),
    (16, 64): (28804, 6.90),
    (16, 256): (26496, 6.51),
    (32, 32): (17923, 4.27),
    (32, 128): (15014, 3.48),
    (64, 16): (16524, 3.75),
    (64, 64): (9700, 2.17),
    (64, 256): (8804, 1.77),
}
ALL = [(rows, columns) for rows in (16, 32, 64) for columns in (16, 32, 64, 128, 256, 512)]


def test_cycles_are_those_of_the_hardware_description() -> None:
    # Nothing is fitted. What is not modelled: banks and rows of the DRAM, turns that a blocked port loses.
    errors = {block: swiglu(*block).cycles / cycles - 1 for block, (cycles, _) in MEASURED.items()}
    assert sum(map(abs, errors.values())) / len(errors) < 0.05, errors
    assert max(map(abs, errors.values())) < 0.10, errors


@pytest.mark.parametrize("block", ALL)
def test_traffic(block: tuple[int, int]) -> None:
    rows, columns = block
    formula = 4 * (3 * 256 * 512 * (64 // rows) + 64 * 256 * (512 // columns) + 64 * 256)
    assert swiglu(rows, columns).bytes == formula
    if block in MEASURED:
        # The marks are known to 0.002 MB, and each tile of the figure carries some bytes beside its elements.
        assert formula == pytest.approx(MEASURED[block][1] * 1e6, rel=0.005)


@pytest.mark.parametrize("block", ALL)
def test_no_bound_is_beaten(block: tuple[int, int]) -> None:
    found = swiglu(*block)
    memory = found.bytes / machine("step").hbm.peak_gbps
    # Tile products of one matrix unit; gate and up run side by side, and the last block's down comes after its gate.
    products = 4 * 32 * 16
    last = products // ((64 // block[0]) * (512 // block[1]))
    assert found.cycles > max(memory, products + last)


def test_step_and_fast_agree() -> None:
    for block in ((16, 64), (64, 128)):
        assert swiglu(*block, mode="step").run.to_dict() | {"mode": "fast"} == swiglu(*block).run.to_dict()


def test_one_allocation_serves_all_blocks() -> None:
    units = {swiglu(*block).program.units for block in ALL}
    assert len(units) == 1
    shown = [unit for unit in units.pop() if not unit.startswith(("ask.", "port."))]
    step = machine("step")
    assert sum(unit.startswith("write.") for unit in shown) == step.total_pmus
    computing = {"gate", "up", "down", "silu_mul", "sum.gate", "sum.up", "sum.down"}
    assert computing <= set(shown)
    # One unit of the program is the silu and the multiplication.
    assert len(computing) + 1 == step.total_pcus


def test_faster_memory_helps_until_the_matrix_units_hold_it_up() -> None:
    cycles = [swiglu(64, 64, machine("step", hbm__peak_gbps=gbps)).cycles for gbps in (128, 256, 512, 1024)]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > 1.6 * cycles[1]
    slow = machine("step", hbm__peak_gbps=1024, pcu__bf16_flops_per_cycle=2048)
    assert swiglu(64, 64, slow).cycles > 4 * 4 * 32 * 16


def test_the_interface_in_tiles() -> None:
    memory = TileMemory.of(machine("step"), 1024)
    # 1024 bytes at 256 GB/s; two requests in the turns of four ports; 64 requests; 3900 ns and 160 ns.
    assert (memory.tile_cycles, memory.turn_cycles, memory.window_tiles) == (4, 8, 32)
    assert (memory.refresh_tiles, memory.refresh_cycles) == (975, 160)


def test_interleaving_is_even_at_every_moment() -> None:
    shares = {"a": 12, "b": 3, "c": 5}
    order = interleave(shares)
    for at in range(len(order) + 1):
        for port, count in shares.items():
            assert abs(order[:at].count(port) - at * count / len(order)) <= 1


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        (48, 16, "rows is 48; give a multiple of 16 that divides 64"),
        (16, 24, "columns is 24; give a multiple of 16 that divides 512"),
        (True, 16, "rows is True"),
        (16, 1024, "columns is 1024"),
        ("16", 16, "rows is '16'"),
    ],
)
def test_impossible_blocks(rows: object, columns: object, said: str) -> None:
    with pytest.raises(GraphError, match=said):
        swiglu(rows, columns)  # type: ignore[arg-type]


def test_a_memory_unit_that_is_too_small() -> None:
    with pytest.raises(GraphError, match=r"w.gate needs room for 512 tiles, pmu.capacity_bytes is 256 of them"):
        swiglu(16, 256, machine("step", pmu__capacity_bytes=2**18))
