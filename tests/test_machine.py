"""The machine files and what reads them: provenance, bounds, overrides, files of a user, derived numbers, the table."""

from __future__ import annotations

import copy
import json
import pickle
import re
import tomllib
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rdu.errors import MachineError
from rdu.machine import PARAMETERS, STATUSES, Machine, Number, Parameter, Word, combinations, machine, names, read
from rdu.machine.combinations import RULES, Rule
from rdu.report.machine_table import describe

ROOT = Path(__file__).parent.parent
SHIPPED = {path.stem: path for path in (ROOT / "python" / "rdu" / "machines").glob("*.toml")}
NUMBERS = [parameter for parameter in PARAMETERS.values() if isinstance(parameter.bound, Number)]
# Keys whose range depends on another key: alone they may well be refused.
COMBINED = {
    *("grid.pcus_per_tile", "grid.pmus_per_tile", "grid.rows", "grid.columns", "grid.dies", "grid.tiles_per_die"),
    *(f"{tier}.{key}" for tier in ("hbm", "ddr") for key in ("capacity_bytes", "channels", "interleave_bytes")),
    *(f"{tier}.{key}" for tier in ("hbm", "ddr") for key in ("refresh_ns", "refresh_interval_ns")),
    *("pmu.capacity_bytes", "mapping.weight_buffer_vectors"),
}


def tree_of(name: str) -> dict[str, Any]:
    return tomllib.loads(SHIPPED[name].read_text())


def written(tmp_path: Path, text: str, name: str = "mine.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


# The shipped files.


def test_names_are_the_files() -> None:
    assert names() == sorted(SHIPPED)
    assert {"sn40l", "tiny"} <= set(names())


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_machine_is_called_as_its_file(name: str) -> None:
    assert machine(name).name == name


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_number_has_a_unit_a_status_and_a_source(name: str) -> None:
    entries = list(machine(name).parameters())
    assert [entry.key for entry in entries] == list(PARAMETERS)
    for entry in entries:
        parameter = PARAMETERS[entry.key]
        assert entry.status in STATUSES
        assert len(entry.source) >= 8, f"{entry.key}: {entry.source!r} is no source"
        assert bool(entry.unit) == isinstance(parameter.bound, Number)
        assert entry.doc
        assert isinstance(entry.value, parameter.kind)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_files_keep_the_order_of_the_data_sheet(name: str) -> None:
    keys = [
        f"{section}.{key}" if "value" not in value else section
        for section, value in tree_of(name).items()
        if isinstance(value, dict)
        for key in (value if "value" not in value else [""])
    ]
    whole = "extends" not in tree_of(name)
    assert keys == [key for key in PARAMETERS if whole or key in keys]


def test_sources_name_no_place_of_the_authors_machine() -> None:
    for name in SHIPPED:
        assert not re.search(r"(^|[\s\"(])(/\w|\.\.?/)", SHIPPED[name].read_text())


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("sockets", 1, "assumed"),
        ("clock_ghz", 1.6, "assumed"),
        ("pmu.capacity_bytes", 2**19, "published"),
        ("pcu.bf16_flops_per_cycle", 384, "derived"),
        ("pcu.fp32_flops_per_cycle", 192, "assumed"),
        ("hbm.capacity_bytes", 64 * 2**30, "published"),
        ("hbm.peak_gbps", 1800.0, "published"),
        ("ddr.capacity_bytes", 3 * 2**39, "published"),
        ("ddr.peak_gbps", 200.0, "published"),
        ("hbm.channels", 32, "derived"),
        ("ddr.channels", 12, "derived"),
        ("p2p.ports", 10, "published"),
    ],
)
def test_sn40l_says_what_its_maker_says(key: str, value: float, status: str) -> None:
    entry = next(entry for entry in machine("sn40l").parameters() if entry.key == key)
    assert (entry.value, entry.status) == (value, status)


def test_sn40l_adds_up_to_its_published_totals() -> None:
    sn40l = machine()
    assert (sn40l.tiles, sn40l.total_pcus, sn40l.total_pmus, sn40l.total_agcus) == (4, 1040, 1040, 32)
    assert sn40l.sram_bytes == 520 * 2**20
    # Published as 638; 384 FLOP/cycle is the whole number next to it.
    assert sn40l.peak_flops("bf16") == pytest.approx(638e12, rel=0.002)
    assert sn40l.peak_flops("fp32") == sn40l.peak_flops("bf16") / 2
    assert sn40l.peak_flops("int8") == sn40l.peak_flops("bf16") * 2
    # Lanes x stages x two bf16 in 32 bits x multiply and add.
    assert sn40l.pcu.lanes * sn40l.pcu.stages * 2 * 2 == sn40l.pcu.bf16_flops_per_cycle


