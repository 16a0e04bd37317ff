"""The model as a system, and packs of pairs as cases."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("librosa")
pytest.importorskip("mir_eval")

import soundfile
import torch
from click.testing import CliRunner
from samplekit import write_material
from test_model import SMALL

from creative_mix.cli.evaluate import evaluate
from creative_mix.constants import COMPONENT_NAMES, SAMPLE_RATE
from creative_mix.errors import ModelFileError, TrainingDataError
from creative_mix.evaluation import runner, sources, targets
from creative_mix.evaluation.report import Report
from creative_mix.evaluation.systems import ModelSystem, choose_systems, component_scores
from creative_mix.evaluation.variants import Variants
from creative_mix.model.system import CreativeMix
from creative_mix.training.material import Material
from creative_mix.training.pairs import PairMaker, write_pair

LENGTH = 3 * SAMPLE_RATE


def sounds(seed: int) -> np.ndarray:
    """Noise bursts three times a second."""
    generator = np.random.default_rng(seed)
    fall = np.exp(-(np.arange(LENGTH) % (SAMPLE_RATE // 3)) / 3000)
    return (0.1 * generator.standard_normal((2, LENGTH)) * fall).astype(np.float32)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Two ready pairs without notes."""
    for stem in ("a", "b"):
        for seed, part in enumerate(("drums", "piano", "truth")):
            path = tmp_path / f"{stem}.{part}.wav"
            soundfile.write(path, sounds(seed + ord(stem)).T, SAMPLE_RATE)
    return tmp_path


def test_ready_pairs_have_distances_but_no_known_strikes(pack: Path) -> None:
    cases = sources.pack_cases(pack)
    assert [source().name for source in cases] == ["a", "b"]
    assert cases[0]().strikes_s is None
    report = runner.evaluate_cases(cases, {})
    assert report.systems == [runner.TRUTH]
    assert report.mean(runner.TRUTH, "mel") == 0.0
    assert np.isnan(report.mean(runner.TRUTH, "strikes_f50"))
    assert len(sources.pack_cases(pack, count=1)) == 1


@pytest.mark.parametrize("split", ["validation", "train"])
def test_a_floor_is_of_its_own_pack(split: str, tmp_path: Path) -> None:
    material = write_material(tmp_path / "material")
    maker = PairMaker(Material.from_folder(material), split, duration_s=2.0, bias_share=0.0)
    write_pair(maker.make(3), tmp_path / "pack", "one")
    (source,) = sources.pack_cases(tmp_path / "pack", material=material)
    if split == "validation":
        assert source().rendered_again is not None
    else:
        with pytest.raises(
            TrainingDataError, match=r"one: not the plain validation pair .* seed 3"
        ):
            source()


def test_a_variant_is_asked_for_the_bias_of_its_pair() -> None:
    torch.manual_seed(0)
    case = runner.Case("x", sounds(1), sounds(2), sounds(3))
    drawn = dataclasses.replace(case, bias=np.array([0, 0, 0, 8.0, 0, 0]))
    model = CreativeMix(SMALL)
    plain, biased = (Variants(model, [one, one])._encode(0)[1] for one in (case, drawn))
    assert biased[:, 3].min() > 0.9 > plain[:, 3].max()


def test_a_folder_without_pairs_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="no pairs in it"):
        sources.pack_cases(tmp_path)


def test_the_model_goes_through_the_products_path(standin_model: Path) -> None:
    system = ModelSystem(standin_model)
    case = runner.Case("x", sounds(1), sounds(2), sounds(3))
    scored = runner.score_case(case, {"model": system})["model"]
    weights = [scored[f"weight_{name}"] for name in COMPONENT_NAMES]
    assert sum(weights) == pytest.approx(1.0, abs=1e-3)
    assert 0 <= scored["rhythm_share"] <= 1
    assert "weight_input_rhythm" not in runner.score_case(case, {})["truth"]


def test_a_biased_pair_is_rendered_with_its_bias(standin_model: Path) -> None:
    system = ModelSystem(standin_model)
    drums, piano, truth = sounds(1), sounds(2), sounds(3)
    bias = np.array([0, 0, 0, 3.0, 0, 0])
    plain = runner.score_case(runner.Case("x", drums, piano, truth), {"model": system})
    case = runner.Case("x", drums, piano, truth, bias=bias)
    biased = runner.score_case(case, {"model": system})
    name = "weight_target_rhythm"
    assert biased["model"][name] > plain["model"][name] + 0.3
    assert biased["model"]["mel"] != plain["model"]["mel"]


def test_the_same_recording_is_no_other_one() -> None:
    drums, piano = sounds(1), sounds(2)
    case, partner = runner.Case("x", drums, piano), runner.Case("y", sounds(3), piano)
    scored = runner.score_case(case, {"piano": lambda _, piano: piano}, partner)["piano"]
    assert "piano_chroma_mismatched" not in scored and "leak_mismatched" in scored


def test_a_missing_model_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        choose_systems(None, tmp_path / "none.onnx")


def test_shares_are_within_an_aspect() -> None:
    values = dict(zip(COMPONENT_NAMES, (0.3, 0.05, 0.05, 0.1, 0.2, 0.3), strict=True))
    scores = component_scores(values)
    assert scores["rhythm_share"] == pytest.approx(0.75)
    assert scores["harmony_share"] == pytest.approx(0.8)
    assert scores["timbre_share"] == pytest.approx(6 / 7)


@pytest.mark.parametrize(("rhythm", "met"), [(0.3, True), (0.1, False)])
def test_leading_components_are_judged(rhythm: float, met: bool) -> None:
    values = dict(zip(COMPONENT_NAMES, (rhythm, 0.05, 0.05, 0.15, 0.2, 0.25), strict=True))
    report = Report(["x"])
    report.append({"model": component_scores(values)})
    outcomes = {one.goal: one.met for one in targets.check_targets(report, with_truth=True)}
    assert outcomes["leading components"] is met
    assert outcomes["input_rhythm's share of rhythm"] is met


def test_command_judges_the_model_on_a_pack(pack: Path, standin_model: Path) -> None:
    arguments = ["--pairs", str(pack), "--model", str(standin_model)]
    arguments += ["--systems", "model,piano", "--json", str(pack / "out.json")]
    result = CliRunner().invoke(evaluate, arguments)
    assert result.exit_code == 0, result.output
    assert "Wins of the model" in result.output
    assert "leading components" in result.output
    found = json.loads((pack / "out.json").read_text())["truth"]
    assert list(found["systems"]) == ["model", "piano", "truth"]
    assert found["wins"]["mel"]["count"] == 2
    assert {one["goal"] for one in found["targets"]} >= {"mel distance to truth"}
