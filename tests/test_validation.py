"""What a run tells of itself: scores of the product's own measures, sounds, speed, the export."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from trainingkit import logged, tiny, write_config, write_pairs

from creative_mix.cli.train import train
from creative_mix.errors import OptionError, TrainingDataError
from creative_mix.evaluation.features import Features
from creative_mix.evaluation.scores import mel_distance
from creative_mix.model.checkpoint import load_model, read_weights
from creative_mix.training.checkpoints import BEST, LAST, load_state
from creative_mix.training.journal import Journal, draw_mel
from creative_mix.training.monitors import departure, gradient_norms, parts_of
from creative_mix.training.pairfiles import read_pair
from creative_mix.training.ranks import Ranks
from creative_mix.training.running import run
from creative_mix.training.validation import Shortlist, Validation, score


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def finished(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with validation, TensorBoard and an export at its end."""
    folder = tmp_path_factory.mktemp("finished")
    config = tiny(
        pairs,
        folder / "run",
        steps=4,
        log_every=2,
        validation=str(pairs),
        validation_pairs=2,
        validate_every=2,
        tensorboard=True,
    )
    settings = write_config(config, folder / "config.json")
    options = ["--device", "cpu", "--export", str(folder / "best.onnx")]
    done = CliRunner().invoke(train, [str(settings), *options])
    assert done.exit_code == 0, done.output
    assert "best.onnx:" in done.output and "samples/s waiting" in done.output
    return folder


def test_validation_scores_are_those_of_the_evaluation(finished: Path, pairs: Path) -> None:
    entries = [entry for entry in logged(finished / "run") if "validation" in entry]
    assert [entry["step"] for entry in entries] == [2, 4]
    model = load_model(finished / "run" / LAST)
    distances = []
    for stem in ("p0", "p1"):
        pair = read_pair(pairs, stem)
        with torch.inference_mode():
            drums, piano = (torch.from_numpy(part)[None] for part in (pair.drums, pair.piano))
            mix = model(drums, piano).mix[0].numpy()[:, : pair.truth.shape[1]]
        distances.append(mel_distance(Features(mix), Features(pair.truth)))
    assert entries[1]["validation"]["mel"] == pytest.approx(np.mean(distances), rel=1e-4)
    best = min(entries, key=lambda entry: entry["validation"]["mel"])
    assert load_state(finished / "run" / BEST).about["step"] == best["step"]


def test_the_export_is_the_best_checkpoint(finished: Path) -> None:
    best = load_state(finished / "run" / BEST)
    for name, tensor in read_weights(finished / "best.onnx").tensors.items():
        wanted = best.tensors[f"average.model.{name}"]
        torch.testing.assert_close(tensor, wanted.half().float(), atol=1e-6, rtol=1e-3)


def test_an_export_that_is_there_stops_the_run_and_nothing_drops_it(finished: Path) -> None:
    before = sorted(path.name for path in (finished / "run").iterdir())
    for force in ([], ["--force"]):
        options = ["--device", "cpu", "--export", str(finished / "best.onnx"), *force]
        done = CliRunner().invoke(train, [str(finished / "config.json"), *options])
        assert isinstance(done.exception, OptionError)
        assert "best.onnx: exists" in str(done.exception)
        assert "force" not in str(done.exception)
    assert sorted(path.name for path in (finished / "run").iterdir()) == before


