"""What a run learns from: looked at first, and the same stream however it is read."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from samplekit import write_material
from trainingkit import tiny, write_pairs

from creative_mix.errors import TrainingDataError
from creative_mix.training.config import TrainingConfig
from creative_mix.training.dataset import Batch
from creative_mix.training.inventory import open_stream
from creative_mix.training.learner import Learner
from creative_mix.training.losses import SpectralLoss
from creative_mix.training.material import Material
from creative_mix.training.ranks import Ranks
from creative_mix.training.stream import Feed
from creative_mix.training.trainee import FREE_TERMS, TRUTH_TERMS, Weighting

FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_material(tmp_path_factory.mktemp("material"))


@pytest.fixture(scope="module")
def unpaired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpaired")
    rng = np.random.default_rng(0)
    for kind, rate in (("drums", 48_000), ("piano", 44_100)):
        (folder / kind).mkdir()
        sound = 0.1 * rng.standard_normal((2 * rate, 2))
        soundfile.write(folder / kind / "one.wav", sound, rate)
    return folder


def same(one: Batch, two: Batch) -> bool:
    left, right = one.tensors(), two.tensors()
    return all(torch.equal(tensor, right[name]) for name, tensor in left.items())


def test_bad_pairs_are_refused_by_name_and_reason(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "pairs")
    for stem, part in (("rate", "drums"), ("long", "truth"), ("torn", "piano"), ("json", "")):
        for name in ("drums", "piano", "truth"):
            sound, _ = soundfile.read(folder / f"p0.{name}.wav")
            odd = name == part
            if odd and stem == "long":
                sound = np.concatenate([sound, sound])
            rate = 48_000 if odd and stem == "rate" else 44_100
            soundfile.write(folder / f"{stem}.{name}.wav", sound, rate)
            if odd and stem == "torn":
                (folder / f"{stem}.{name}.wav").write_bytes(b"RIFF")
    (folder / "json.json").write_text('{"hits": [[1.0, "kick"]]}')
    (folder / "p2.truth.wav").unlink()
    stream, inventory = open_stream(tiny(folder, tmp_path / "run"))
    told = "\n".join(f"{path.name}: {reason}" for path, reason in inventory.refused)
    for fact in ("48000 Hz", "differ in length", "torn.piano.wav is not readable", "json.json"):
        assert fact in told
    assert told.count("its pair has no truth") == 2
    assert inventory.found[0].startswith("2 ready pairs")
    assert stream.epoch_length == 2
    assert "more files" in inventory.lines()[-1]


def test_nothing_usable_is_an_error_with_the_first_reason(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "pairs")
    for stem in ("p0", "p1", "p2"):
        (folder / f"{stem}.json").write_text("no")
    with pytest.raises(TrainingDataError, match="no usable pairs; 3 refused, the first"):
        open_stream(tiny(folder, tmp_path / "run"))
    with pytest.raises(TrainingDataError, match="nothing to learn from"):
        open_stream(TrainingConfig())


def test_every_pair_comes_once_an_epoch(pairs: Path, tmp_path: Path) -> None:
    stream, _ = open_stream(tiny(pairs, tmp_path))
    for epoch in range(3):
        order = stream._order(epoch)
        assert sorted(order) == [0, 1, 2]
    assert len({tuple(stream._order(epoch)) for epoch in range(8)}) > 1


def test_the_stream_is_the_same_by_thread_by_workers_and_after_a_stop(
    pairs: Path, tmp_path: Path
) -> None:
    stream, _ = open_stream(tiny(pairs, tmp_path))
    feeds = [Feed(stream, 4, 2, Ranks(), workers) for workers in (0, 2)]
    whole = [feeds[0].step(step) for step in range(5)]
    for feed in feeds:
        for first in (0, 2):
            read = list(feed.steps(first, 5))
            assert len(read) == 5 - first
            for found, wanted in zip(read, whole[first:], strict=True):
                assert len(found) == 2
                assert all(same(a, b) for a, b in zip(found, wanted, strict=True))
        assert feed.waited_s > 0


def test_pairs_are_made_on_the_fly_from_what_can_be_read(material: Path, tmp_path: Path) -> None:
    (material / "midi" / "piano" / "broken.mid").write_bytes(b"MThd")
    (material / "piano" / "alpha" / "m061_v1.wav").write_bytes(b"RIFF")
    (material / "drums" / "first" / "-.wav").write_bytes(b"RIFF")
    config = tiny("", tmp_path, material=str(material), crop_frames=64)
    stream, inventory = open_stream(config)
    refused = {path.name: reason for path, reason in inventory.refused}
    assert "not readable as a MIDI file" in refused["broken.mid"]
    assert "not readable as audio" in refused["m061_v1.wav"]
    assert "says its note" in refused["-.wav"]
    told = "\n".join(inventory.found)
    assert "1 pianos" in told and "alpha" in told and "grooves" in told
    batch, again = (stream.batch([3, 4]) for _ in range(2))
    assert same(batch, again)
    assert batch.drums.shape == (2, 1, 64 * 512)
    assert not torch.equal(batch.piano[0], batch.piano[1])
    assert batch.has_notes.tolist() == [1, 1] and batch.pitches.any()


def test_unpaired_recordings_teach_what_needs_no_truth(
    pairs: Path, unpaired: Path, tmp_path: Path
) -> None:
    (unpaired / "drums" / "short.wav").write_bytes(
        (pairs / "p0.drums.wav").read_bytes()[:40_000]  # a header that promises more than there is
    )
    config = tiny("", tmp_path, unpaired=str(unpaired))
    stream, inventory = open_stream(config)
    batch = stream.batch([0, 1])
    assert batch.has_truth.tolist() == [0, 0] and batch.drums.abs().max() > 0.01
    done = Learner(config, Ranks()).learn(0, [batch])
    assert done.finite
    for name, value in done.terms.items():
        free = name in FREE_TERMS or name == "loss"
        assert (value != 0) == free, name
    mixed = dataclasses.replace(config, pairs=str(pairs), unpaired_share=0.5)
    stream, inventory = open_stream(mixed)
    assert len(inventory.found) == 2
    kinds = stream.batch(range(12)).has_truth
    assert 0 < kinds.sum() < 12


def test_a_pair_without_notes_counts_for_its_sound_alone(pairs: Path, tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "pairs")
    (folder / "p0.json").unlink()
    stream, inventory = open_stream(tiny(folder, tmp_path))
    assert "1 without notes" in inventory.found[0]
    batch = stream.batch(range(3))
    bare = batch.has_notes == 0
    assert bare.sum() == 1
    known, own = (Weighting.of(batch, use_known) for use_known in (True, False))
    assert (known.truth[bare] == 0).all() and (own.truth[bare] > 0).all()
    assert (own.notes[bare] == 0).all() and (own.free[bare] > 0).all()
    terms = {name: torch.ones(3) for name in (*TRUTH_TERMS, "pitch", "novelty")}
    terms["pitch"][bare] = 1e9
    means = own.mean(terms, own.totals())
    assert all(float(mean) == pytest.approx(1.0) for mean in means.values())


def test_hits_without_notes_are_no_notes(pairs: Path, tmp_path: Path) -> None:
    shutil.copytree(pairs, tmp_path / "pairs")
    for path in (tmp_path / "pairs").glob("*.json"):
        about = json.loads(path.read_text())
        del about["piano_notes"]
        path.write_text(json.dumps(about))
    stream, inventory = open_stream(TrainingConfig(pairs=str(tmp_path / "pairs")))
    assert "3 without notes" in inventory.found[0]
    assert not stream.batch(range(3)).has_notes.any()


def test_a_bias_that_is_not_six_numbers_is_refused(pairs: Path, tmp_path: Path) -> None:
    shutil.copytree(pairs, tmp_path / "pairs")
    path = min((tmp_path / "pairs").glob("*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bias": [0, 1, 2]}))
    inventory = open_stream(TrainingConfig(pairs=str(tmp_path / "pairs")))[1]
    assert "a bias that is not six numbers" in inventory.refused[0][1]


def test_a_stream_goes_to_other_processes(pairs: Path, material: Path) -> None:
    config = TrainingConfig(pairs=str(pairs), material=str(material), crop_frames=180)
    stream = open_stream(config)[0]
    stream.batch(range(4))
    again = pickle.loads(pickle.dumps(stream))
    assert torch.equal(again.batch(range(4, 8)).piano, stream.batch(range(4, 8)).piano)


def test_a_recording_shorter_than_the_context_counts_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, duration_s in (("drums", 10.0), ("piano", 1.2)):
        (tmp_path / part).mkdir()
        sound = 0.1 * rng.standard_normal(round(duration_s * 44100))
        soundfile.write(tmp_path / part / "a.wav", sound, 44100)
    stream = open_stream(TrainingConfig(unpaired=str(tmp_path), crop_frames=256))[0]
    batch = stream.batch(range(12))
    assert (batch.counted.sum(1) == 0).any()
    terms = SpectralLoss()(batch.piano[:, 0], batch.truth, torch.zeros_like(batch.counted))
    assert all(torch.isfinite(value) for value in terms.values())


def test_settings_of_the_wrong_kind_are_refused(pairs: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"pairs": str(pairs)}))
    assert TrainingConfig.from_file(path, {"loss.novelty": "1"}).loss.novelty == 1.0
    for setting, fact in (
        ({"steps": "many"}, "steps='many': must be int"),
        ({"batch_size": "0"}, "batch_size=0: must be 1 or more"),
        ({"context_frames": "600"}, "context_frames=600: must be below crop_frames"),
        ({"optimizer": "lion"}, "must be 'adamw' or 'sgd'"),
        ({"loss.novelti": "1"}, "unknown configuration key loss.novelti"),
        ({"unpaired_share": "2"}, "must be 0 to 1"),
    ):
        with pytest.raises(TrainingDataError) as raised:
            TrainingConfig.from_file(path, setting)
        assert fact in str(raised.value)


def test_programs_want_a_soundfont(material: Path) -> None:
    with pytest.raises(TrainingDataError, match="program 6: of which SoundFont"):
        Material.from_folder(material, (), (6,))


@pytest.mark.skipif(not FONT.exists(), reason="the FluidR3 SoundFont is not installed")
def test_programs_take_the_pianos_place(material: Path) -> None:
    found = Material.from_folder(material, (FONT,), (4, 6))
    assert [piano.name for piano in found.pianos] == ["FluidR3_GM_4", "FluidR3_GM_6"]
    assert {"first", "FluidR3_GM_jazz"} <= {kit.name for kit in found.kits}
