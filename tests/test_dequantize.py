"""GGUF blocks that the engine widens: the bits of the ``gguf`` package."""

from __future__ import annotations

import numpy as np
import pytest

from rdu.program import dequantize

gguf = pytest.importorskip("gguf")


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_bits_are_those_of_the_gguf_package(name: str) -> None:
    kind = gguf.GGMLQuantizationType[name]
    values = np.random.default_rng(1).standard_normal((70, 64 * 32), dtype=np.float32)
    blocks = gguf.quants.quantize(values, kind)
    found, expected = dequantize(name, blocks.reshape(-1)), gguf.quants.dequantize(blocks, kind)
    assert found is not None
    np.testing.assert_array_equal(found.view(np.uint32), np.float32(expected).reshape(-1).view(np.uint32))


def test_other_kinds_and_cut_blocks_are_left_to_the_package() -> None:
    assert dequantize("Q4_K", np.zeros(144, np.uint8)) is None
    assert dequantize("Q8_0", np.zeros(33, np.uint8)) is None