def test_tensorboard_has_scalars_sounds_and_spectrograms(finished: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished / "run" / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    scalars = {"total/loss", "total/learning_rate", "terms/novelty", "selection/rhythm_share"}
    scalars |= {"speed/waiting", "gradients/cascade.0", "validation/mel"}
    assert scalars <= set(tags["scalars"])
    for stem in ("p0", "p1"):
        names = {f"{stem}/{part}" for part in ("drums", "piano", "truth", "mix")}
        assert names <= set(tags["audio"])
        assert {f"{name}/mel" for name in names} <= set(tags["images"])


def test_the_log_says_every_figure(finished: Path) -> None:
    entry = next(entry for entry in logged(finished / "run") if "gradients" in entry)
    branches = [f"agent.{s}_extractor.{a}" for s in ("input", "target") for a in ("rhythm",)]
    assert {*branches, "agent.component_selector", "agent.composer", "decoder"} <= set(
        entry["gradients"]
    )
    assert {"input_rhythm", "rhythm_share", "harmony_share"} <= set(entry["selection"])
    assert 0 <= entry["speed"]["waiting"] <= 1 and entry["speed"]["samples_per_s"] > 0
    six = [value for name, value in entry["selection"].items() if "share" not in name]
    assert len(six) == 6 and sum(six) == pytest.approx(1.0, abs=1e-4)


def test_patience_ends_a_run_and_is_kept_over_a_stop(pairs: Path, tmp_path: Path) -> None:
    config = tiny(
        pairs,
        tmp_path / "run",
        steps=40,
        learning_rate=0.0,
        validation=str(pairs),
        validation_pairs=1,
        validate_every=1,
        patience=2,
    )
    lines: list[str] = []
    outcome = run(config, device="cpu", say=lines.append)
    assert outcome.finished and outcome.best.name == BEST
    assert "2 validations without a better mel distance" in lines[-1]
    assert load_state(tmp_path / "run" / LAST).about["step"] == 3
    about = load_state(tmp_path / "run" / LAST).about
    assert about["validations_since_best"] == 2 and about["best_mel"] > 0
    again = run(config, "auto", device="cpu", say=lines.append)
    assert again.finished and "its `patience` used up" in lines[-1]
    assert load_state(tmp_path / "run" / LAST).about["step"] == 3


def test_shortlist() -> None:
    shortlist = Shortlist(2)
    assert shortlist.take({"mel": 0.5}) and not shortlist.take({"mel": 0.6})
    assert not shortlist.exhausted
    assert not shortlist.take({}) and shortlist.exhausted
    assert shortlist.take({"mel": 0.4}) and not shortlist.exhausted


def test_a_render_that_is_not_finite_is_no_best(pairs: Path) -> None:
    pair = read_pair(pairs, "p0")
    good, bad = score(pair.truth, pair), score(pair.truth * np.nan, pair)
    assert good["mel"] == pytest.approx(0, abs=1e-5) and bad["mel"] > 10


def test_no_validation_pairs_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="no usable validation pairs"):
        Validation(tmp_path, 2, Ranks())


def test_a_spectrogram_shows_a_low_tone_below() -> None:
    image = draw_mel(np.sin(2 * np.pi * 200 * np.arange(44100) / 44100).astype(np.float32))
    assert image.shape == (128, 87) and image.dtype == np.uint8
    assert image[100:].max() == 255 and image[:40].max() < 128


def test_departure_leaves_biased_examples_out() -> None:
    weights = torch.full((2, 6, 4), 1 / 6)
    weights[1, 0] = 0.9
    bias = torch.zeros(2, 6)
    bias[1, 0] = 3.0
    assert departure(weights, bias) == (pytest.approx(0, abs=1e-6), 4)
    assert departure(weights, bias * 0 + 1) == (0.0, 0.0)
    assert departure(weights, bias * 0)[0] > 1


def test_gradient_norms_of_a_branch_are_of_its_convolutions(pairs: Path, tmp_path: Path) -> None:
    from creative_mix.training.learner import Learner

    config = tiny(pairs, tmp_path)
    model = Learner(dataclasses.replace(config), Ranks()).trainee.model
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    branch = model.agent.input_extractor.rhythm
    branch.norm.weight.grad += 1
    norms = gradient_norms(model)
    assert set(norms) == set(parts_of(model))
    assert norms["agent.input_extractor.rhythm"] == 0
    branch.conv1.weight.grad.view(-1)[0] = 3
    assert gradient_norms(model)["agent.input_extractor.rhythm"] == pytest.approx(3)


def test_a_rewound_log_forgets_what_came_after(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1}\n{"step": 2, "flag": "x"}\n{"step": 3}\n{"ste')
    Journal(tmp_path, 9, print).rewind(2)
    assert [entry["step"] for entry in logged(tmp_path)] == [1, 2]


def test_a_terminal_shows_a_bar_that_makes_way_for_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda: os.terminal_size((60, 24)))
    journal = Journal(tmp_path, 10, print, live=True)
    speed = {"steps_per_s": 0.5, "samples_per_s": 1.0, "waiting": 0.25}
    journal.progress(4, {"total": {"loss": 2.0}, "terms": {"mel": 0.3}, "speed": speed})
    journal.tick(5)
    journal.say("a line")
    shown = capsys.readouterr().out.split("\r\x1b[K")
    assert shown[1].startswith("[########------------] 4/10 loss 2.000 mel 0.300 0.50 step")
    assert shown[2].startswith("[##########----------] 5/10 loss")
    assert all(len(line) < 60 for line in shown[1:3])
    assert shown[3] == "a line\n"
