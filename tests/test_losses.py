"""Where a step loses its time: the causes add up, and each shows where it must."""

from __future__ import annotations

import json

import pytest

from rdu.cli.main import main
from rdu.machine import machine
from rdu.studies.losses import losses


@pytest.mark.parametrize(("sockets", "fusion"), [(1, "loop"), (3, "loop"), (1, "layer")])
def test_causes_add_up_to_the_step(sockets: int, fusion: str) -> None:
    found = losses("smollm2", sockets=sockets, context=256, fusion=fusion)
    assert sum(loss.seconds for loss in found.losses) == pytest.approx(found.found.step_s)
    named = {loss.cause: loss.seconds for loss in found.losses}
    # A call starts from an empty chip whatever it costs, so that its own time is all that goes with it.
    call_s = 1e-6 * machine("sn40l").call_us(program_load=False)
    assert named["kernel calls"] >= found.found.calls * call_s * 0.95
    # Nothing is taken away that would have made a step faster; cached rows may hide some of the chain.
    assert all(value > -0.01 * found.found.step_s for value in named.values())
    assert ("latency between sockets" in named) == (sockets > 1)


def test_small_layers_on_many_sockets_wait_for_each_other() -> None:
    named = {loss.cause: loss.seconds for loss in losses("smollm2", sockets=3, context=256).losses}
    # Two sums in each of 30 layers, each of two steps that take 2.3 us; some of it hides behind weights that come.
    assert 0.5 * 4 * 30 * 2.3e-6 < named["latency between sockets"] <= 4 * 30 * 2.3e-6 * 1.01


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["losses", "smollm2", "--context", "64"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(loss["us_per_layer"] for loss in found["losses"]) == pytest.approx(1e6 * found["step_s"] / 30)
    assert main(arguments) == 0
    assert "bytes at the rate of HBM" in capsys.readouterr().out
