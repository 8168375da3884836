"""The command line: what it prints where, and that whatever goes wrong is one line on stderr and an exit code."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import rdu
from rdu.cli import main
from rdu.cli.run import request
from rdu.models import hub
from rdu.models import pull as pull_model
from rdu.report.report import PAGE_COLUMNS, Report
from rdu.testing.checkpoints import write_folder, write_gguf

ROOT = Path(__file__).resolve().parent.parent
TINY = str(ROOT / "tests" / "data" / "tiny" / "s02_gqa")
RUN = ["run", TINY, "--machine", "tiny", "--tokens", "3,9,27", "-n", "3", "--ignore-eos"]
COMMAND = [sys.executable, "-m", "rdu"]
# So that `python -m rdu` finds this checkout's package from any directory, installed or not.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(rdu.__file__).parent.parent)}


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that must end with exit code 2 and nothing on stdout."""
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, ""), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


# --- run -------------------------------------------------------------------------------------------------------------


def test_ids_in_ids_out_then_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, *RUN)
    assert (code, err) == (0, "")
    run = rdu.compile(TINY, "tiny").generate([3, 9, 27], 3, ignore_eos=True)
    lines = out.splitlines()
    assert lines[0] == ",".join(map(str, run.tokens))
    assert "3 prompt tokens, 3 new ones, stopped by length" in out
    assert "why not 100 %" in out
    assert max(map(len, lines)) <= PAGE_COLUMNS
    assert not any(line.endswith(" ") for line in lines)


def test_json_is_one_object_with_the_promised_keys(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, *RUN, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    found = json.loads(out)
    assert {"text", "tokens", "prompt_tokens", "stopped_by", "model", "machine", "host"} <= found.keys()
    keys = {"decode_tokens_per_second", "time_to_first_token_s", "hbm_utilization", "pcu_utilization"}
    assert all(found["machine"][key] > 0 for key in keys)
    assert found["host"]["decode_tokens_per_second"] > 0
    host = found["host"]
    assert host["wall_s"] == pytest.approx(host["load_s"] + host["generate_s"])
    assert host["wall_s"] > host["elapsed_s"]
    assert found["prompt_tokens"] == [3, 9, 27]
    assert len(found["tokens"]) == 3


def test_values_have_no_machine_time(capsys: pytest.CaptureFixture[str]) -> None:
    _, timed, _ = said(capsys, *RUN, "--json")
    _, out, _ = said(capsys, *RUN, "--json", "--mode", "values")
    found = json.loads(out)
    assert found["tokens"] == json.loads(timed)["tokens"]
    assert found["machine"] == {
        "decode_tokens_per_second": None,
        "time_to_first_token_s": None,
        "hbm_utilization": None,
        "pcu_utilization": None,
    }
    assert found["host"].keys() == json.loads(timed)["host"].keys()
    code, out, _ = said(capsys, *RUN, "--mode", "values")
    assert code == 0
    assert "no machine time" in out


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        (["--set", "hbm.peak_gbps=640", "--set", "call.hardware_execute_us=0"], {}),
        (["--fusion", "op"], {"fusion": "op"}),
        (["--dtype", "fp32"], {"dtype": "fp32"}),
    ],
)
def test_options_reach_the_machine(
    capsys: pytest.CaptureFixture[str], options: list[str], changes: dict[str, str]
) -> None:
    _, plain, _ = said(capsys, *RUN, "--json")
    code, out, err = said(capsys, *RUN, "--json", *options)
    assert code == 0, err
    machine, base = json.loads(out)["machine"], json.loads(plain)["machine"]
    assert machine["cycles"] != base["cycles"]
    assert {key: machine[key] for key in changes} == changes