def test_sn40l_can_ask_for_what_its_hbm_can_give() -> None:
    # Little's law: requests in flight cover the latency at peak bandwidth (44 ns of it in the device), else HBM starves
    # by description.
    sn40l = machine()
    in_flight_bytes = sn40l.total_agcus * sn40l.agcu.outstanding * sn40l.pcu.vector_bytes
    assert in_flight_bytes >= (sn40l.hbm.network_ns + 44) * sn40l.hbm.peak_gbps
    assert sn40l.total_agcus * sn40l.agcu.bytes_per_cycle * sn40l.clock_ghz >= sn40l.hbm.peak_gbps


def test_call_costs_what_one_call_per_layer_exposes_beyond_looping() -> None:
    # 30 to 45 us are exposed per layer with a call for each (derived); looped, about 12.7.
    assert 30 - 12.7 <= machine().call_us(program_load=False) <= 45 - 12.7
    hardware = machine(call__ordering="hardware")
    assert 1 <= hardware.call_us(program_load=False) <= 2
    assert hardware.call_us(program_load=True) == pytest.approx(
        hardware.call_us(program_load=False) + hardware.call.hardware_program_load_us
    )


def test_tiny_is_small_and_made_up() -> None:
    tiny = machine("tiny")
    assert (tiny.tiles, tiny.total_pcus, tiny.total_pmus, tiny.hbm.channels) == (1, 64, 64, 4)
    assert {entry.status for entry in tiny.parameters()} == {"assumed"}


# Reading values.


def test_values_are_attributes_and_dotted_keys() -> None:
    sn40l = machine()
    assert sn40l["hbm.peak_gbps"] == sn40l.hbm.peak_gbps
    assert sn40l["clock_ghz"] == sn40l.clock_ghz
    with pytest.raises(MachineError, match=r"'hbm.peak_gbs'.*nearest is 'hbm.peak_gbps'"):
        sn40l["hbm.peak_gbs"]
    with pytest.raises(MachineError, match="unknown key 'hbm'"):
        sn40l["hbm"]


def test_machine_is_a_value() -> None:
    sn40l = machine()
    with pytest.raises(FrozenInstanceError):
        sn40l.hbm.channels = 1  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(sn40l)) == sn40l
    assert len({sn40l, machine(), machine("tiny")}) == 2


@pytest.mark.parametrize(
    ("clock_ghz", "ns", "cycles"),
    [
        (1.6, 0, 0),
        (1.6, 3900, 6240),
        (1.6, 0.1, 1),
        (1.6, 0.625, 1),
        (1.6, 0.626, 2),
        # In binary 0.7 x 10 is 7.0 and 1.1 x 10 is 11.000000000000002.
        (10, 0.7, 7),
        (10, 1.1, 11),
        (1.0, 1e-9, 1),
    ],
)
def test_cycles_cover_the_time_and_no_more(clock_ghz: float, ns: float, cycles: int) -> None:
    assert machine("tiny", clock_ghz=clock_ghz).cycles(ns) == cycles


@pytest.mark.parametrize("ns", [-1, float("nan"), float("inf")])
def test_cycles_of_no_time(ns: float) -> None:
    with pytest.raises(MachineError, match="has no cycles"):
        machine("tiny").cycles(ns)


def test_peak_of_an_unknown_dtype() -> None:
    with pytest.raises(MachineError, match=r"'fp8'.*bf16, fp32, int8"):
        machine().peak_flops("fp8")


# Overrides.


def test_override_changes_one_number_and_says_so() -> None:
    base, faster = machine(), machine(hbm__peak_gbps=3000)
    changed = [(old, new) for old, new in zip(base.parameters(), faster.parameters(), strict=True) if old != new]
    ((old, new),) = changed
    assert (new.key, new.value, new.status) == ("hbm.peak_gbps", 3000.0, "override")
    assert old.source in new.source
    assert "1800" in new.source


