"""Map where a model's output differs from the truth: by level, by band, and by the strike's age.

    python benchmarks/errors.py data/validation --model new.onnx --before old.onnx \
        --count 60 --json errors.json --plot worst.png

The difference is that of the mel distance (`creative_mix/evaluation/scores.py`), in dB, cell by
cell, levels matched: its mean size, its bias (above 0: too loud), and its share of the whole error.
With `--before` a second model is mapped beside it, and the pairs that it wins are counted.
The plot shows the five pairs of the greatest distance (that of `--before`, where there is one): the
truth, before, and after. It needs matplotlib (`pip install 'creative-mix[bench]'`).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE
from creative_mix.evaluation.features import Features
from creative_mix.evaluation.scores import MEL_FLOOR_DB, mel_distance
from creative_mix.renderer import WEIGHTS_PATH, Renderer
from creative_mix.training.pairfiles import pair_stems, read_pair

Array = NDArray[np.float64]

EDGES = {
    "the truth's level (dB below its loudest)": (-80.0, -79.9, -70, -60, -50, -40, -30, -20, 0.1),
    "mel band of 128": (0, 16, 32, 48, 64, 80, 96, 112, 128),
    "age of the strike (s)": (0, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 1000),
}
WORST = 5


@dataclass(frozen=True)
class Mapped:
    """One pair's mel levels in dB below the truth's loudest, each (128, T)."""

    name: str
    distance: float
    wanted: Array
    found: Array
    age_s: Array


def mel_db(features: Features, gain: float, loudest: float) -> Array:
    """Levels of all cells above the floor that the mel distance has."""
    amplitude = np.sqrt(features.mel_power.astype(np.float64)) * gain / loudest
    return np.asarray(20 * np.log10(np.maximum(amplitude, 10 ** (MEL_FLOOR_DB / 20))))


def map_pair(renderer: Renderer, folder: Path, stem: str) -> Mapped:
    """Render a pair and lay the result beside its truth."""
    pair = read_pair(folder, stem)
    truth, output = Features(pair.truth), Features(renderer.render(pair.drums, pair.piano))
    loudest = float(np.sqrt(truth.mel_power.max()))
    wanted = mel_db(truth, 1.0, loudest)
    times = np.arange(wanted.shape[1]) * HOP_LENGTH / SAMPLE_RATE
    strikes = np.concatenate([[-1000.0], np.asarray(pair.strikes_s, dtype=np.float64)])
    age = times - strikes[np.searchsorted(strikes, times, side="right") - 1]
    found = mel_db(output, truth.rms / max(output.rms, 1e-9), loudest)
    return Mapped(stem, mel_distance(output, truth), wanted, found, np.maximum(age, 0.0))


def tables(mapped: list[Mapped]) -> dict[str, list[dict[str, float]]]:
    """Size, bias and share of the error in every class of cells."""
    error = np.concatenate([(one.found - one.wanted).ravel() for one in mapped])
    places = [
        np.concatenate([one.wanted.ravel() for one in mapped]),
        np.concatenate([np.repeat(np.arange(128), one.wanted.shape[1]) for one in mapped]),
        np.concatenate([np.tile(np.minimum(one.age_s, 999.0), 128) for one in mapped]),
    ]
    whole = float(np.abs(error).sum())
    made = {}
    for (name, edges), place in zip(EDGES.items(), places, strict=True):
        rows = []
        for low, high in zip(edges, edges[1:], strict=False):
            inside = error[(place >= low) & (place < high)]
            if len(inside):
                size = float(np.abs(inside).sum())
                rows.append(
                    {
                        "from": float(low),
                        "to": float(high),
                        "cells": len(inside) / len(error),
                        "size_db": size / len(inside),
                        "bias_db": float(inside.mean()),
                        "share": size / whole,
                    }
                )
        made[name] = rows
    return made


def show(tabled: dict[str, list[dict[str, float]]]) -> None:
    """Print the tables."""
    for name, rows in tabled.items():
        print(f"\n{name}\n      from       to   cells  |error|    bias  share of the error")
        for row in rows:
            print(
                f"  {row['from']:8.2f} {row['to']:8.2f}  {row['cells']:6.1%}  {row['size_db']:5.1f}"
                f" dB {row['bias_db']:+5.1f} dB  {row['share']:6.1%}"
            )


def draw(rows: list[tuple[Mapped, Mapped | None]], path: Path) -> None:
    """Draw truth, before and after of some pairs, one pair a row."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = 3 if rows[0][1] is not None else 2
    figure, axes = plt.subplots(len(rows), columns, figsize=(4.4 * columns, 2.1 * len(rows)))
    for line, (after, before) in zip(np.atleast_2d(axes), rows, strict=True):
        shown: list[tuple[str, Array, float | None]] = [("truth", after.wanted, None)]
        if before is not None:
            shown.append(("before", before.found, before.distance))
        shown.append(("after", after.found, after.distance))
        for axis, (title, level, distance) in zip(line, shown, strict=True):
            axis.imshow(level, origin="lower", aspect="auto", vmin=-80, vmax=0, cmap="magma")
            told = "" if distance is None else f", mel distance {distance:.3f}"
            axis.set_title(f"{after.name} {title}{told}", fontsize=8)
            axis.set_xticks([])
            axis.set_yticks([])
    figure.tight_layout()
    figure.savefig(path, dpi=70)


def main() -> None:
    """Map one model or two."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--model", type=Path, default=WEIGHTS_PATH)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    stems = pair_stems(options.pairs)[: options.count]
    models = {"after": options.model}
    if options.before is not None:
        models = {"before": options.before, **models}
    found: dict[str, list[Mapped]] = {}
    told: dict[str, Any] = {}
    for name, model in models.items():
        renderer = Renderer(model)
        found[name] = [map_pair(renderer, options.pairs, stem) for stem in stems]
        distances = [one.distance for one in found[name]]
        print(f"\n{name}: {model.name}, {len(stems)} pairs, mel distance {np.mean(distances):.3f}")
        told[name] = {"mel": distances, "tables": tables(found[name])}
        show(told[name]["tables"])
    if "before" in found:
        pairs = list(zip(told["before"]["mel"], told["after"]["mel"], strict=True))
        print(f"\nnearer to the truth than before: {sum(b > a for b, a in pairs)} of {len(pairs)}")
    if options.json:
        options.json.write_text(json.dumps({"pairs": stems, **told}))
    if options.plot:
        first = found.get("before", found["after"])
        order = np.argsort([-one.distance for one in first])[:WORST]
        draw(
            [(found["after"][n], found["before"][n] if "before" in found else None) for n in order],
            options.plot,
        )


if __name__ == "__main__":
    main()
