"""Configurations: both styles of config.json, what each architecture implies, rotary frequencies, bad values."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rdu.errors import CheckpointError
from rdu.models.config import DecoderConfig, parse_config, read_config
from rdu.models.rope import Rope
from rdu.testing.checkpoints import CONFIG

TINY = sorted((Path(__file__).parent / "data" / "tiny").iterdir())


def parsed(**changes: object) -> DecoderConfig:
    return parse_config({key: value for key, value in {**CONFIG, **changes}.items() if value != "absent"})


@pytest.mark.parametrize("folder", TINY, ids=lambda folder: folder.name)
def test_both_styles_say_the_same(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    config = read_config(folder)
    assert config.layers == values["num_hidden_layers"]
    old = "rope_theta" in values
    scaling = values.get("rope_scaling") if old else dict(values["rope_parameters"])
    theta = values["rope_theta"] if old else scaling.pop("rope_theta")
    other = {k: v for k, v in values.items() if k not in ("rope_theta", "rope_scaling", "rope_parameters")}
    if old:
        other["rope_parameters"] = {"rope_type": "default", **(scaling or {}), "rope_theta": theta}
    else:
        other |= {"rope_theta": theta, "rope_scaling": scaling}
    assert parse_config(other) == config


def test_the_sizes_of_smollm2(data_dir: Path) -> None:
    assert read_config(data_dir / "smollm2" / "hf") == DecoderConfig(
        architecture="LlamaForCausalLM",
        vocab_size=49152,
        hidden_size=576,
        layers=30,
        heads=9,
        kv_heads=3,
        head_dim=64,
        ffn_size=1536,
        max_positions=8192,
        rms_eps=1e-5,
        rope=Rope(100000.0),
        tied=True,
        bos_ids=(1,),
        eos_ids=(2,),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"qkv_bias": False, "output_bias": False, "mlp_bias": False, "tied": False, "sliding_window": None}),
        ({"attention_bias": True, "mlp_bias": True}, {"qkv_bias": True, "output_bias": True, "mlp_bias": True}),
        ({"num_key_value_heads": "absent"}, {"kv_heads": 4}),
        ({"head_dim": None}, {"head_dim": 8}),
        ({"head_dim": 16}, {"head_dim": 16}),
        ({"eos_token_id": [2, 5, 2]}, {"eos_ids": (2, 5)}),
        ({"bos_token_id": None, "eos_token_id": None}, {"bos_ids": (), "eos_ids": ()}),
        ({"rope_theta": "absent"}, {"rope": Rope(10000.0)}),
        ({"rope_scaling": {"type": "linear", "factor": 4}}, {"rope": Rope(10000.0, "linear", 4.0)}),
        ({"sliding_window": 16}, {"sliding_window": None}),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": 16}, {"sliding_window": 16}),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": None}, {"sliding_window": None}),
        ({"architectures": ["MistralForCausalLM"]}, {"sliding_window": 4096}),
        (
            {"architectures": ["Qwen2ForCausalLM"], "sliding_window": 16},
            {"qkv_bias": True, "output_bias": False, "sliding_window": None},
        ),
        (
            {
                "architectures": ["Qwen2ForCausalLM"],
                "use_sliding_window": True,
                "sliding_window": 16,
                "layer_types": ["full_attention", "sliding_attention"],
            },
            {"sliding_window": 16, "full_attention_layers": (0,)},
        ),
        (
            {
                "architectures": ["Qwen2ForCausalLM"],
                "use_sliding_window": True,
                "sliding_window": 16,
                "max_window_layers": 1,
            },
            {"sliding_window": 16, "full_attention_layers": (0,)},
        ),
        ({"architectures": ["Qwen3ForCausalLM"], "head_dim": None}, {"qk_norm": True, "head_dim": 128}),
    ],
)
def test_what_a_configuration_means(changes: dict[str, object], expected: dict[str, object]) -> None:
    config = parsed(**changes)
    assert {name: getattr(config, name) for name in expected} == expected


def test_a_window_can_hold_for_some_layers() -> None:
    kinds = ["full_attention", "sliding_attention"]
    window = {"use_sliding_window": True, "sliding_window": 16, "layer_types": kinds}
    config = parsed(architectures=["Qwen2ForCausalLM"], **window)
    assert [config.window(0), config.window(1)] == [None, 16]


@pytest.mark.parametrize(
    "key",
    ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "head_dim"],
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -64, 0, 64.5, 64.0, True, "64", [64], 10**30])
def test_a_size_must_be_a_whole_number_above_zero(key: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=rf"config.json: {key} is .*accepted: a whole number from 1"):
        parsed(**{key: value})


@pytest.mark.parametrize("key", ["rms_norm_eps", "rope_theta"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0, True, "1", 10**400])
def test_a_number_must_be_finite_and_above_zero(key: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=rf"config.json: {key} is .*accepted: a finite number above 0"):
        parsed(**{key: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": "absent"}, "hidden_size is missing"),
        ({"rms_norm_eps": "absent"}, "rms_norm_eps is missing"),
        ({"architectures": "absent"}, "architectures is missing; accepted: a list of one of LlamaForCausalLM"),
        ({"architectures": ["GemmaForCausalLM"]}, r"architectures is \['GemmaForCausalLM'\]; accepted: .*Qwen3"),
        ({"architectures": [["LlamaForCausalLM"]]}, "architectures is"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; accepted: silu"),
        ({"num_key_value_heads": 3}, "num_key_value_heads is 3; accepted: a divisor of the 4"),
        ({"head_dim": 7}, "head_dim is 7; accepted: an even number"),
        ({"head_dim": None, "hidden_size": 30}, "hidden_size is 30; accepted: a multiple of the 4"),
        ({"head_dim": None, "hidden_size": 36}, "hidden_size is 36; accepted: such that .* 9 is even"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1; accepted: true or false"),
        ({"eos_token_id": 64}, "eos_token_id is 64; accepted: token ids from 0 to 63"),
        ({"bos_token_id": True}, "bos_token_id is True"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000; accepted: a whole number from 1 to 4096"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2}}, "rope_scaling.rope_type is 'yarn'; accepted: default"),
        ({"rope_scaling": {"type": "longrope"}}, "rope_scaling.type is 'longrope'; accepted: default, linear, llama3"),
        ({"rope_scaling": {"rope_type": "linear"}}, "rope_scaling.factor is missing"),
        ({"rope_scaling": {"rope_type": "linear", "factor": math.nan}}, "rope_scaling.factor is nan"),
        ({"rope_scaling": "linear"}, "rope_scaling is 'linear'; accepted: a table"),
        ({"rope_parameters": {"rope_theta": -1}}, "rope_parameters.rope_theta is -1"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}},
            "high_freq_factor is 4; accepted: a number above low_freq_factor",
        ),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": 0}, "sliding_window is 0"),
        ({"architectures": ["MistralForCausalLM"], "layer_types": ["sliding_attention"]}, "layer_types is .*list of 2"),
    ],
)
def test_a_bad_value_is_named_with_what_is_accepted(changes: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        parsed(**changes)


@pytest.mark.parametrize("text", ["", "{", "[]", "nul", "[" * 100_000, '{"vocab_size": ' + "9" * 5000 + "}"])
def test_a_file_that_is_no_json_object_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_config(tmp_path)


def test_a_folder_without_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read \(No such file"):
        read_config(tmp_path)


def test_nan_in_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "rms_norm_eps": math.nan}))
    with pytest.raises(CheckpointError, match=r"config\.json: rms_norm_eps is nan"):
        read_config(tmp_path)


def test_generation_config_adds_end_ids(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 2]}')
    assert read_config(tmp_path).eos_ids == (2, 7)


# One part in 2**22: each of the few float32 steps may round once.
RELATIVE = 2.0**-22


@pytest.mark.parametrize("head_dim", [8, 64, 128])
def test_inverse_frequencies_follow_the_formula(head_dim: int) -> None:
    powers = [500000.0 ** -(i / head_dim) for i in range(0, head_dim, 2)]
    found = Rope(500000.0).inverse_frequencies(head_dim)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, powers, rtol=RELATIVE)
    np.testing.assert_array_equal(Rope(500000.0, "linear", 4.0).inverse_frequencies(head_dim), found / 4)


def test_llama3_frequencies_fade_from_unscaled_to_scaled() -> None:
    rope = Rope(500000.0, "llama3", 8.0, 1.0, 4.0, 64)
    plain, found = Rope(500000.0).inverse_frequencies(32), rope.inverse_frequencies(32)
    wavelength = 2 * np.pi / plain.astype(np.float64)
    smooth = np.clip((64 / wavelength - 1) / 3, 0, 1)  # 0 above 64 / low, 1 below 64 / high
    np.testing.assert_allclose(found, plain * ((1 - smooth) / 8 + smooth), rtol=4 * RELATIVE)
    assert {0.0, 1.0} < set(smooth.tolist()), "the case must have all three ranges"


def test_factors_divide_the_frequencies() -> None:
    plain = Rope().inverse_frequencies(4)
    found = Rope(kind="factors", factors=(1.0, 8.0)).inverse_frequencies(4)
    np.testing.assert_array_equal(found, plain / np.float32([1, 8]))


def test_the_table_is_the_rounded_cosine_of_a_float32_angle() -> None:
    cos, sin = Rope().table([0, 1, 5000], 8)
    assert cos.shape == sin.shape == (3, 4)
    assert cos.dtype == sin.dtype == np.float32
    angle = np.float32(5000) * Rope().inverse_frequencies(8)[1]
    assert isinstance(angle, np.float32)
    assert (cos[2, 1], sin[2, 1]) == (np.float32(math.cos(float(angle))), np.float32(math.sin(float(angle))))
    assert (cos[0], sin[0]) == (pytest.approx(1), pytest.approx(0))