def test_second_override_still_names_the_described_value() -> None:
    twice = machine(hbm__peak_gbps=3000).override({"hbm.peak_gbps": "4000"})
    (entry,) = [entry for entry in twice.parameters() if entry.status == "override"]
    assert entry.value == 4000
    assert "was 1800" in entry.source
    assert "3000" not in entry.source


def test_sockets() -> None:
    assert machine(sockets=8).sockets == 8
    with pytest.raises(MachineError, match="sockets = 0"):
        machine(sockets=0)


def test_a_machine_can_be_overridden_again() -> None:
    assert machine(machine("tiny"), sockets=2).name == "tiny"


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("3000", "hbm.peak_gbps", 3000.0),
        ("3_000.5", "hbm.peak_gbps", 3000.5),
        ("0x100", "hbm.channels", 256),
        ("6.4e10", "hbm.capacity_bytes", 64 * 10**9),
        ("hardware", "call.ordering", "hardware"),
        ('"hardware"', "call.ordering", "hardware"),
    ],
)
def test_command_line_settings_are_toml(setting: str, key: str, value: object) -> None:
    assert machine().override({key: setting})[key] == value


@pytest.mark.parametrize("value", [np.int64(32), np.float32(32), 32.0])
def test_numpy_numbers_are_numbers(value: object) -> None:
    channels = machine(hbm__channels=value).hbm.channels
    assert channels == 32
    assert type(channels) is int


def test_settings_are_checked_together() -> None:
    # 300 PCUs alone do not fit 20 x 26 switches; with a larger mesh they do.
    with pytest.raises(MachineError):
        machine(grid__pcus_per_tile=300)
    assert machine(grid__pcus_per_tile=300, grid__rows=24).grid.pcus_per_tile == 300


@pytest.mark.parametrize(
    ("key", "setting"),
    [
        ("hbm.peak_gbps", float("nan")),
        ("hbm.peak_gbps", float("inf")),
        ("hbm.peak_gbps", "nan"),
        ("hbm.peak_gbps", 0),
        ("hbm.peak_gbps", -1800),
        ("hbm.peak_gbps", 10**400),
        pytest.param("hbm.peak_gbps", 16**9000, id="beyond the printing limit"),
        ("hbm.peak_gbps", True),
        ("hbm.peak_gbps", None),
        ("hbm.peak_gbps", "fast"),
        ("hbm.peak_gbps", "1\nother = 2"),
        ("hbm.peak_gbps", ""),
        ("hbm.peak_gbps", "[" * 9000),
        ("hbm.channels", 0),
        ("hbm.channels", 2.5),
        ("hbm.channels", 1e300),
        ("hbm.interleave_bytes", 100),
        ("hbm.interleave_bytes", 0),
        ("hbm.capacity_bytes", 0),
        ("hbm.refresh_ns", -1),
        ("pcu.vector_bytes", 32),
        ("clock_ghz", 0),
        ("call.ordering", "nobody"),
        ("call.ordering", 1),
    ],
)
def test_refusal_names_machine_key_value_and_range(key: str, setting: object) -> None:
    with pytest.raises(MachineError) as raised:
        machine().override({key: setting})
    message = str(raised.value)
    assert message.startswith(f"machine 'sn40l': {key} = ")
    assert PARAMETERS[key].allowed in message
    assert len(message) < 300


