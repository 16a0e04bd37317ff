"""Generated drum grooves, in the styles that popular music has."""

from __future__ import annotations

import numpy as np

from creative_mix.training.notes import Hit, sort_hits

Rng = np.random.Generator

# Grooves: for each style patterns of a bar, one letter a step; o a stroke, x an accent,
# g a ghost note. The number of letters divides the bar.
_KICK, _SNARE, _HAT, _OPEN, _RIDE, _STICK, _CLAP, _BELL = 36, 38, 42, 46, 51, 37, 39, 56
_GROOVES: dict[str, tuple[tuple[dict[int, str], ...], float]] = {
    "rock": (
        (
            {_KICK: "x.......x.......", _SNARE: "....x.......x...", _HAT: "x.o.x.o.x.o.x.o."},
            {_KICK: "x.....o.x.o.....", _SNARE: "....x.......x...", _HAT: "x.o.x.o.x.o.x.o."},
            {_KICK: "x..o....x.o.....", _SNARE: "....x..g.g..x...", _HAT: "x.o.x.o.x.o.x.o."},
            {_KICK: "x.o.....x.....o.", _SNARE: "....x.......x...", _RIDE: "x.o.x.o.x.o.x.o."},
            {_KICK: "x.......x.......", _SNARE: "....x.......x...", _HAT: "x...x...x...x..."},
        ),
        110.0,
    ),
    "four": (
        (
            {_KICK: "x...x...x...x...", _CLAP: "....x.......x...", _OPEN: "..o...o...o...o."},
            {_KICK: "x...x...x...x...", _SNARE: "....x.......x...", _HAT: "o.x.o.x.o.x.o.x."},
            {_KICK: "x...x...x...x...", _HAT: "ooxoooxoooxoooxo"},
            {_KICK: "x...x...x...x..."},
        ),
        122.0,
    ),
    "hip hop": (
        (
            {_KICK: "x.....o...o.....", _SNARE: "....x.......x...", _HAT: "x.o.x.o.x.o.x.o."},
            {_KICK: "x..o......oo....", _SNARE: "....x..g....x...", _HAT: "x.o.x.oox.o.x.o."},
            {_KICK: "x......o..x.....", _SNARE: "....x.......x..g", _HAT: "xoooxoooxoooxooo"},
            {_KICK: "x.........x..o..", _SNARE: "........x.......", _HAT: "x.o.x.oox.o.xooo"},
        ),
        88.0,
    ),
    "six eight": (
        (
            {_KICK: "x.....o.....", _SNARE: "......x.....", _HAT: "x.o.o.x.o.o."},
            {_KICK: "x....o......", _SNARE: "......x...g.", _RIDE: "x.o.o.x.o.o."},
            {_KICK: "x...........", _STICK: "......x.....", _HAT: "x.o.o.x.o.o."},
        ),
        60.0,
    ),
    "break": (
        (
            {_KICK: "x.x.......xx....", _SNARE: "....x..g.g..x..g", _HAT: "x.o.x.o.x.o.x.o."},
            {_KICK: "x.....x...x..o..", _SNARE: "....x..o.o..x...", _RIDE: "x.o.x.o.x.o.x.o."},
            {_KICK: "x..x..x...x.....", _SNARE: "..g.x..g.g.gx..g", _HAT: "xoxoxoxoxoxoxoxo"},
        ),
        105.0,
    ),
    "sparse": (
        (
            {_KICK: "x...............", _SNARE: "........x......."},
            {_KICK: "x.......o.......", _HAT: "....x.......x..."},
            {_STICK: "....x.......x...", _KICK: "x..............."},
            {_KICK: "x.........o....."},
            {_HAT: "x...x...x...x..."},
            {_SNARE: "....x.......x..."},
        ),
        84.0,
    ),
    "latin": (
        (
            {_KICK: "x..oo..ox..oo..o", _STICK: "x..x..x...x..x..", _HAT: "o.x.o.x.o.x.o.x."},
            {_KICK: "x..oo..ox..oo..o", _BELL: "x.o.x.oox.o.x.oo", _SNARE: "...g..g....g..g."},
            {_KICK: "x.....o.x.....o.", _STICK: "..x.x...x..x..x.", _RIDE: "x.oox.oox.oox.oo"},
            {43: "......oo......oo", 47: "...x.......x....", _HAT: "x.o.x.o.x.o.x.o."},
        ),
        100.0,
    ),
    "toms": (
        (
            {43: "x..x..x.x..x..x.", 47: "....o.......o...", _KICK: "x.......x......."},
            {43: "x.oox.oox.oox.oo", _SNARE: "....x.......x...", _KICK: "x...x...x...x..."},
            {50: "x.....x.....x...", 47: "..x.....x.....x.", 43: "....x.....x....."},
        ),
        100.0,
    ),
    "jazz": (
        (
            {_RIDE: "x..x.ox..x.o", 44: "...x.....x..", _KICK: "o..o..o..o.."},
            {_RIDE: "x..x.ox..x.o", 44: "...x.....x..", _SNARE: "..g....g..g."},
        ),
        132.0,
    ),
}
# Hand percussion: bongos, congas, timbales, and what is shaken or knocked.
_HANDS: dict[str, tuple[tuple[dict[int, str], ...], float]] = {
    "tumbao": (
        (
            {62: "x.o...x.x.o...x.", 63: "......o.......oo", 64: "....x.......x..."},
            {62: "xog.xo..xog.xo..", 63: "...o..oo...o..oo", 70: "x.o.x.o.x.o.x.o."},
            {63: "x..x..x...x.x...", 64: ".......o.......o", 75: "x..x..x...x.x..."},
            {62: "goxogoxogoxogoxo", 63: "..............xx", 64: "x.......x......."},
        ),
        104.0,
    ),
    "martillo": (
        (
            {60: "xgogxgogxgogxgog", 61: "............x..."},
            {60: "x.o.x.oox.o.x.oo", 61: "...o..x....o..x.", 69: "xoxoxoxoxoxoxoxo"},
        ),
        112.0,
    ),
    "hand six": (
        ({63: "x.oo.ox.oo.o", 64: "...x.....x..", 76: "x.x.xx.x.x.x"},),
        66.0,
    ),
    "timbales": (
        (
            {65: "x..x..x.x..x..x.", 66: "....o.......o...", 56: "x.o.x.oox.o.x.oo"},
            {65: "x.xx.xx.x.xx.xx.", 66: "o.......o.......", 76: "x..x..x...x.x..."},
        ),
        106.0,
    ),
    "knocks": (
        (
            {76: "x..o..x.o..x.o..", 77: "....x..o....x...", 70: "oooooooooooooooo"},
            {75: "x...x...x..x....", 69: "..x...x...x...x.", 54: "....x.......x..."},
        ),
        96.0,
    ),
}
_LEVELS = {"x": 104.0, "o": 78.0, "g": 34.0}


