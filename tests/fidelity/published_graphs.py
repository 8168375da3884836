"""Graphs of the literature as plain data, with the figures published for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BLACKSCHOLES = Path(__file__).parents[1] / "data" / "dataflow" / "blackscholes.json"

# Actors of the modem.
MODEM = (
    "fork1",
    "biq",
    "bi",
    "add",
    "ac",
    "fork2",
    "conj",
    "mul1",
    "in",
    "filt",
    "hil",
    "eq",
    "mul2",
    "deci",
    "deco",
    "out",
)

Rates = int | list[int]


@dataclass(frozen=True)
class Channel:
    source: str
    produce: Rates
    target: str
    consume: Rates
    initial: int = 0


@dataclass(frozen=True)
class Published:
    """A synchronous or cyclo-static graph in the terms of SDF3.

    Attributes
    ----------
    times
        Execution time of each phase of an actor.
    channels
        Without the actors' channels to themselves that allow one firing at a time: see ``parallel``.
    period
        Cycles of an iteration with unbounded channels.
    repetitions
        Firings of some actors in one iteration.
    parallel
        Actors that may fire any number of times at once: those that have no channel to themselves.
    full, live
        The smallest sum of channel sizes for that period, and for running at all; None where not published.
    """

    times: Mapping[str, Rates]
    channels: list[Channel]
    period: int
    repetitions: Mapping[str, int]
    parallel: frozenset[str] = frozenset()
    full: int | None = None
    live: int | None = None


def chain(text: str) -> list[Channel]:
    """``a 2:3 b 1:2 c``: a sends 2 to b, which takes 3, and so on."""
    words = text.split()
    links = zip(words[0::2], words[1::2], words[2::2], strict=False)
    return [Channel(a, int(rates.split(":")[0]), b, int(rates.split(":")[1])) for a, rates, b in links]


def _mp3_decoder() -> Published:
    """The two stereo channels of an MP3 decoder, block by block."""
    times = {"huffman": 236070, "stereo": 73618}
    channels = []
    for side in "01":
        times |= {
            f"req{side}": 139325,
            f"reorder{side}": 69385,
            f"aliasreduct{side}": 409,
            f"IMDCT{side}": 7414,
            f"freqinv{side}": 4912,
            f"synth{side}": 1866138,
        }
        channels += chain(f"huffman 2:1 req{side} 1:1 reorder{side} 1:1 stereo 96:3 aliasreduct{side} 3:1 IMDCT{side}")
        channels += chain(f"IMDCT{side} 1:1 freqinv{side} 1:96 synth{side}")
        channels += chain(f"req{side} 1:1 stereo 96:1 IMDCT{side}")
    serial = {"huffman", "req0", "req1"}
    # The file lets a synthesis filter fire with itself; else its two firings alone would take 2 × 1866138 cycles. So
    # the two of req0 are the longest: 2 × 139325.
    return Published(
        times, channels, 278650, {"huffman": 1, "req0": 2, "IMDCT1": 192, "synth0": 2}, frozenset(times) - serial
    )


def _blackscholes() -> Published:
    data = json.loads(BLACKSCHOLES.read_text(encoding="utf-8"))
    channels = [Channel(*row) for row in data["channels"]]
    return Published(data["times"], channels, data["period"], {"stat_results_3": 13, "Join_2": 169})


# Sizes and periods marked DAC06: Stuijk, Geilen and Basten, "Exploring trade-offs in buffer requirements and throughput
# constraints for synchronous dataflow graphs", DAC 2006, table of experiments. Graphs marked SDF3: rates and times of
# the graph of that name that comes with SDF3 (Stuijk, Geilen and Basten, "SDF3: SDF for free", ACSD 2006). Kiter:
# Bodin, Munier-Kordon and Dupont de Dinechin, "Optimal and fast throughput evaluation of CSDF", DAC 2016, and its
# repository.
# Where no figure is published, the one here is that of two means that share no code: the analysis, and a self-timed
# execution of SDF3's own rules.
GRAPHS = {
    # DAC06, figure 1: throughput of c is 1/4 at most, with 10 slots; 6 slots let it run.
    "example": Published(
        {"a": 1, "b": 2, "c": 2}, chain("a 2:3 b 1:2 c"), 4, {"a": 3, "b": 2, "c": 1}, full=10, live=6
    ),
    # SDF3 "samplerate", the CD to DAT converter of Bhattacharyya, Murthy and Lee. DAC06: 1.04e-3, 34 and 32 slots.
    "sample rate": Published(
        {"a": 5, "b": 2, "c": 3, "d": 1, "e": 4, "f": 6},
        chain("a 1:1 b 2:3 c 2:7 d 8:7 e 5:1 f"),
        960,
        {"a": 147, "b": 147, "c": 98, "d": 28, "e": 32, "f": 160},
        full=34,
        live=32,
    ),
    # SDF3 "modem". DAC06: 6.25e-2, 40 and 38 slots.
    "modem": Published(
        dict.fromkeys(MODEM, 1),
        [
            *chain("fork1 1:1 biq 1:1 add 1:1 ac 2:1 fork2 1:2 conj 2:2 mul2"),
            *chain("fork1 1:1 bi 1:1 add"),
            *chain("fork2 1:2 mul1 2:2 deci 2:2 deco 1:1 out"),
            *chain("in 1:1 filt 1:8 hil 2:4 eq 2:2 mul1"),
            *chain("deci 2:2 mul2"),
            Channel("mul2", 2, "eq", 2, initial=2),
            Channel("deci", 1, "fork1", 1, initial=1),
        ],
        16,
        {"in": 16, "filt": 16, "hil": 2, "eq": 1, "fork2": 2, "out": 1},
        full=40,
        live=38,
    ),
    # SDF3 "satellite", the receiver of Ritz, Willems and Meyr. DAC06: 9.47e-4, 1544 and 1542 slots.
    "satellite": Published(
        dict.fromkeys("abcdefghijklmnpqrstuvw", 1),
        [
            *chain("a 1:4 b 1:11 c 1:1 g 1:1 h 11:11 i 10:1 j 1:1 p 1:240 q 240:1 w"),
            *chain("d 1:4 e 1:11 f 1:1 k 1:1 l 11:11 m 10:1 n 1:1 p 1:240 r 240:1 w"),
            *chain("c 10:1 p"),
            *chain("f 10:1 p"),
            *chain("n 1:1 s 1:1 u 1:240 v 240:1 w"),
            *chain("j 1:1 t 1:1 u"),
        ],
        1056,
        {"a": 1056, "b": 264, "c": 24, "j": 240, "q": 1, "w": 240},
        full=1544,
        live=1542,
    ),
    # SDF3 "h263decoder", a frame of 594 blocks: inverse quantisation is the slowest, 594 × 559.
    "H.263 decoder": Published(
        {"vld": 26018, "iq": 559, "idct": 486, "mc": 10958},
        chain("vld 594:1 iq 1:1 idct 1:594 mc"),
        332046,
        {"vld": 1, "iq": 594, "idct": 594, "mc": 1},
        frozenset({"idct"}),
    ),
    # SDF3 "mp3decoder_block_parallelism".
    "MP3 decoder": _mp3_decoder(),
    # SDF3 "mp3playback" (Wiggers, Bekooij and Smit, DAC 2007), rate conversion from 48 to 44.1 kHz.
    "MP3 playback": Published(
        {"mp3": 7510, "src": 10000, "app": 22, "dac": 22},
        [*chain("mp3 1152:480 src 441:1 app 1:1 dac"), Channel("dac", 1, "app", 1, initial=2)],
        120_000,
        {"mp3": 5, "src": 12, "app": 5292, "dac": 5292},
    ),
    # Kiter "sample", cyclo-static: no figure is published with it.
    "cyclo-static sample": Published(
        {"A": [3, 1], "B": [2, 1, 2], "C": 1},
        [
            Channel("A", [3, 5], "B", [1, 1, 4]),
            Channel("B", [6, 2, 1], "C", 6),
            Channel("C", 2, "A", [1, 3], initial=4),
        ],
        23,
        {"A": 6, "B": 12, "C": 6},
    ),
    # SDF3 "simple_example" of its cyclo-static buffer sizing: no figure is published with it.
    "cyclo-static example": Published(
        {"a": [1, 3], "b": 2, "c": [2, 3]},
        [Channel("a", [3, 1], "b", [4, 2]), Channel("b", [2, 4], "c", [6, 6])],
        12,
        {"a": 6, "b": 4, "c": 2},
    ),
    # Kiter "BlackScholes", cyclo-static with 41 actors: the README gives the period.
    "Black-Scholes": _blackscholes(),
}
