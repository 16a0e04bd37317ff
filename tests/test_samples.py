"""The sample recordings and the script that makes them."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile as sf

SAMPLES = Path(__file__).parent.parent / "samples"
STEMS = ("funk", "waltz", "breakbeat")


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_samples", SAMPLES / "make_samples.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("stem", STEMS)
def test_recordings_are_as_promised(stem: str) -> None:
    drums, piano = (sf.info(SAMPLES / f"{stem}.{part}.flac") for part in ("drums", "piano"))
    assert drums.samplerate == piano.samplerate == 44100
    assert drums.frames == piano.frames
    assert 10 <= drums.duration <= 20
    assert piano.channels == 2


def test_notes_are_the_same_every_time(maker: ModuleType) -> None:
    for make in (maker.funk, maker.waltz, maker.breakbeat):
        assert make() == make()


def test_midi_numbers(maker: ModuleType) -> None:
    assert [maker.to_pitch(name) for name in ("C4", "A4", "Eb3", "G#4", "Bb1")] == [
        60,
        69,
        51,
        68,
        34,
    ]
    assert maker.variable_length(0x3FFF) == b"\xff\x7f"


def test_script_makes_the_recordings(maker: ModuleType) -> None:
    if shutil.which("fluidsynth") is None or not maker.SOUNDFONT.exists():
        pytest.skip("FluidSynth or its SoundFont is not installed")
    name, samples = next(iter(maker.recordings(maker.SOUNDFONT)))
    there, _ = sf.read(SAMPLES / name, always_2d=True)
    assert samples.shape == there.shape
    # Another version of FluidSynth may differ in the last bits.
    assert np.corrcoef(samples[:, 0], there[:, 0])[0, 1] > 0.99
