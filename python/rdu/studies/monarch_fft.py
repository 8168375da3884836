"""The Monarch FFT of the SN40L paper (MICRO 2024, Table I): what fusion saves in off-chip traffic.

One rule counts all traffic: a kernel reads each tensor that it uses and did not make once, and writes each tensor that
it made and another kernel (or the caller) uses once. What stays inside a kernel moves nothing. The multiplication's
factors are constants of the program and come from no memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdu.errors import GraphError

ELEMENT_BYTES = 2
ROWS, INNER = 1024, 128
# Elements of each tensor; the factors of the multiplication in compact form are as large as one of the small ones.
SMALL, LARGE = ROWS * INNER, ROWS * ROWS


@dataclass(frozen=True)
class Step:
    """An operator: what it reads, what it makes, and its operations, a multiply-add counting two."""

    name: str
    reads: tuple[str, ...]
    makes: str
    flops: int


TENSORS = {"w0": SMALL, "x": SMALL, "g0": LARGE, "m": LARGE, "t": LARGE, "w1": SMALL, "y": SMALL}
STEPS = (
    Step("gemm0", ("w0", "x"), "g0", 2 * ROWS * INNER * ROWS),
    Step("mul", ("g0",), "m", LARGE),
    Step("transpose", ("m",), "t", 0),
    Step("gemm1", ("w1", "t"), "y", 2 * INNER * ROWS * ROWS),
)
# Which operators share a kernel.
FUSIONS = {
    "none": (("gemm0",), ("mul",), ("transpose",), ("gemm1",)),
    "part": (("gemm0", "mul", "transpose"), ("gemm1",)),
    "full": (("gemm0", "mul", "transpose", "gemm1"),),
}


@dataclass(frozen=True)
class Intensity:
    """Operations, off-chip bytes, and kernels."""

    flops: int
    bytes: int
    kernels: int

    @property
    def flop_per_byte(self) -> float:
        """Operational intensity."""
        return self.flops / self.bytes


def monarch_fft(fusion: str, *, count_factors: bool = False) -> Intensity:
    """Operations and off-chip bytes in bf16.

    Parameters
    ----------
    fusion : {"none", "part", "full"}
        No fusion; gemm0, mul and transpose in one kernel; all four in one.
    count_factors : bool
        Read the factors of the multiplication, in compact form, from memory too. The paper's last row counts five small
        tensors where the rule counts four, and its other rows do not.

    Examples
    --------
    >>> f"{monarch_fft('none').flop_per_byte:.1f}, {monarch_fft('part').flop_per_byte:.1f}"
    '39.5, 102.6'
    """
    if fusion not in FUSIONS:
        raise GraphError(f"fusion is {fusion!r}; choose one of {', '.join(FUSIONS)}")
    steps = {step.name: step for step in STEPS}
    elements = SMALL if count_factors else 0
    for kernel in FUSIONS[fusion]:
        inside = {name: steps[name] for name in kernel}
        made = {step.makes for step in inside.values()}
        read = {tensor for step in inside.values() for tensor in step.reads}
        used_outside = {tensor for step in STEPS if step.name not in inside for tensor in step.reads} | {"y"}
        elements += sum(TENSORS[tensor] for tensor in sorted(read - made))
        elements += sum(TENSORS[tensor] for tensor in sorted(made & used_outside))
    return Intensity(sum(step.flops for step in STEPS), elements * ELEMENT_BYTES, len(FUSIONS[fusion]))