IMPOSSIBLE: list[tuple[dict[str, object], str]] = [
    ({"grid.rows": 19}, "grid.rows"),
    ({"hbm.refresh_ns": 3900}, "hbm.refresh_ns"),
    ({"ddr.refresh_interval_ns": 100}, "ddr.refresh_ns"),
    ({"hbm.capacity_bytes": 32 * 256 - 1}, "hbm.capacity_bytes"),
    ({"ddr.interleave_bytes": 2**30, "ddr.capacity_bytes": 2**30}, "ddr.capacity_bytes"),
    ({"mapping.weight_buffer_vectors": 520 * 2**20 // 64 + 1}, "mapping.weight_buffer_vectors"),
]


@pytest.mark.parametrize(("settings", "key"), IMPOSSIBLE)
def test_impossible_combinations(settings: dict[str, object], key: str) -> None:
    with pytest.raises(MachineError, match=rf"machine 'sn40l': {re.escape(key)} = \d+(\.0)? is not possible; give"):
        machine().override(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"grid.rows": 20},
        {"hbm.refresh_ns": 3899},
        {"hbm.refresh_ns": 0},
        {"hbm.capacity_bytes": 32 * 256},
        {"mapping.weight_buffer_vectors": 520 * 2**20 // 64},
    ],
)
def test_possible_by_a_hair(settings: dict[str, object]) -> None:
    assert machine().override(settings)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_each_rule_refuses_a_case_that_no_other_does(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(rules: tuple[Rule, ...]) -> list[str]:
        monkeypatch.setattr(combinations, "RULES", rules)
        return [key for settings, key in IMPOSSIBLE if not possible(settings)]

    assert len(refused((rule,))) == 1
    assert len(refused(tuple(other for other in RULES if other is not rule))) == len(IMPOSSIBLE) - 1


def possible(settings: dict[str, object]) -> bool:
    try:
        machine().override(settings)
    except MachineError:
        return False
    return True


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("hbm__bandwith_gbps", "hbm.peak_gbps"),
        ("hbm__chanels", "hbm.channels"),
        ("peak_gpbs", "hbm.peak_gbps"),
        ("clock", "clock_ghz"),
        ("pmu__size_bytes", "pmu.capacity_bytes"),
    ],
)
def test_unknown_key_names_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(MachineError, match="unknown key") as raised:
        machine(**{wrong: 1})
    assert repr(wrong.replace("__", ".")) in str(raised.value)
    # "bandwith" resembles no name: there the section at least is right.
    assert repr(right) in str(raised.value) or right.partition(".")[0] in str(raised.value).split("nearest")[1]


def values_of(parameter: Parameter) -> st.SearchStrategy[int | float]:
    bound = parameter.bound
    assert isinstance(bound, Number)
    if parameter.kind is float:
        return st.floats(bound.minimum, bound.maximum)
    low, high = -(-int(bound.minimum) // bound.multiple), int(bound.maximum) // bound.multiple
    return st.integers(low, high).map(lambda count: count * bound.multiple)


@given(st.data())
def test_override_of_any_number_round_trips(data: st.DataObject) -> None:
    parameter = data.draw(st.sampled_from(NUMBERS))
    value = data.draw(values_of(parameter))
    try:
        changed = machine("tiny").override({parameter.key: value})
    except MachineError:
        assert parameter.key in COMBINED
        return
    assert changed[parameter.key] == value
    assert type(changed[parameter.key]) is parameter.kind
    assert Machine.from_dict(json.loads(json.dumps(changed.to_dict()))) == changed
    # As --set writes it.
    assert machine("tiny").override({parameter.key: repr(value)}) == changed


# Files.


EXTENDING = """
extends = "sn40l"
name = "fast"
[hbm]
peak_gbps = { value = 3000, unit = "GB/s", status = "assumed", source = "a what-if" }
"""


def test_file_extends_a_shipped_machine(tmp_path: Path) -> None:
    fast = machine(written(tmp_path, EXTENDING))
    assert (fast.name, fast.title) == ("fast", machine().title)
    differing = [key for key in PARAMETERS if fast[key] != machine()[key]]
    assert differing == ["hbm.peak_gbps"]
    entry = next(entry for entry in fast.parameters() if entry.key == "hbm.peak_gbps")
    assert (entry.status, entry.source) == ("assumed", "a what-if")


def test_file_extends_a_file_beside_it(tmp_path: Path) -> None:
    written(tmp_path, EXTENDING, "base.toml")
    child = written(tmp_path, 'extends = "base.toml"\nname = "child"\n')
    assert machine(str(child)).hbm.peak_gbps == 3000


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_whole_file_of_a_user(tmp_path: Path, name: str) -> None:
    assert read(written(tmp_path, SHIPPED[name].read_text())) == machine(name)


def test_extending_in_a_circle(tmp_path: Path) -> None:
    written(tmp_path, 'extends = "b.toml"\nname = "a"\n', "a.toml")
    written(tmp_path, 'extends = "a.toml"\nname = "b"\n', "b.toml")
    with pytest.raises(MachineError, match="extends itself"):
        machine(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = [", "is not TOML"),
        ("a = " + "[" * 5000, "nested too deeply|is not TOML"),
        ("a = " + "9" * 5000, "is not TOML"),
        ("", "without a name"),
        ('name = "x"', "no title"),
        ("name = 3", "name = 3 is not allowed"),
        ('name = "x"\ntitle = "t"', "sockets is missing; give an integer"),
        ('name = "x"\ntitle = "t"\n[hmb]\n', "unknown section or key 'hmb'; the nearest is 'hbm'"),
        ('name = "x"\ntitle = "t"\nhbm = 3', r"hbm = 3 is not allowed; give a section \[hbm\]"),
        ('extends = "sn40l"\nname = "x"\n[hbm]\nchanels = 3', "unknown key 'hbm.chanels'.*'hbm.channels'"),
        ('extends = "sn40l"\nname = "x"\n[hbm]\nchannels = 3', "hbm.channels = 3 says nothing of its source"),
        ('extends = "sn40l"\n[hbm]\n', "needs its own"),
        ('extends = "sn40"\nname = "x"', "unknown machine 'sn40'; the nearest is 'sn40l'"),
        ("extends = 3", "extends = 3 is not allowed"),
        ('extends = "gone.toml"\nname = "x"', "gone.toml.*No such file"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MachineError, match=message):
        machine(written(tmp_path, text))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": None}, "'source' is missing"),
        ({"source": " "}, "source ' ' is not allowed"),
        ({"status": "guessed"}, "status 'guessed' is not allowed; give one of published"),
        ({"status": "override"}, "status 'override' is not allowed"),
        ({"status": ["assumed"]}, "status .* is not allowed"),
        ({"unit": "GiB/s"}, "unit 'GiB/s' is not allowed; give 'GB/s'"),
        ({"unit": None}, "'unit' is missing"),
        ({"value": None}, "'value' is missing"),
        ({"value": "1800"}, "hbm.peak_gbps = '1800' is not allowed"),
        ({"value": float("nan")}, "hbm.peak_gbps = nan is not allowed"),
        ({"soruce": "x"}, "unknown field 'soruce'; the nearest is 'source'"),
    ],
)
def test_bad_records(tmp_path: Path, change: dict[str, object], message: str) -> None:
    record = {"value": 3000.0, "unit": "GB/s", "status": "assumed", "source": "a test", **change}
    # JSON's strings, numbers and lists are TOML's; only NaN is spelt otherwise.
    items = (f"{key} = {json.dumps(value).replace('NaN', 'nan')}" for key, value in record.items() if value is not None)
    text = f'extends = "tiny"\nname = "x"\n[hbm]\npeak_gbps = {{ {", ".join(items)} }}\n'
    with pytest.raises(MachineError, match=message):
        machine(written(tmp_path, text))


@pytest.mark.parametrize("key", PARAMETERS)
def test_each_missing_key_is_named(key: str) -> None:
    tree = machine("tiny").to_dict()
    section, _, last = key.rpartition(".")
    owner: Any = tree[section] if section else tree
    del owner[last]
    with pytest.raises(MachineError, match=f"machine 'tiny': {re.escape(key)} is missing"):
        Machine.from_dict(tree)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="No such file"):
        machine(tmp_path / "gone.toml")
    with pytest.raises(MachineError, match="directory"):
        machine(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MachineError, match="UTF-8"):
        machine(binary)
    with pytest.raises(MachineError):
        machine("nul\0.toml")


