"""Numbers for people: three digits and a unit."""

from __future__ import annotations

NONE = "–"
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def quantity(value: float | None, unit: str = "") -> str:
    """``1.23 GB``, ``45.6 M``; a dash for None."""
    if value is None:
        return NONE
    for size, prefix in PREFIXES:
        if abs(value) >= size * 0.9995:
            return f"{_digits(value / size)} {prefix}{unit}".rstrip()
    return f"{_digits(value)} {unit}".rstrip()


def seconds(value: float | None) -> str:
    """``1.23 ms``; a dash for None."""
    if value is None:
        return NONE
    for size, unit in SECONDS:
        if abs(value) >= size * 0.9995:
            return f"{_digits(value / size)} {unit}"
    return f"{_digits(value / 1e-9)} ns"


def percent(share: float | None) -> str:
    """``45.6 %``; small shares keep two digits, and nothing at all is ``0 %``."""
    if share is None:
        return NONE
    if share == 0:
        return "0 %"
    return f"{100 * share:.1f} %" if share >= 0.0095 else f"{100 * share:.2g} %"


def _digits(value: float) -> str:
    """Three significant digits; whole numbers below 1000 as they are."""
    if float(value).is_integer() and abs(value) < 1000:
        return str(int(value))
    return f"{value:.2f}" if abs(value) < 9.995 else f"{value:.1f}" if abs(value) < 99.95 else f"{value:.0f}"
