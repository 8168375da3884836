"""What rdu makes of each published row: one function a row, or the reason why there is none yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rdu.studies.decode_rows import decode_rows
from rdu.studies.emulated import Emulated
from rdu.studies.monarch_fft import monarch_fft
from rdu.studies.published import published
from rdu.studies.swiglu_layer import swiglu

Emulation = Callable[[], Emulated]

# Rows of parts of the machine that are not built yet.
NOT_YET = {
    "switch": "switching between checkpoints is not emulated yet; `rdu bench copies` times a copy alone",
    "switch-8b": "switching between checkpoints is not emulated yet; `rdu bench copies` times a copy alone",
    "experts": "hosting of many checkpoints is not emulated yet",
    "coe": "a router and its experts are not emulated yet",
    "l405b-spec": "needs a draft model and its acceptance rate; without them, bandwidth allows 31.5 to 35.7",
    "l70b-spec": "needs a draft model and its acceptance rate; without them, bandwidth allows 181 to 207",
}


def emulations() -> dict[str, Emulation]:
    """The rows that can be emulated, by id."""
    found: dict[str, Emulation] = {
        "fft-none": partial(_fft, "none"),
        "fft-part": partial(_fft, "part"),
        "fft-full": _fft_full,
        **decode_rows(),
    }
    for name in published():
        if name.startswith("step-"):
            rows, columns = map(int, name.split("-")[1:])
            found[name] = partial(_swiglu, rows, columns)
    return found


def _swiglu(rows: int, columns: int) -> Emulated:
    return Emulated(float(swiglu(rows, columns).cycles))


def _fft(fusion: str) -> Emulated:
    return Emulated(monarch_fft(fusion).flop_per_byte)


def _fft_full() -> Emulated:
    counted = monarch_fft("full", count_factors=True).flop_per_byte
    note = (
        f"{counted:.1f} with the factors of the multiplication (a fifth operand of 256 KiB), which only this row counts"
    )
    return Emulated(monarch_fft("full").flop_per_byte, note)
