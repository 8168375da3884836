"""Every kind of bad input ends in a named error and loses nothing, seen through the public door.

The details of a kind are tested with the part that finds it: `WHERE` says where, and a test that they are there.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rdu
from rdu.errors import CacheError, CheckpointError, CompileError, MachineError, RduError, RequestError, RunError
from rdu.testing.checkpoints import write_folder, write_gguf

WHERE: dict[str, list[str]] = {
    "truncated safetensors": ["test_folder.test_damage_is_named", "test_folder.test_no_cut_of_a_header_gets_through"],
    "lying safetensors header": ["test_folder.test_damage_is_named"],
    "missing, misshapen or extra tensor": ["test_folder.test_damage_is_named"],
    "NaN in a config number": [
        "test_config.test_a_number_must_be_finite_and_above_zero",
        "test_config.test_nan_in_the_file_itself",
    ],
    "unknown architecture": ["test_config.test_a_bad_value_is_named_with_what_is_accepted"],
    "GGUF cut in the middle": ["test_gguf.test_every_cut_is_named"],
    "GGUF that lies": ["test_gguf.test_counts_that_lie_neither_hang_nor_allocate"],
    "token id outside the vocabulary": [
        "test_generate.test_what_cannot_be_asked_is_named",
        "test_compile.test_indices_that_cannot_be",
    ],
    "empty prompt": ["test_generate.test_what_cannot_be_asked_is_named"],
    "prompt and new tokens beyond the context": ["test_generate.test_what_cannot_be_asked_is_named"],
    "folder without tokenizer": [
        "test_tokenizer.test_a_folder_without_tokenizer",
        "test_generate.test_without_tokenizer_ids_still_work",
    ],
    "unknown machine": ["test_machine.test_unknown_machine_names_the_nearest"],
    "unknown machine key": ["test_machine.test_unknown_key_names_the_nearest"],
    "negative or zero sizes": [
        "test_machine.test_refusal_names_machine_key_value_and_range",
        "test_config.test_a_size_must_be_a_whole_number_above_zero",
        "test_graph.test_what_cannot_be_built_is_named",
        "test_compile.test_options_that_are_not_available",
        "test_builder.test_a_bad_number_of_a_stream_is_named",
        "test_builder.test_a_bad_number_of_a_unit_is_named",
    ],
    "model that does not fit": ["test_compile.test_a_budget_that_is_exceeded_is_named"],
    "unreadable file": ["test_folder.test_permission_denied_is_named", "test_machine.test_unreadable_files"],
    "full disk in the cache": [
        "test_pull.test_a_cache_that_cannot_take_the_file",
        "test_gguf.test_a_full_disk_leaves_no_partial_entry",
    ],
    "weights that are NaN or infinite": [
        "test_quantization.test_weights_that_are_no_numbers_are_named_and_seen",
        "test_generate.test_weights_that_are_no_numbers_are_said_so",
    ],
    "quantised row with a scale of zero": ["test_quantization.test_a_scale_of_zero_gives_zero"],
    "stop string split over tokens": [
        "test_generate.test_a_stop_string_ends_the_text_wherever_tokens_end",
        "test_stop.test_the_cut_does_not_matter",
    ],
    "bytes that are no UTF-8": ["test_generate.test_bytes_that_are_no_text_are_shown_as_such"],
    "shapes beyond limits": ["test_quantization.test_sums_that_might_not_fit_are_refused"],
    "exit codes": ["test_cli.test_a_damaged_folder_is_bad_input", "test_cli.test_a_bad_request_is_bad_input"],
}


@pytest.mark.parametrize("kind", WHERE)
def test_each_kind_has_its_test(kind: str) -> None:
    for name in WHERE[kind]:
        file, _, function = name.partition(".")
        tree = ast.parse((Path(__file__).parent / f"{file}.py").read_text("utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


def digest(path: Path) -> dict[str, str]:
    """What every file below a path holds."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def configured(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")

    return change


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def link_to_itself(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.symlink(folder / "config.json", folder / "config.json")


FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a cut": (cut, "model.safetensors"),
    "no weights": (without_weights, "no weights"),
    "NaN": (configured(rope_theta=float("nan")), "rope_theta"),
    "an infinite number": (configured(rms_norm_eps=float("inf")), "rms_norm_eps"),
    "an architecture": (configured(architectures=["GPT2LMHeadModel"]), "GPT2LMHeadModel"),
    "a size of zero": (configured(num_hidden_layers=0), "num_hidden_layers"),
    "a negative size": (configured(vocab_size=-64), "vocab_size"),
    "a layer too many": (configured(num_hidden_layers=3), r"model\.layers\.2"),
    "a layer too few": (configured(num_hidden_layers=1), r"model\.layers\.1"),
    "a link that leads nowhere": (link_to_itself, "config.json"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_bad_folder_through_compile(tmp_path: Path, case: str) -> None:
    """Named, as bad input and not as a failed run; the folder is as it was."""
    change, named = FOLDERS[case]
    folder = write_folder(tmp_path / "model")
    change(folder)
    before = digest(folder)
    with pytest.raises(CheckpointError, match=named) as caught:
        rdu.compile(folder, "tiny")
    assert not isinstance(caught.value, RunError)
    assert str(folder) in str(caught.value)
    assert digest(folder) == before


def test_a_cut_gguf_through_compile(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", quantization="Q8_0")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = digest(path)
    with pytest.raises(CheckpointError, match=r"model\.gguf"):
        rdu.compile(rdu.models.load(path, cache_dir=tmp_path / "cache"), "tiny")
    assert digest(path) == before


@pytest.mark.parametrize("name", ["", "no-such-model", "no/such", "/nowhere/model.gguf", "config.json\0"])
def test_a_model_that_is_none(name: str) -> None:
    with pytest.raises(CheckpointError):
        rdu.compile(name, "tiny")


@pytest.mark.parametrize("machine", ["tyni", "", "sn40l.toml"])
def test_a_machine_that_is_none(tmp_path: Path, machine: str) -> None:
    folder = write_folder(tmp_path / "model")
    with pytest.raises(MachineError):
        rdu.compile(folder, machine)


def test_a_refused_request_leaves_the_session_as_it_was(tmp_path: Path) -> None:
    """What was fed stays, what is refused leaves no trace, and the next request goes on from there."""
    d = rdu.compile(write_folder(tmp_path / "model"), "tiny", dtype="fp32", context=8)
    session = d.program.session().feed([1, 2, 3])
    cycles = session.cycles
    for bad in ([64], [-1], [], [1] * 6, [1.5], [[1]]):
        with pytest.raises(RequestError):
            session.feed(bad)
    assert (session.past, session.cycles, len(session.steps)) == (3, cycles, 1)
    whole = d.forward([1, 2, 3, 4, 5])
    assert session.feed([4, 5]).result().logits.tobytes() == whole.logits.tobytes()


def test_bad_input_is_told_from_failed_runs() -> None:
    """What the command line makes 2 of, and what it makes 1 of."""
    for kind in (CacheError, CheckpointError, CompileError, MachineError, RequestError):
        assert issubclass(kind, RduError)
        assert not issubclass(kind, RunError)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = write_folder(tmp_path_factory.mktemp("whole") / "model", config={"num_hidden_layers": 1})
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_random_damage_is_an_rdu_error_or_harmless(
    whole: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A few bytes changed anywhere in a folder: it is refused by name, or it runs (a weight may be any number)."""
    folder = tmp_path_factory.mktemp("damaged")
    target = data.draw(st.sampled_from(sorted(whole)))
    for name, content in whole.items():
        changed = bytearray(content)
        if name == target:
            # Nearly always in the header: a changed weight is only another number.
            reach = min(len(content), 2500) if data.draw(st.integers(0, 9)) else len(content)
            for _ in range(data.draw(st.integers(1, 3))):
                changed[data.draw(st.integers(0, reach - 1))] = data.draw(st.integers(0, 255))
        (folder / name).write_bytes(changed)
    try:
        logits = rdu.compile(folder, "tiny", dtype="fp32", context=8).forward([1, 2, 3], mode="values").logits
    except RunError as error:
        pytest.fail(f"bad input is no failed run: {error}")
    except RduError as error:
        if not str(error):
            pytest.fail("an error that names nothing")
    else:
        assert logits.dtype == np.float32
        assert len(logits) == 3