@pytest.mark.parametrize(
    "options", [["--top-k", "1"], ["--min-p", "0.99999"], ["--top-p", "1e-6"], ["--temperature", "0"]]
)
def test_limits_of_one_token_are_greedy(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    arguments = [*RUN, "-n", "8", "--temp", "1.5", "--seed", "1", "--mode", "values", "--json"]
    greedy, free, limited = (
        json.loads(said(capsys, *given)[1])["tokens"]
        for given in ([*RUN, "-n", "8", "--mode", "values", "--json"], arguments, [*arguments, *options])
    )
    assert limited == greedy != free


def test_a_repetition_penalty_is_felt(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*RUN, "-n", "8", "--mode", "values", "--json", "--repetition-penalty", "1e9"]
    tokens = json.loads(said(capsys, *arguments)[1])["tokens"]
    assert len(set(tokens)) == len(tokens)


def test_what_quantising_took_is_in_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    _, plain, _ = said(capsys, *RUN, "--json")
    assert json.loads(plain)["quantization"] is None
    _, out, _ = said(capsys, *RUN, "--dtype", "w8a8", "--json")
    found = json.loads(out)["quantization"]
    assert 0 < found["relative_error"] <= found["worst"]["relative_error"] < 0.01
    assert found["tensors"][found["worst"]["tensor"]] == found["worst"]["relative_error"]
    _, out, _ = said(capsys, *RUN, "--dtype", "w8a8")
    assert f"w8a8 weights are off by {found['relative_error']:.2%}, the worst by " in out
    assert f": {found['worst']['tensor']}\n" in out


def test_sampling_follows_the_seed(capsys: pytest.CaptureFixture[str]) -> None:
    def tokens(seed: int) -> list[int]:
        arguments = [*RUN, "-n", "8", "--temp", "1.5", "--top-p", "0.9", "--seed", str(seed), "--mode", "values"]
        found: list[int] = json.loads(said(capsys, *arguments, "--json")[1])["tokens"]
        return found

    assert tokens(1) == tokens(1)
    assert len({tuple(tokens(seed)) for seed in range(4)}) > 1


@pytest.mark.smollm2
def test_a_chat_model_gets_its_template_unless_raw(smollm2: rdu.models.Checkpoint) -> None:
    user, system = {"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}
    assert request(smollm2, "Hi", None, raw=False) == [user]
    assert request(smollm2, "Hi", "Be brief.", raw=False) == [system, user]
    assert request(smollm2, "Hi", None, raw=True) == "Hi"


# --- describe, pull, help --------------------------------------------------------------------------------------------


def test_describe_a_machine(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "describe", "sn40l")
    assert code == 0
    assert "peak_gbps" in out
    _, out, _ = said(capsys, "describe", "sn40l", "--json", "--set", "hbm.peak_gbps=3000")
    assert json.loads(out) == rdu.machine("sn40l", hbm__peak_gbps=3000).to_dict()


def test_describe_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "describe", TINY, "--machine", "tiny")
    assert code == 0
    assert "fits: " in out
    _, out, _ = said(capsys, "describe", TINY, "--machine", "tiny", "--json")
    found = json.loads(out)
    folder = rdu.load(TINY)
    shapes = {name: folder.tensor(name).size for name in folder._source.shapes}
    assert found["parameters"] == sum(shapes.values())
    # 32 weights of a block have 2 bytes of scale, in q4_1 4.
    bytes_of = {"bf16": 2, "fp32": 4, "int8": 1, "w8a8": 1, "q8_0": 34 / 32, "q4_0": 18 / 32, "q4_1": 20 / 32}
    assert found["weight_bytes"] == {dtype: size * found["parameters"] for dtype, size in bytes_of.items()}
    # 2 layers, keys and values, 2 heads of 8; caches are bf16 beside whole numbers.
    cached = dict.fromkeys(bytes_of, 2) | {"fp32": 4}
    assert found["kv_bytes_per_token"] == {dtype: 2 * 2 * 2 * 8 * size for dtype, size in cached.items()}
    assert found["fit"]["fits"] is True


@pytest.mark.parametrize(
    ("setting", "reason"), [("hbm.capacity_bytes=100000", "hbm.capacity_bytes"), ("grid.pcus_per_tile=8", "PCUs")]
)
def test_describe_says_what_compile_would(capsys: pytest.CaptureFixture[str], setting: str, reason: str) -> None:
    """A model that describe calls too large is one that run refuses, and the other way round."""
    changes = ["--machine", "tiny", "--set", setting]
    code, out, _ = said(capsys, "describe", TINY, *changes, "--json")
    fit = json.loads(out)["fit"]
    assert code == 0
    assert fit["fits"] is False
    assert reason in fit["reason"]
    assert reason in refused(capsys, *RUN, *changes)


def test_pull_prints_the_path_from_the_cache(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(hub.hub_folder("some/model", tmp_path))
    code, out, _ = said(capsys, "pull", "some/model", "--cache-dir", str(tmp_path))
    assert (code, out) == (0, f"{folder}\n")
    _, out, _ = said(capsys, "pull", "some/model", "--cache-dir", str(tmp_path), "--json")
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert json.loads(out) == {"model": "some/model", "path": str(folder), "bytes": size}


@pytest.mark.parametrize("command", [[], ["run"], ["describe"], ["pull"]])
def test_help(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    code, out, err = said(capsys, *command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: rdu")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version") == (0, f"rdu, version {rdu.__version__}\n", "")


# --- bad input: exit code 2 ------------------------------------------------------------------------------------------


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def lie(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes((1 << 40).to_bytes(8, "little") + path.read_bytes()[8:])


def configured(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def unreadable(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "safetensors cut": (cut, "model.safetensors"),
    "safetensors lies": (lie, "model.safetensors"),
    "tensor missing": (configured(num_hidden_layers=3), "model.layers.2"),
    "tensor misshapen": (configured(intermediate_size=96), "model.layers.0.mlp"),
    "tensor extra": (configured(num_hidden_layers=1), "model.layers.1"),
    "NaN": (configured(rms_norm_eps=float("nan")), "rms_norm_eps"),
    "unknown architecture": (configured(architectures=["MambaForCausalLM"]), "MambaForCausalLM"),
    "negative size": (configured(hidden_size=-32), "hidden_size"),
    "zero size": (configured(vocab_size=0), "vocab_size"),
    "unreadable": (unreadable, "config.json"),
    "no folder": (shutil.rmtree, "no model"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_bad_input(capsys: pytest.CaptureFixture[str], tmp_path: Path, damage: str) -> None:
    folder = write_folder(tmp_path / "model")
    change, named = DAMAGE[damage]
    change(folder)
    for command in (["run", str(folder), "--tokens", "1"], ["describe", str(folder)]):
        assert named in refused(capsys, *command, "--machine", "tiny")


def test_a_gguf_file_cut_in_the_middle_is_bad_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    command = ["run", str(path), "--tokens", "1", "--machine", "tiny", "--cache-dir", str(tmp_path / "cache")]
    assert "model.gguf" in refused(capsys, *command)


REQUESTS: dict[str, tuple[list[str], str]] = {
    "token outside the vocabulary": (["--tokens", "1,256"], "token id 256 at position 1"),
    "negative token": (["--tokens", "-1"], "token id -1"),
    "token no number": (["--tokens", "1,x"], "'x' at position 1"),
    "no tokens": (["--tokens", ","], "prompt is empty"),
    "empty prompt": (["-p", ""], "prompt is empty"),
    "no prompt": ([], "-p TEXT"),
    "both": (["-p", "a", "--tokens", "1"], "either a prompt"),
    "no tokenizer": (["-p", "hello"], "no tokenizer"),
    "system without a template": (["-p", "hello", "--system", "x"], "--system"),
    "beyond the context": (["--tokens", "1,2", "-n", "15", "--ctx", "16"], "context of 16"),
    "no new tokens": (["--tokens", "1", "-n", "0"], "max_new_tokens is 0"),
    "negative context": (["--tokens", "1", "--ctx", "-4"], "--ctx is -4"),
    "unknown machine": (["--tokens", "1", "--machine", "sn40"], "nearest is 'sn40l'"),
    "unknown key": (["--tokens", "1", "--set", "hbm.peak_gbp=3"], "nearest is 'hbm.peak_gbps'"),
    "negative size": (["--tokens", "1", "--set", "hbm.channels=-1"], "hbm.channels"),
    "zero size": (["--tokens", "1", "--set", "grid.rows=0"], "grid.rows"),
    "no value": (["--tokens", "1", "--set", "hbm.peak_gbps"], "KEY=VALUE"),
    "temperature": (["--tokens", "1", "--temp", "nan"], "temperature is nan"),
    "top-p": (["--tokens", "1", "--top-p", "0"], "top_p is 0"),
    "top-k": (["--tokens", "1", "--top-k", "-1"], "top_k is -1"),
    "min-p": (["--tokens", "1", "--min-p", "1"], "min_p is 1"),
    "repetition penalty": (["--tokens", "1", "--repetition-penalty", "0"], "repetition_penalty is 0"),
    "stop": (["--tokens", "1", "--stop", ""], "empty string would stop everything"),
    "dtype": (["--tokens", "1", "--dtype", "int4"], "int4"),
    "fusion": (["--tokens", "1", "--fusion", "loops"], "loops"),
    "unknown option": (["--tokens", "1", "--nonsense"], "--nonsense"),
    "number": (["--tokens", "1", "-n", "many"], "many"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_bad_request_is_bad_input(capsys: pytest.CaptureFixture[str], name: str) -> None:
    options, named = REQUESTS[name]
    assert named in refused(capsys, "run", TINY, "--machine", "tiny", *options)


@pytest.mark.parametrize("arguments", [["describe", "sn4l"], ["pull", "nosuch"], ["frob"], ["run"], ["describe"]])
def test_unknown_names_and_commands_are_bad_input(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    refused(capsys, *arguments)


def test_a_full_disk_is_bad_input_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys.modules[pull_model.__module__], "_download", full)
    assert "the disk is full" in refused(capsys, "pull", "smollm2", "--cache-dir", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


# --- runs that fail: 1; interrupted: 130 -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (rdu.errors.LedgerError("the ledger\ndoes not close"), 1),
        (rdu.errors.DeadlockError("stuck", ["a"], ["s"]), 1),
        (rdu.errors.CompileError("too large"), 2),
        (ZeroDivisionError("a fault of ours"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_a_run_raises_becomes_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(_: Report, __: object) -> None:
        raise error

    monkeypatch.setattr(Report, "__init__", fail)
    found, _, err = said(capsys, *RUN)
    assert found == code
    assert err.strip().count("\n") == 0
    assert err.strip().startswith("error: ")
    assert "Traceback" not in err


def wait_for(process: subprocess.Popen[str]) -> tuple[str, str, int]:
    out, err = process.communicate(timeout=60)
    return out, err, process.returncode


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_ctrl_c_says_so(tmp_path: Path) -> None:
    # Four thousand tokens take long enough to be interrupted wherever they are.
    folder = write_folder(tmp_path / "model", config={"max_position_embeddings": 8192})
    process = start("run", str(folder), "--machine", "tiny", "--tokens", "1", "-n", "8000", "--ignore-eos")
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err, code = wait_for(process)
    assert (code, out) == (130, "")
    assert err.startswith("error: interrupted")
    assert err.count("\n") == 1


@pytest.mark.smollm2
def test_text_streams_and_ctrl_c_keeps_what_was_made(smollm2_path: Path) -> None:
    process = start("run", str(smollm2_path), "-p", "Tell me a story.", "-n", "100", "--ctx", "256", "--ignore-eos")
    assert process.stdout is not None
    assert process.stderr is not None
    text = process.stdout.read(1)  # there long before a hundred tokens can be
    process.send_signal(signal.SIGINT)
    text += process.stdout.read()
    err = process.stderr.read()
    assert process.wait(60) == 130
    assert text.strip()
    assert text.endswith("\n")
    assert err == "error: interrupted while generating: the text above is all there is\n"


def test_a_closed_pipe_is_quiet() -> None:
    process = start(*RUN)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(60) != 0


def test_no_color_and_no_progress_outside_a_terminal() -> None:
    done = subprocess.run([*COMMAND, *RUN], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_importing_rdu_is_quick_and_brings_nothing_heavy() -> None:
    code = "import sys, rdu; print(*(name for name in ('numpy', 'rich', 'click', 'rdu._core') if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_the_facade_has_what_it_lists() -> None:
    for name in rdu.__all__:
        assert getattr(rdu, name) is not None
        assert name in dir(rdu)
    with pytest.raises(AttributeError, match="'nosuch'"):
        _ = rdu.nosuch
    importlib.import_module("rdu.machine")  # binds the module to the package, which must not hide the function
    assert rdu.machine("tiny").name == "tiny"