def generate_groove(
    rng: Rng, duration_s: float, bpm: float | None = None, hands: bool = False
) -> tuple[str, float, tuple[Hit, ...]]:
    """The style, the tempo and the hits of a new groove that begins at 0 s.

    Args:
        rng: what decides everything.
        duration_s: how long it plays, seconds.
        bpm: quarter notes a minute; None draws one that suits the style.
        hands: whether hand percussion plays, in place of a kit.
    """
    grooves = _HANDS if hands else _GROOVES
    style = str(rng.choice(list(grooves)))
    patterns, usual = grooves[style]
    if bpm is None:
        bpm = usual * float(rng.uniform(0.75, 1.3))
    bar_s = 240.0 / bpm
    if rng.random() < 0.15:
        bar_s *= 2.0
    pattern = patterns[int(rng.integers(len(patterns)))]
    swing = float(rng.choice((0.5, 0.5, 0.5, 0.56, 0.6, 0.66)))
    timing_s = float(rng.choice((0.0, 0.002, 0.005, 0.01)))
    unevenness = float(rng.choice((0.0, 4.0, 9.0)))
    loudness = float(rng.uniform(-18.0, 14.0))
    ghosts = float(rng.choice((0.0, 0.0, 0.1, 0.25)))
    dropped = float(rng.choice((0.0, 0.0, 0.05, 0.15)))
    fill_every = int(rng.choice((0, 2, 4, 4)))
    crash = rng.random() < 0.5
    hits: list[Hit] = []

    def strike(time_s: float, drum: int, level: float) -> None:
        velocity = level + loudness + rng.normal(0.0, 1.0) * unevenness
        time_s += rng.normal(0.0, 1.0) * timing_s
        hits.append(Hit(max(0.0, time_s), drum, int(np.clip(round(velocity), 6, 127))))

    for bar in range(int(np.ceil(duration_s / bar_s))):
        begin = bar * bar_s
        fill = fill_every > 0 and bar % fill_every == fill_every - 1
        fill_from = float(rng.choice((0.5, 0.75))) if fill else 1.0
        for drum, steps in pattern.items():
            length = bar_s / len(steps)
            for i, letter in enumerate(steps):
                place = i + (2.0 * swing - 1.0 if i % 2 and len(steps) == 16 else 0.0)
                if i / len(steps) >= fill_from:
                    continue
                if letter != "." and not (letter == "o" and rng.random() < dropped):
                    strike(begin + place * length, drum, _LEVELS[letter])
                elif drum == _SNARE and rng.random() < ghosts * 0.5:
                    strike(begin + place * length, drum, _LEVELS["g"])
        if fill:
            drums = [60, 61, 63, 64] if hands else [_SNARE, 50, 47, 43]
            drums = drums[int(rng.integers(2)) :]
            count = int(rng.choice((4, 6, 8))) if fill_from == 0.5 else 4
            for i in range(count):
                at = fill_from + (1.0 - fill_from) * i / count
                strike(begin + at * bar_s, drums[i * len(drums) // count], 82.0 + 3.0 * i)
        if crash and not hands and bar % max(fill_every, 4) == 0:
            strike(begin, int(rng.choice((49, 57))), 100.0)
    return style, bpm, sort_hits(h for h in hits if h.time_s < duration_s)
