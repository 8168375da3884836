"""Off-chip traffic of the Monarch FFT at three degrees of fusion, against Table I of the SN40L paper."""

from __future__ import annotations

import pytest

from rdu.errors import GraphError
from rdu.studies.monarch_fft import monarch_fft

MIB = 2**20


@pytest.mark.parametrize(
    ("fusion", "small", "large", "published"),
    [("none", 4, 6, "39.5"), ("part", 4, 2, "102.6"), ("full", 4, 0, "513.0")],
)
def test_traffic_is_so_many_tensors(fusion: str, small: int, large: int, published: str) -> None:
    found = monarch_fft(fusion)
    assert found.flops == 537_919_488
    assert found.bytes == small * MIB // 4 + large * 2 * MIB
    assert f"{found.flop_per_byte:.1f}" == published


def test_the_published_last_row_counts_a_fifth_small_tensor() -> None:
    found = monarch_fft("full", count_factors=True)
    assert found.bytes == 1_310_720
    assert f"{found.flop_per_byte:.1f}" == "410.4"
    # The other rows do not: with it they would no longer be what is published.
    assert f"{monarch_fft('none', count_factors=True).flop_per_byte:.1f}" != "39.5"
    assert f"{monarch_fft('part', count_factors=True).flop_per_byte:.1f}" != "102.6"


def test_an_unknown_fusion() -> None:
    with pytest.raises(GraphError, match="fusion is 'some'; choose one of none, part, full"):
        monarch_fft("some")
