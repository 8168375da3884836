"""What ``rdu estimate`` prints."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rdu.errors import CompileError
from rdu.report.units import percent, quantity, seconds
from rdu.studies.estimate import Estimate

# Kernels shown, those that take longest first.
MOST_KERNELS = 12
# Causes of less than this share of HBM's time are left out.
LEAST_SHARE = 0.001


def table(found: Estimate) -> RenderableType:
    """The rates, and where a step's time goes."""
    sockets = f"{found.sockets} sockets" if found.sockets > 1 else "one socket"
    steps = f"mean of {found.output} steps from {found.context}" if found.output > 1 else f"at {found.context}"
    # Not a table's title, which would be folded to the table's width.
    title = f"{found.model} on {sockets} of {found.machine}: {found.dtype}, fusion {found.fusion}, {steps} positions"
    return Group(
        Text(title, style="italic"),
        _rates(found),
        Text("kernels of a step, one socket", style="italic"),
        _kernels(found),
    )


def _rates(found: Estimate) -> Table:
    shown = Table(box=SIMPLE_HEAD, show_header=False)
    shown.add_column("what", no_wrap=True)
    shown.add_column("value", overflow="fold")
    calls = f"{found.calls} calls" if found.calls > 1 else "one call"
    rows = {
        "tokens/s": f"{found.tokens_per_second:.4g}"
        + (f" each of {found.batch}, {found.total_tokens_per_second:.4g} together" if found.batch > 1 else ""),
        "step": f"{seconds(found.step_s)}, {calls}",
        "first token": _first_token(found),
        "HBM": f"{percent(found.hbm_utilization)} of its peak, {quantity(found.hbm_bytes, 'B')} a step of each socket",
        "HBM's time": ", ".join(f"{cause} {percent(share)}" for cause, share in _causes(found)),
        "PCUs": f"{percent(found.pcu_utilization)} of their peak",
        "host": f"{seconds(found.host_s)} here, for the decode steps",
    }
    for what, value in rows.items():
        shown.add_row(what, Text(value))
    return shown


def _first_token(found: Estimate) -> str:
    if not found.prompt:
        return "no prompt was asked for"
    try:
        return f"{seconds(found.time_to_first_token_s)} after a prompt of {found.prompt}"
    except CompileError as error:
        return f"a prompt of {found.prompt} does not fit: {error}"


def _causes(found: Estimate) -> list[tuple[str, float]]:
    """What HBM's time went to, the most first."""
    return [pair for pair in sorted(found.hbm_time.items(), key=lambda pair: -pair[1]) if pair[1] > LEAST_SHARE]


def _kernels(found: Estimate) -> Table:
    step = found.steps[0]
    shown = Table(box=SIMPLE_HEAD)
    shown.add_column("kernel")
    for heading in ("calls", "running", "in calls", "HBM"):
        shown.add_column(heading, justify="right", no_wrap=True)
    hertz = step.machine.clock_ghz * 1e9
    longest = sorted(step.kernels, key=lambda kernel: -(kernel.run_cycles + kernel.call_cycles))
    for kernel in longest[:MOST_KERNELS]:
        times = seconds(kernel.run_cycles / hertz), seconds(kernel.call_cycles / hertz)
        shown.add_row(Text(kernel.name), str(kernel.calls), *times, quantity(sum(kernel.hbm_bytes), "B"))
    return shown
