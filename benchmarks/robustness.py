"""Measure what recordings that are not clean cost: each of a pair's two made worse in one way.

    python benchmarks/robustness.py data/validation --count 12 --soundfont FluidR3_GM.sf2 \
        --before old.onnx --json robustness.json

Recordings are rendered as the program does it, with their levels brought to where the model is at
home. The truth stays that of the clean pair, so that its mel distance and the onset F against its
known strikes tell what was lost; chance stands beside onset F. A bass, a voice and chords are of a
SoundFont where one is given, else plain tones. All that is drawn follows from a pair's place.

A pair costs twelve renders of a model, half a minute on one free core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.signal

from creative_mix.api import render
from creative_mix.constants import SAMPLE_RATE
from creative_mix.evaluation import onsets, scores
from creative_mix.evaluation.features import Features
from creative_mix.renderer import WEIGHTS_PATH, Renderer
from creative_mix.training import rooms
from creative_mix.training.accompaniment import draw_accompaniment
from creative_mix.training.pairfiles import Pair, pair_stems, read_pair
from creative_mix.training.samples import Audio
from creative_mix.training.synthesis import SynthesisedKit

Rng = np.random.Generator
Change = Callable[[Pair, Rng], tuple[Audio, Audio]]

BESIDE_DB = -6.0
"""Level of what sounds beside the drums, against them."""
WORST = 0.9
"""Quality of MP3: mostly below 80 kbit/s."""


def small_speaker(audio: Audio) -> Audio:
    """Audio as a small speaker gives it."""
    band = scipy.signal.butter(2, (300.0, 5000.0), "bandpass", fs=SAMPLE_RATE, output="sos")
    return scipy.signal.sosfilt(band, audio, axis=-1).astype(np.float32)


def beside(part: str, fonts: tuple[Path, ...]) -> Change:
    """The drums with such a part beside them."""

    def change(pair: Pair, rng: Rng) -> tuple[Audio, Audio]:
        samples = pair.drums.shape[1]
        while True:
            drawn = draw_accompaniment(rng, samples / SAMPLE_RATE, None, 0.0)
            if drawn.part == part:
                break
        level_db = rooms.rms_db(pair.drums) + BESIDE_DB
        played = drawn.play(fonts, samples, rng)
        return pair.drums + played * np.float32(10 ** (level_db / 20)), pair.piano

    return change


def resounded(pair: Pair, rng: Rng) -> tuple[Audio, Audio]:
    """The same hits on a synthesised kit, as loud."""
    drums = SynthesisedKit().play(list(pair.hits), pair.drums.shape[1], rng)
    gain_db = rooms.rms_db(pair.drums) - rooms.rms_db(drums)
    return drums * np.float32(10 ** (gain_db / 20)), pair.piano


def noisy(audio: Audio, rng: Rng, below_db: float) -> Audio:
    """Audio with noise so far below it."""
    return audio + rooms.make_noise(rng, audio.shape[1], rooms.rms_db(audio) - below_db)


def changes(fonts: tuple[Path, ...]) -> dict[str, Change]:
    """What is done, by name."""
    return {
        "as they are": lambda pair, _: (pair.drums, pair.piano),
        "drums 30 dB softer": lambda pair, _: (pair.drums * np.float32(0.0316), pair.piano),
        "drums on a synthesised kit": resounded,
        "drums with a bass, 6 dB below": beside("bass", fonts),
        "drums with a voice, 6 dB below": beside("voice", fonts),
        "drums with chords, 6 dB below": beside("chords", fonts),
        "drums through MP3": lambda pair, _: (rooms.code(pair.drums, WORST), pair.piano),
        "drums through a small speaker": lambda pair, _: (small_speaker(pair.drums), pair.piano),
        "drums with noise, 20 dB below": lambda pair, rng: (
            noisy(pair.drums, rng, 20.0),
            pair.piano,
        ),
        "piano 30 dB softer": lambda pair, _: (pair.drums, pair.piano * np.float32(0.0316)),
        "piano through MP3": lambda pair, _: (pair.drums, rooms.code(pair.piano, WORST)),
        "piano with noise, 30 dB below": lambda pair, rng: (
            pair.drums,
            noisy(pair.piano, rng, 30.0),
        ),
    }


def measure(renderer: Renderer, pair: Pair, drums: Audio, piano: Audio) -> dict[str, float]:
    """The figures of one render."""
    truth, output = (
        Features(pair.truth),
        Features(render(drums, piano, SAMPLE_RATE, renderer=renderer)),
    )
    found = output.onsets_s
    return {
        "mel": scores.mel_distance(output, truth),
        "onset_f": onsets.onset_f(pair.strikes_s, found, 0.05),
        "chance": onsets.chance_f(pair.strikes_s, found, output.duration_s, 0.05),
    }


def main() -> None:
    """Measure one model or two."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--model", type=Path, default=WEIGHTS_PATH)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--soundfont", type=Path, action="append", default=[])
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    models = {"before": options.before, "now": options.model}
    renderers = {name: Renderer(path) for name, path in models.items() if path is not None}
    kinds = changes(tuple(options.soundfont))
    made: dict[str, dict[str, list[dict[str, float]]]] = {
        kind: {name: [] for name in renderers} for kind in kinds
    }
    for place, stem in enumerate(pair_stems(options.pairs)[: options.count]):
        pair = read_pair(options.pairs, stem)
        for kind, change in kinds.items():
            drums, piano = change(pair, np.random.default_rng(place))
            for name, renderer in renderers.items():
                made[kind][name].append(measure(renderer, pair, drums, piano))
    head = "".join(f" | {name}: mel, onset F (chance)" for name in renderers)
    print(f"| {len(next(iter(made.values()))['now'])} pairs{head} |")
    print("|---" * (1 + len(renderers)) + "|")
    for kind, of_models in made.items():
        line = f"| {kind}"
        for rows in of_models.values():
            mel, onset_f, chance = (
                float(np.mean([row[key] for row in rows])) for key in ("mel", "onset_f", "chance")
            )
            line += f" | {mel:.3f}, {onset_f:.3f} ({chance:.2f})"
        print(line + " |")
    if options.json:
        options.json.write_text(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
