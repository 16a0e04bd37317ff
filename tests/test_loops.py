"""Drums as in loops: synthesised kits, and what sounds beside the drums."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training import rooms
from creative_mix.training.accompaniment import LEVELS_DB, Accompaniment, draw_accompaniment
from creative_mix.training.instruments import DRUM_SOUNDS
from creative_mix.training.material import Material
from creative_mix.training.notes import Hit, Note
from creative_mix.training.pairs import PairMaker
from creative_mix.training.synthesis import SynthesisedKit, draw_kit

FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


def test_a_synthesised_kit_follows_from_its_generator() -> None:
    hits = [Hit(0.1, 36, 100), Hit(0.4, 42, 80)]
    first, again, other = (
        SynthesisedKit().play(hits, SAMPLE_RATE, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (2, SAMPLE_RATE) and first.dtype == np.float32
    assert np.array_equal(first, again) and not np.allclose(first, other, atol=1e-2)


@pytest.mark.parametrize("seed", range(8))
def test_every_drum_begins_at_its_hit_and_ends_softly(seed: int) -> None:
    """Within 12 ms: what is shaken, and a reading of a slow attack, are a little late."""
    kit = draw_kit(np.random.default_rng(seed))
    begin = round(0.1 * SAMPLE_RATE)
    for drum in DRUM_SOUNDS:
        audio = kit.play([Hit(0.1, drum, 110)], 2 * SAMPLE_RATE, np.random.default_rng(0))
        loud = np.max(np.abs(audio), axis=0)
        assert np.all(np.isfinite(audio)) and loud.max() > 0.02
        heard = int(np.argmax(loud > 0.1 * loud.max()))
        assert -0.001 < (heard - begin) / SAMPLE_RATE < 0.012
        end = int(np.flatnonzero(loud)[-1])
        assert loud[end - 8 : end + 1].max() < 2e-3 * loud.max()


def test_harder_hits_are_louder() -> None:
    kit = draw_kit(np.random.default_rng(3))
    soft, hard = (
        rooms.rms_db(kit.play([Hit(0.0, 38, v)], SAMPLE_RATE, np.random.default_rng(0)))
        for v in (40, 120)
    )
    assert 10.0 < hard - soft < 25.0


@pytest.mark.parametrize("seed", range(30))
def test_an_accompaniment_is_a_part(seed: int) -> None:
    drawn = draw_accompaniment(np.random.default_rng(seed), 6.0, 110.0, 0.3)
    lowest = {"bass": 28, "voice": 57, "chords": 48}[drawn.part]
    assert LEVELS_DB[0] <= drawn.level_db <= LEVELS_DB[1]
    assert drawn.notes and all(lowest <= n.pitch < lowest + 24 for n in drawn.notes)
    assert all(0.0 <= n.start_s < n.end_s for n in drawn.notes)
    if drawn.part != "chords":
        ends = [n.end_s for n in drawn.notes[:-1]]
        assert all(e <= n.start_s for e, n in zip(ends, drawn.notes[1:], strict=True))


def test_an_accompaniment_changes_the_drums_alone(tiny_material: Material) -> None:
    """At the level that it says, wherever the kit is a recorded one."""
    plain, loops = (PairMaker(tiny_material, duration_s=3.0, loop_share=s) for s in (0.0, 1.0))
    accompanied = synthesised = 0
    for seed in range(12):
        score = loops._compose(seed)
        if score.kit.name == SynthesisedKit.name:
            synthesised += 1
            continue
        accompanied += 1
        before, after = plain.make(seed), loops.make(seed)
        assert before.hits == after.hits and before.truth_notes == after.truth_notes
        if not np.any(before.bias):
            assert np.array_equal(before.truth, after.truth)
            assert np.array_equal(before.piano, after.piano)
        assert not np.allclose(before.drums, after.drums, atol=1e-4)
        alone = dataclasses.replace(score, accompaniment=None)
        assert score.accompaniment is not None
        with_it = loops._record_drums(seed, score)
        without = loops._record_drums(seed, alone)
        scale = np.vdot(without, with_it) / np.vdot(without, without)
        added_db = rooms.rms_db(with_it - scale * without) - rooms.rms_db(scale * without)
        assert added_db == pytest.approx(score.accompaniment.level_db, abs=1.5)
    assert accompanied and synthesised


def test_no_loops_unless_asked_for(tiny_material: Material) -> None:
    plain = PairMaker(tiny_material, duration_s=3.0)
    assert all("accompaniment" not in plain._compose(seed).meta for seed in range(30))
    assert all(plain._compose(seed).kit.name != SynthesisedKit.name for seed in range(30))
    some = PairMaker(tiny_material, duration_s=3.0, loop_share=0.5)
    changed = [some._compose(seed).meta != plain._compose(seed).meta for seed in range(60)]
    assert 15 < sum(changed) < 45


def test_a_part_without_notes_is_silent() -> None:
    part = Accompaniment("bass", 33, (), -6.0)
    if shutil.which("fluidsynth") is None or not FONT.is_file():
        pytest.skip("needs FluidSynth, FluidR3")
    assert not np.any(part.play([FONT], SAMPLE_RATE, np.random.default_rng(0)))


@pytest.mark.skipif(
    shutil.which("fluidsynth") is None or not FONT.is_file(), reason="needs FluidSynth, FluidR3"
)
def test_a_soundfont_plays_the_part() -> None:
    """A bass note of 98 Hz from 0.5 to 0.8 s sounds there and nowhere before."""
    from creative_mix.training.soundfont import play_program

    audio = play_program(FONT, 33, [Note(0.5, 0.8, 43, 100)], SAMPLE_RATE)
    assert audio.shape == (2, SAMPLE_RATE)
    loud = np.max(np.abs(audio), axis=0)
    assert 0.49 < np.argmax(loud > 0.05 * loud.max()) / SAMPLE_RATE < 0.53
    sound = np.mean(audio, axis=0)[round(0.5 * SAMPLE_RATE) : round(0.8 * SAMPLE_RATE)]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size), 1 << 17))
    frequencies = np.fft.rfftfreq(1 << 17, 1 / SAMPLE_RATE)
    near = np.abs(frequencies[:, None] - 98.0 * np.arange(1, 6)).min(axis=1) < 12.0
    assert spectrum[near].max() > 3.0 * spectrum[~near & (frequencies < 500.0)].max()
