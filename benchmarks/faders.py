"""Measure what the six faders do: each bias turned up in steps, over pairs with known notes.

    python benchmarks/faders.py data/validation --count 12 --json faders.json --plot faders.png

`target_rhythm` should move the onsets to the piano's own and away from the drums', `input_timbre`
the spectrum to the drums'; the other four are told as information.  Each curve is a mean over the
pairs with its 95 % bootstrap interval.  `--keep FOLDER` writes the renders of the first pair, to be
listened to.  The plot needs matplotlib (`pip install 'creative-mix[bench]'`).

A pair of 10 s costs 25 renders, about two minutes on one free core; `--components` takes fewer.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import creative_mix
from creative_mix.constants import COMPONENT_NAMES, SAMPLE_RATE
from creative_mix.evaluation import onsets, scores
from creative_mix.evaluation.features import Features
from creative_mix.evaluation.report import align
from creative_mix.evaluation.statistics import Interval, bootstrap_interval
from creative_mix.trace import Trace
from creative_mix.training.pairfiles import Pair, pair_stems, read_pair
from creative_mix.training.truth import merge_hits, strike_times

STEPS = (0.0, 1.0, 2.0, 3.0, 4.0)
CHANCE_SEED = 0


@dataclass(frozen=True)
class Figure:
    """A figure of a render."""

    key: str
    label: str
    digits: int


FIGURES = (
    Figure("weight", "its weight", 3),
    Figure("piano_f", "onset F to the piano's own", 3),
    Figure("piano_chance", "chance", 3),
    Figure("drums_f", "onset F to the drums", 3),
    Figure("drums_chance", "chance", 3),
    Figure("piano_strikes_f", "strike F to the piano's own", 3),
    Figure("drums_strikes_f", "strike F to the drums", 3),
    Figure("drums_mel", "mel distance to the drums", 3),
    Figure("drums_mfcc", "MFCC distance to the drums", 1),
    Figure("leak", "drum leak", 3),
    Figure("piano_chroma", "chroma to the piano", 3),
    Figure("strikes", "strikes", 1),
    Figure("peak_db", "peak of the render (dB)", 1),
    Figure("hiss_db", "level above 16 kHz (dB)", 1),
)

PROMISES = (
    ("target_rhythm", "piano_f", +1),
    ("target_rhythm", "drums_f", -1),
    ("input_timbre", "drums_mel", -1),
    ("input_timbre", "leak", +1),
)
"""Component, figure, and the way in which it must go at every step."""


def measure(pair: Pair, component: str, audio: np.ndarray, trace: Trace) -> dict[str, float]:
    """The figures of one render."""
    made, drums, piano = Features(audio), Features(pair.drums), Features(pair.piano)
    own = strike_times(pair.piano_notes)
    hits = np.array([strike.time_s for strike in merge_hits(pair.hits)])
    struck = np.array([strike.time_s for strike in trace.strikes()])
    high = np.abs(np.fft.rfft(made.audio))
    cut = int(len(high) * 16000 / (SAMPLE_RATE / 2))
    energy = float(np.sum(high**2))
    weights = trace.weights.mean(axis=1)
    found = {
        "weight": float(weights[COMPONENT_NAMES.index(component)]),
        "drums_mel": scores.mel_distance(made, drums),
        "drums_mfcc": scores.mfcc_distance(made, drums),
        "leak": scores.drum_leak(made, drums),
        "piano_chroma": scores.chroma_cosine(made, piano),
        "strikes": float(len(struck)),
        "peak_db": 20 * np.log10(max(1e-9, float(np.abs(audio).max()))),
        "hiss_db": 10 * np.log10(max(1e-12, float(np.sum(high[cut:] ** 2)) / max(energy, 1e-12))),
    }
    for name, times in (("piano", own), ("drums", hits)):
        found[f"{name}_f"] = onsets.onset_f(times, made.onsets_s)
        found[f"{name}_strikes_f"] = onsets.onset_f(times, struck)
        found[f"{name}_chance"] = onsets.chance_f(
            times, made.onsets_s, made.duration_s, seed=CHANCE_SEED
        )
    return found


def render(
    renderer: creative_mix.Renderer, pair: Pair, component: str, bias: float
) -> tuple[np.ndarray, Trace]:
    """A pair with one fader turned up, and what it composed."""
    trace = Trace()
    audio = creative_mix.render(
        pair.drums,
        pair.piano,
        SAMPLE_RATE,
        bias={component: bias},
        renderer=renderer,
        trace=trace,
    )
    return audio, trace


def turn(
    pairs: Path,
    model: Path | None,
    count: int | None,
    steps: Sequence[float],
    components: Sequence[str],
    keep: Path | None,
) -> dict[str, Any]:
    """Every figure by component, step and pair."""
    renderer = creative_mix.Renderer(model, "cpu", 1)
    stems = pair_stems(pairs)[:count]
    if not stems:
        sys.exit(f"{pairs}: no pairs in it")
    values: dict[str, dict[str, list[list[float]]]] = {
        component: {figure.key: [[] for _ in steps] for figure in FIGURES}
        for component in components
    }
    for place, stem in enumerate(stems):
        pair = read_pair(pairs, stem)
        # Unbiased it is the same for all of them.
        plain: tuple[np.ndarray, Trace] | None = None
        for component in components:
            for step, bias in enumerate(steps):
                if bias == 0:
                    plain = plain or render(renderer, pair, component, bias)
                    audio, trace = plain
                else:
                    audio, trace = render(renderer, pair, component, bias)
                for key, value in measure(pair, component, audio, trace).items():
                    values[component][key][step].append(value)
                if keep is not None and place == 0:
                    soundfile.write(
                        str(keep / f"{component}+{bias:g}.wav"), audio.T, SAMPLE_RATE, "PCM_24"
                    )
        print(f"{place + 1}/{len(stems)} {stem}", file=sys.stderr, flush=True)
    return {"steps": list(steps), "pairs": stems, "values": values}


def curve(result: dict[str, Any], component: str, key: str) -> list[Interval]:
    """Mean and interval of a figure at every step."""
    return [bootstrap_interval(each) for each in result["values"][component][key]]


def is_monotone(means: Sequence[float], way: int) -> bool:
    """Whether every step goes the way, and none stands still."""
    return bool(np.all(way * np.diff(means) > 0))


def table(result: dict[str, Any], component: str) -> str:
    """A Markdown table: a row a figure, a column a step."""
    rows = [["figure", *(f"+{step:g}" for step in result["steps"])]]
    for figure in FIGURES:
        cells = []
        for found in curve(result, component, figure.key):
            low, high = (f"{value:.{figure.digits}f}" for value in (found.low, found.high))
            cells.append(f"{found.mean:.{figure.digits}f} [{low}, {high}]")
        rows.append([figure.label, *cells])
    return align(rows)


def verdicts(result: dict[str, Any]) -> str:
    """A Markdown table of what was promised, and whether it holds."""
    labels = {figure.key: figure.label for figure in FIGURES}
    rows = [["fader", "figure", "must", "from", "to", "monotone", "pairs that end further"]]
    for component, key, way in PROMISES:
        if component not in result["values"]:
            continue
        means = [found.mean for found in curve(result, component, key)]
        steps = np.array(result["values"][component][key])
        further = int(np.sum(way * (steps[-1] - steps[0]) > 0))
        rows.append(
            [
                component,
                labels[key],
                "rise" if way > 0 else "fall",
                f"{means[0]:.3f}",
                f"{means[-1]:.3f}",
                "yes" if is_monotone(means, way) else "NO",
                f"{further} of {steps.shape[1]}",
            ]
        )
    return align(rows)


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw the curves of all six faders."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        sys.exit("the plot needs matplotlib: pip install 'creative-mix[bench]'")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = (
        ("onset F, 50 ms", (("piano_f", "to the piano's own"), ("drums_f", "to the drums"))),
        ("strike F, 50 ms", (("piano_strikes_f", "to the piano's own"), ("drums_strikes_f", ""))),
        ("mel distance to the drums", (("drums_mel", ""),)),
        ("drum leak", (("leak", ""),)),
    )
    colours = {"piano": "#1b62ae", "drums": "#a24f00"}
    steps, components = result["steps"], list(result["values"])
    figure, axes = plt.subplots(
        len(panels),
        len(components),
        figsize=(3 + 2 * len(components), 9),
        sharex=True,
        sharey="row",
        squeeze=False,
        constrained_layout=True,
    )
    for column, component in enumerate(components):
        for row, (title, lines) in enumerate(panels):
            axis = axes[row, column]
            for key, label in lines:
                found = curve(result, component, key)
                colour = colours[key.split("_")[0]] if key != "leak" else colours["drums"]
                axis.plot(steps, [each.mean for each in found], "o-", color=colour, label=label)
                low, high = [each.low for each in found], [each.high for each in found]
                axis.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
                chance = key.replace("_f", "_chance")
                if chance != key and chance in result["values"][component]:
                    level = [each.mean for each in curve(result, component, chance)]
                    axis.plot(steps, level, ":", color=colour)
            axis.grid(alpha=0.25)
            if not column:
                axis.set_ylabel(title)
            if row == 0:
                axis.set_title(component)
        axes[-1, column].set_xlabel("bias")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, title="dotted: chance")
    figure.suptitle(f"Faders over {len(result['pairs'])} pairs: mean and 95 % interval")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the tables; write the figures and the plot where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path, help="folder of pairs, or a JSON file of a former run")
    parser.add_argument("--model", type=Path, help="ONNX file; by default the one that ships")
    parser.add_argument("--count", type=int, help="pairs; by default all")
    parser.add_argument("--steps", type=float, nargs="+", default=STEPS, help="biases, rising")
    parser.add_argument(
        "--components", nargs="+", choices=COMPONENT_NAMES, default=COMPONENT_NAMES, metavar="NAME"
    )
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--plot", type=Path, help="draw the curves here, .png or .svg")
    parser.add_argument("--keep", type=Path, help="folder for the renders of the first pair")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    if options.pairs.is_file():
        result = json.loads(options.pairs.read_text())
    else:
        result = turn(
            options.pairs,
            options.model,
            options.count,
            options.steps,
            options.components,
            options.keep,
        )
    if options.json is not None:
        options.json.write_text(json.dumps(result) + "\n")
    print(f"{len(result['pairs'])} pairs, mean [95 % interval]\n\n{verdicts(result)}")
    for component in result["values"]:
        print(f"\n## {component}\n\n{table(result, component)}")
    if options.plot is not None:
        plot(result, options.plot)


if __name__ == "__main__":
    main()