@pytest.mark.parametrize(
    ("name", "near"), [("sn40", "sn40l"), ("SN40L", ""), ("", ""), ("tyni", "tiny"), ("h10", "h100")]
)
def test_unknown_machine_names_the_nearest(name: str, near: str) -> None:
    with pytest.raises(MachineError, match=f"unknown machine.*nearest is '{near}"):
        machine(name)


@pytest.mark.parametrize("name", [None, 3, b"sn40l", ["sn40l"]])
def test_what_is_no_name(name: Any) -> None:
    with pytest.raises(MachineError, match="is no machine"):
        machine(name)


def test_sn40l_toml_beside_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A shipped name always means the shipped machine.
    (tmp_path / "sn40l").mkdir()
    monkeypatch.chdir(tmp_path)
    assert machine("sn40l").total_pcus == 1040


# Round trip and garbage.


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_saved_machine_comes_back(name: str) -> None:
    changed = machine(name, sockets=3, call__ordering="hardware")
    assert Machine.from_dict(json.loads(json.dumps(changed.to_dict()))) == changed


@pytest.mark.parametrize("tree", [None, [], 3, "sn40l", {}, {"name": "x", "title": "t", 3: 4}])
def test_from_dict_of_something_else(tree: Any) -> None:
    with pytest.raises(MachineError):
        Machine.from_dict(tree)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3)
