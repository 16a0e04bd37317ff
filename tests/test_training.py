"""The training loop: its data, its targets, its losses, and going on after a stop."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from test_model import SMALL
from trainingkit import tone, write_pairs

from creative_mix.errors import TrainingDataError
from creative_mix.model.checkpoint import load_model, load_tensors
from creative_mix.model.rhythm import OWN_LEVEL
from creative_mix.training.checkpoints import LAST
from creative_mix.training.config import TrainingConfig
from creative_mix.training.dataset import CropShape
from creative_mix.training.journal import Journal
from creative_mix.training.loop import Trainer
from creative_mix.training.losses import SpectralLoss, envelope_target, level_gain
from creative_mix.training.monitors import gradient_norms, parts_of
from creative_mix.training.notes import Hit, Note
from creative_mix.training.pairfiles import pair_stems
from creative_mix.training.probes import Probes, Strangers, aspect_shares
from creative_mix.training.sources import PairFolder
from creative_mix.training.stream import Stream
from creative_mix.training.targets import frame_targets, piano_onsets


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture
def config(pairs: Path, tmp_path: Path) -> TrainingConfig:
    return TrainingConfig(
        pairs=str(pairs),
        output=str(tmp_path / "run"),
        steps=6,
        batch_size=2,
        crop_frames=96,
        context_frames=32,
        warmup_steps=2,
        bfloat16=False,
        save_every=100,
        log_every=2,
        model=SMALL,
    )


def test_targets_name_the_frame_and_the_voices() -> None:
    hits = (Hit(0.5, 36, 100), Hit(0.505, 42, 90), Hit(1.0, 49, 90))
    notes = (Note(0.0, 2.0, 40, 80), Note(0.7, 2.0, 60, 80), Note(0.7, 2.0, 72, 80))
    targets = frame_targets(hits, notes, 200)
    frame = int(0.5 * 44100 // 512)
    assert targets.drums.exact[:, frame].tolist() == [1, 0, 1]
    assert targets.drums.exact[:, int(44100 // 512)].tolist() == [1, 1, 1]
    exact = (frame + 0.5 + targets.drums.offset[frame]) * 512 / 44100
    assert exact == pytest.approx(0.5, abs=1e-4)
    assert (targets.drums.label <= targets.drums.counted).all()
    assert piano_onsets(notes)[1] == (0.7, (0, OWN_LEVEL, OWN_LEVEL))
    assert targets.pitches[60 - 21, int(0.8 * 44100 / 512)] == 1
    assert targets.pitches[60 - 21, int(0.6 * 44100 / 512)] == 0


def stream(pairs: Path, seed: int, context: int = 32) -> Stream:
    folder = PairFolder(pairs, pair_stems(pairs), CropShape(96, context))
    return Stream([folder], [1.0], seed)


def test_an_example_depends_on_seed_epoch_and_index_alone(pairs: Path) -> None:
    one, again = stream(pairs, 5), stream(pairs, 5)
    whole = one.batch(range(28, 32))
    again.batch([3, 2])
    split = [again.batch(part) for part in (range(28, 30), range(30, 32))]
    assert torch.equal(whole.piano, torch.cat([part.piano for part in split]))
    assert not torch.equal(whole.piano, one.batch(range(32, 36)).piano)
    assert not torch.equal(whole.piano, stream(pairs, 6).batch(range(28, 32)).piano)


def test_known_strikes_follow_the_bias(pairs: Path) -> None:
    batch = stream(pairs, 1, context=0).batch(range(12))
    strikes, attacks = batch.known()
    biased = batch.bias[:, 3] > 0
    assert biased.any() and not biased.all()
    own = attacks.probability * (1 - batch.drums_onsets.exact)
    assert (strikes.probability[~biased] * own[~biased]).max() == 0
    assert (strikes.probability[biased] * own[biased]).max() == pytest.approx(0.5)


def test_no_pairs_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="no pairs"):
        PairFolder(tmp_path, [], CropShape(96, 32))


def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(TrainingDataError, match="learning_rat"):
        TrainingConfig.from_dict({"learning_rat": 1.0})
    assert TrainingConfig.from_dict(TrainingConfig().to_dict()) == TrainingConfig()


def test_spectral_loss_is_zero_for_the_truth_and_grows_with_error() -> None:
    truth = torch.from_numpy(tone([(0.1, 60), (0.5, 64)], 96 * 512)).float()[None]
    counted = torch.ones(1, 96)
    loss = SpectralLoss()
    exact = loss(truth, truth, counted)
    assert all(float(value) == pytest.approx(0, abs=1e-4) for value in exact.values())
    late = loss(truth.roll(3000, 1), truth, counted)
    silent = loss(torch.zeros_like(truth), truth, counted)
    for name in ("mel", "log_stft", "convergence"):
        assert float(silent[name]) > float(late[name]) > 0.01


def test_loss_matches_levels_but_for_a_linear_term_that_holds_them() -> None:
    truth = torch.from_numpy(tone([(0.05, 60), (0.7, 64)], 96 * 512)).float()[None]
    loss, counted = SpectralLoss(), torch.ones(1, 96)
    softer, far = loss(0.7 * truth, truth, counted), loss(truth / 8, truth, counted)
    assert float(softer["mel"]) == pytest.approx(0, abs=1e-3)
    assert float(softer["convergence"]) > 0.2
    assert float(far["mel"]) > 0.05


def test_a_crop_is_matched_by_what_counts_of_it() -> None:
    truth = torch.from_numpy(tone([(0.05, 60), (0.7, 64)], 96 * 512)).float()[None]
    made = 0.7 * truth
    made[:, : 30 * 512] *= 9
    counted = torch.ones(1, 96)
    counted[:, :30] = 0
    assert float(level_gain(made, truth, counted)) == pytest.approx(1 / 0.7, rel=1e-3)
    silence = torch.zeros_like(truth)
    assert float(level_gain(made, silence, counted)) == pytest.approx(0.5)
    assert float(level_gain(silence, silence, counted)) == pytest.approx(1)


def test_loss_counts_the_core_alone() -> None:
    truth = torch.from_numpy(tone([(0.05, 60), (0.7, 64)], 96 * 512)).float()[None]
    made = truth.clone()
    made[:, : 30 * 512] = 0
    counted = torch.ones(1, 96)
    counted[:, :36] = 0
    terms = SpectralLoss()(made, truth, counted)
    assert float(terms["mel"]) == pytest.approx(0, abs=1e-3)


def test_probes_read_through_the_share() -> None:
    torch.manual_seed(0)
    probes = Probes()
    components = torch.randn(1, 6, 64, 5)
    weights = torch.full((1, 6, 5), 1 / 6)
    assert aspect_shares(weights).tolist() == pytest.approx([0.5] * 3)
    weights[:, 1], weights[:, 4] = 1e-9, 1 / 3
    pitch, _ = probes(components, weights)
    torch.testing.assert_close(pitch, probes.pitch(components[:, 4]), atol=1e-5, rtol=1e-4)


def test_envelope_target_does_not_know_the_level() -> None:
    spectra = torch.rand(1, 1, 80, 2, 1024) + 0.1
    torch.testing.assert_close(
        envelope_target(spectra), envelope_target(spectra * 7), atol=1e-3, rtol=1e-3
    )


def test_a_stopped_run_goes_on_bit_for_bit(config: TrainingConfig, tmp_path: Path) -> None:
    through = Trainer(config)
    lines: list[str] = []
    through.train(Journal(through.output, config.steps, lines.append))
    assert len(lines) == 3 and all("weights" in line for line in lines)

    half = dataclasses.replace(config, output=str(tmp_path / "half"))
    first = Trainer(half)
    silent = Journal(first.output, half.steps, lambda _: None, speaks=False)
    for step in range(3):
        first.advance(first.feed.step(step), silent)
    first.save()
    second = Trainer(half)
    second.resume(Path(half.output) / LAST)
    second.train(silent)
    one, two = (load_tensors(Path(c.output) / LAST)[0] for c in (config, half))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        if name.startswith("rng."):  # the test's own process draws as well
            continue
        assert torch.equal(tensor, two[name]), name
    load_model(Path(half.output) / "model.safetensors")


def test_every_part_learns(config: TrainingConfig) -> None:
    trainer = Trainer(config)
    trainee = trainer.learner.trainee
    terms, _ = trainee(trainer.stream.batch([0, 1]), use_known=True, bfloat16=False)
    sum(value.sum() for value in terms.values()).backward()
    norms = gradient_norms(trainee.model)
    assert set(norms) == set(parts_of(trainee.model)) and "cascade.0" in norms
    assert min(norms.values()) > 1e-4


def test_training_lowers_the_loss(config: TrainingConfig) -> None:
    longer = dataclasses.replace(config, steps=30, log_every=1, learning_rate=3e-3)
    trainer = Trainer(longer)
    losses = []
    for step in range(30):
        done = trainer.learner.learn(step, trainer.feed.step(step % 2))
        losses.append(done.terms["mel"])
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])


def test_what_an_adversary_finds_is_unlearned() -> None:
    torch.manual_seed(0)
    strangers = Strangers(8)
    components = torch.randn(2, 6, 8, 30, requires_grad=True)
    for parameter in strangers.parameters():
        parameter.requires_grad_(True)
    hits, pitch = strangers(components)
    (hits.square().mean() + pitch.square().mean()).backward()
    assert components.grad is not None
    touched = components.grad.abs().amax((0, 2, 3)) > 0
    assert touched.tolist() == [False, True, True, False, False, True]
    plain = components.detach().clone().requires_grad_(True)
    reader = strangers.pitch(plain[:, 5])
    reader.square().mean().backward()
    assert plain.grad is not None
    torch.testing.assert_close(components.grad[:, 5], -strangers.strength * plain.grad[:, 5])