garbage = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
places = st.sampled_from(
    [
        ("name",),
        ("title",),
        ("hbm",),
        ("clock_ghz",),
        ("hbm", "channels"),
        ("call", "ordering"),
        ("hbm", "new"),
        ("new",),
    ]
    + [("hbm", "channels", item) for item in ("value", "unit", "status", "source", "new")]
    + [("call", "ordering", item) for item in ("value", "unit", "status")]
)


@given(places, garbage)
def test_garbage_in_a_tree_raises_only_machine_errors(place: tuple[str, ...], value: object) -> None:
    tree = copy.deepcopy(machine("tiny").to_dict())
    owner: Any = tree
    for key in place[:-1]:
        owner = owner[key]
    owner[place[-1]] = value
    try:
        built = Machine.from_dict(tree)
    except MachineError:
        return
    # What is accepted is a machine: it can be written and read again.
    assert Machine.from_dict(built.to_dict()) == built


@given(st.text() | st.from_regex(r"(\[?[a-z]{1,4}\]?( = [0-9\"\[{]{0,3})?\n){0,4}"))
def test_garbage_in_a_file_raises_only_machine_errors(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(MachineError):
        machine(path)


lines = SHIPPED["tiny"].read_text().splitlines()


@given(st.integers(0, len(lines) - 1), st.sampled_from(["cut", "drop", "double", "blank"]), st.integers(0, 80))
def test_damaged_file_raises_only_machine_errors(
    tmp_path_factory: pytest.TempPathFactory, row: int, damage: str, column: int
) -> None:
    line = lines[row]
    repair = {
        "cut": [line[:column]],
        "drop": [],
        "double": [line, line],
        "blank": [line[:column] + " " + line[column:]],
    }
    path = tmp_path_factory.getbasetemp() / "damaged.toml"
    path.write_text("\n".join([*lines[:row], *repair[damage], *lines[row + 1 :]]))
    try:
        built = machine(path)
    except MachineError:
        return
    # Harmless damage, a blank between words or in the comment: every parameter is still there and in its range.
    assert [entry.key for entry in built.parameters()] == list(PARAMETERS)


# The declaration and what is printed.


def test_declared_bounds_are_sane() -> None:
    for parameter in PARAMETERS.values():
        if isinstance(parameter.bound, Word):
            assert parameter.kind is str
            continue
        assert parameter.kind in (int, float)
        assert 0 <= parameter.bound.minimum <= parameter.bound.maximum
        # A bound beyond 2^53 would not survive JSON readers that keep numbers as doubles.
        assert parameter.bound.maximum <= 2**53
        if parameter.bound.minimum == 0:
            assert parameter.key.endswith(("_ns", "_us", "credit_hop_cycles")), f"{parameter.key}: a size of zero"


def printed(described: Machine) -> str:
    console = Console(width=400, color_system=None, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(describe(described))
    return console.export_text()


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_table_shows_every_parameter_with_its_source(name: str) -> None:
    text = printed(machine(name))
    position = 0
    for entry in machine(name).parameters():
        # From the last row on: keys such as latency_ns stand in several sections.
        found = re.compile(rf"^ +{entry.key.rpartition('.')[2]} .*$", re.MULTILINE).search(text, position)
        assert found, f"{entry.key} has no row"
        row, position = found[0], found.end()
        assert entry.status in row
        assert entry.source in row
        assert entry.doc in row


def test_table_says_sizes_exactly() -> None:
    text = printed(machine("sn40l", pmu__capacity_bytes=524288 + 64))
    assert re.search(r"capacity_bytes +64 GiB ", text)
    assert re.search(r"capacity_bytes +1.5 TiB ", text)
    assert re.search(r"capacity_bytes +524352 bytes +override", text)


def test_table_takes_no_markup_from_a_file(tmp_path: Path) -> None:
    text = EXTENDING.replace("a what-if", "[red]not markup[/red]")
    assert "[red]not markup[/red]" in printed(machine(written(tmp_path, text)))


# The page.


def test_page_examples_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "machines.md").read_text()
    monkeypatch.chdir(tmp_path)
    (toml,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    written(tmp_path, toml, "wide.toml")
    (python,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(compile(python, "docs/machines.md", "exec"), {})


def test_page_names_every_status_and_section() -> None:
    page = (ROOT / "docs" / "machines.md").read_text()
    sections = {key.partition(".")[0] for key in PARAMETERS if "." in key}
    for word in (*STATUSES, "override", *sections):
        assert f"`{word}`" in page, word
