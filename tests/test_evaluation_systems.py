"""Baselines do what their names say; reports rank, count and judge."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("librosa")
pytest.importorskip("mir_eval")

import soundfile
from click.testing import CliRunner

from creative_mix.cli.evaluate import evaluate
from creative_mix.constants import SAMPLE_RATE
from creative_mix.errors import AudioFileError, OptionError
from creative_mix.evaluation import ablations, baselines, runner, sources, targets
from creative_mix.evaluation.features import Features
from creative_mix.evaluation.report import Report
from creative_mix.evaluation.systems import choose_systems

LENGTH = 4 * SAMPLE_RATE
HITS_S = np.array([0.5, 0.9, 1.3, 1.5, 2.1, 2.5, 2.9, 3.4])
CHORDS_S = np.array([0.2, 1.8])
PITCHES_HZ = (262.0, 415.0)


def tones(times_s: np.ndarray, pitches_hz: np.ndarray, decay_s: float) -> np.ndarray:
    out = np.zeros(LENGTH)
    for time_s, pitch in zip(times_s, pitches_hz, strict=True):
        start = round(time_s * SAMPLE_RATE)
        t = np.arange(LENGTH - start) / SAMPLE_RATE
        tone = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 6))
        out[start:] += 0.15 * tone * np.exp(-t / decay_s)
    return out


def clicks(times_s: np.ndarray, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    out = np.zeros(LENGTH)
    for time_s in times_s:
        start = round(time_s * SAMPLE_RATE)
        burst = generator.standard_normal(4000) * np.exp(-np.arange(4000) / 600)
        out[start : start + 4000] += 0.3 * burst[: LENGTH - start]
    return out


def stereo(mono: np.ndarray) -> np.ndarray:
    return np.stack([mono, 0.5 * mono]).astype(np.float32)


def make_case(seed: int = 0) -> runner.Case:
    """Two chords, eight hits, and the truth: at each hit the chord that sounds is struck again."""
    hits = HITS_S + 0.01 * seed
    chord_of_hit = np.searchsorted(CHORDS_S, hits) - 1
    truth = np.zeros(LENGTH)
    edges = np.append(hits, LENGTH / SAMPLE_RATE)
    for index, hit in enumerate(hits):
        one = tones(hits[index : index + 1], np.array([PITCHES_HZ[chord_of_hit[index]]]), 0.4)
        one[round(edges[index + 1] * SAMPLE_RATE) :] = 0
        truth += one * (hit > 0)
    piano = tones(CHORDS_S, np.array(PITCHES_HZ), 1.2)
    return runner.Case(
        f"case {seed}", stereo(clicks(hits, seed)), stereo(piano), stereo(truth), hits
    )


@pytest.fixture(scope="module")
def case() -> runner.Case:
    return make_case()


ALL = {**baselines.BASELINES, **baselines.CONTROLS}


@pytest.mark.parametrize("name", ALL)
def test_systems_keep_shape_and_level_and_repeat(name: str, case: runner.Case) -> None:
    out = ALL[name](case.drums, case.piano)
    assert out.shape == case.piano.shape
    assert out.dtype == np.float32
    assert np.sqrt(np.mean(out**2)) == pytest.approx(np.sqrt(np.mean(case.piano**2)), rel=1e-3)
    np.testing.assert_array_equal(out, ALL[name](case.drums, case.piano))


@pytest.mark.parametrize("name", ALL)
def test_systems_take_silence_and_other_channels(name: str, case: runner.Case) -> None:
    silence = np.zeros_like(case.drums)
    assert np.all(np.isfinite(ALL[name](silence, case.piano)))
    assert not np.any(ALL[name](silence, silence))
    assert ALL[name](case.drums[:1], case.piano).shape == case.piano.shape
    assert ALL[name](case.drums, case.piano[:1]).shape == (1, LENGTH)


def test_slicer_restarts_at_the_hits_with_the_chord_that_sounds(case: runner.Case) -> None:
    out = baselines.onset_slicer(case.drums, case.piano)[0]
    quiet = out[: round(0.49 * SAMPLE_RATE)]
    assert np.max(np.abs(quiet)) < 1e-6
    struck = Features(out)
    assert len(struck.onsets_s) == len(HITS_S)
    assert np.max(np.abs(struck.refined_onsets_s - HITS_S)) < 0.003
    for hit in HITS_S:
        spectrum = np.abs(np.fft.rfft(out[round((hit + 0.02) * SAMPLE_RATE) :][:4096], 1 << 16))
        level = [spectrum[round(pitch * (1 << 16) / SAMPLE_RATE)] for pitch in PITCHES_HZ]
        assert np.argmax(level) == (hit > 1.8)


def test_gate_is_silent_between_the_hits(case: runner.Case) -> None:
    out = np.abs(baselines.gated_piano(case.drums, case.piano)[0])
    at = [out[round((t + 0.01) * SAMPLE_RATE) :][:1500].max() for t in HITS_S]
    between = [out[round((t + 0.35) * SAMPLE_RATE) :][:1500].max() for t in (0.9, 2.1, 2.5)]
    assert max(between) < 0.2 * min(at)


def test_report_ranks_the_truth_first_and_a_planted_worse_system_last() -> None:
    def worse(drums: np.ndarray, piano: np.ndarray) -> np.ndarray:
        return np.roll(baselines.onset_slicer(drums, piano), SAMPLE_RATE // 5, axis=-1)

    systems = {**baselines.BASELINES, "model": worse}
    report = runner.evaluate_cases([runner._Held(make_case(seed)) for seed in range(3)], systems)
    assert report.cases == ["case 0", "case 1", "case 2"]
    assert report.mean(runner.TRUTH, "mel") == 0.0
    assert report.mean(runner.TRUTH, "strikes_f50") > 0.9
    assert report.mean("slicer", "mel") < report.mean("piano", "mel")
    for key in ("strikes_f50", "drums_f50", "envelope_r"):
        assert report.mean("model", key) < report.mean("slicer", key) - 0.2
    assert report.mean("model", "mel") > report.mean("slicer", "mel")
    wins = report.to_json()["wins"]["mel"]
    assert (wins["won"], wins["count"]) == (0, 3)
    outcomes = {one.goal: one.met for one in targets.check_targets(report, with_truth=True)}
    assert outcomes["mel distance to truth"] is False
    assert outcomes["onset F 50 ms, known notes"] is False
    assert outcomes["attack error, median (ms)"] is None
    assert "(chance)" in report.table()
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["cases"] == report.cases


def test_a_goal_against_a_system_that_was_not_scored_is_left_out() -> None:
    one = make_case()
    report = runner.evaluate_cases([runner._Held(one)], {"model": Replay(one)})
    goals = [outcome.goal for outcome in targets.check_targets(report, with_truth=False)]
    assert goals == ["chroma to piano", "MFCC distance to piano", "linear-mix share", "drum leak"]


def test_truth_meets_every_goal_as_the_model() -> None:
    one = make_case()
    systems = {**baselines.BASELINES, "model": Replay(one)}
    report = runner.evaluate_cases([runner._Held(one)], systems)
    outcomes = targets.check_targets(report, with_truth=True)
    met = {outcome.goal: outcome.met for outcome in outcomes}
    # On eight clean strikes the slicer finds them all, too, and the truth cannot be above it.
    assert met.pop("onset F 50 ms, known notes") is False
    assert list(met.values()) == [True, True, True, None, None, True]


@dataclass(frozen=True)
class Replay:
    """A system that knows the truth."""

    case: runner.Case

    def __call__(self, drums: np.ndarray, piano: np.ndarray) -> np.ndarray:
        assert self.case.truth is not None
        return self.case.truth


@pytest.mark.slow
def test_scores_do_not_depend_on_the_processes() -> None:
    cases = [runner._Held(make_case(seed)) for seed in range(2)]
    systems = {"slicer": baselines.onset_slicer}
    one = runner.evaluate_cases(cases, systems, jobs=1).to_json()
    assert runner.evaluate_cases(cases, systems, jobs=2).to_json() == one


def test_ablation_tells_what_a_part_is_worth() -> None:
    cases = [make_case(seed) for seed in range(2)]
    other = ablations.shuffled(2)
    assert other == [1, 0]
    renders = {
        "whole": lambda index: cases[index].truth,
        "no rhythm": lambda index: cases[index].piano,
    }
    found = {one.name: one for one in ablations.ablate(renders, cases)}
    assert found["whole"].loss.mean == 0.0
    assert found["no rhythm"].loss.mean > 0.4
    assert "no rhythm" in ablations.ablation_table(list(found.values()))


def test_shuffled_leaves_nothing_in_its_place() -> None:
    for count in (2, 3, 17):
        order = ablations.shuffled(count, seed=count)
        assert sorted(order) == list(range(count))
        assert all(index != moved for index, moved in enumerate(order))


@pytest.fixture
def recordings(tmp_path: Path, case: runner.Case) -> tuple[Path, Path]:
    for folder in ("drums", "piano"):
        (tmp_path / folder).mkdir()
    soundfile.write(tmp_path / "drums" / "a.wav", case.drums.T, SAMPLE_RATE)
    soundfile.write(tmp_path / "drums" / "b.wav", case.drums.T[: 2 * SAMPLE_RATE], 22050)
    soundfile.write(tmp_path / "piano" / "c.flac", case.piano.T[: 3 * SAMPLE_RATE], SAMPLE_RATE)
    return tmp_path / "drums", tmp_path / "piano"


def test_recordings_are_resampled_and_the_piano_loops(recordings: tuple[Path, Path]) -> None:
    cases, partners = sources.recorded_cases(*recordings)
    made = [source() for source in cases]
    assert [one.name for one in made] == ["a + c", "b + c"]
    assert partners == [1, 0]
    assert all(one.drums.shape[1] == one.piano.shape[1] == LENGTH for one in made)
    empty = recordings[0].parent / "empty"
    empty.mkdir()
    with pytest.raises(AudioFileError, match="empty: no audio file"):
        sources.recorded_cases(empty, recordings[1])


def test_command_writes_table_and_json(recordings: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    arguments = ["--real", *map(str, recordings), "--systems", "slicer,restriker"]
    arguments += ["--json", str(path)]
    result = CliRunner().invoke(evaluate, arguments)
    assert result.exit_code == 0, result.output
    assert "2 pairs of recordings" in result.output
    scored = json.loads(path.read_text())["real"]["systems"]
    assert list(scored) == ["slicer", "restriker"]
    assert scored["slicer"]["drums_f50"]["mean"] > 0.8
    assert "mel" not in scored["slicer"]
    again = CliRunner().invoke(evaluate, arguments)
    assert again.exit_code != 0
    assert isinstance(again.exception, AudioFileError)


def test_command_wants_something_to_evaluate_on() -> None:
    result = CliRunner().invoke(evaluate, [])
    assert result.exit_code == 2
    assert "--pairs, --material or --real" in result.output


def test_unknown_system_is_named() -> None:
    with pytest.raises(OptionError, match="sampler: unknown; choose from model, piano"):
        choose_systems("piano,sampler")


def test_report_without_scores_has_no_rows() -> None:
    assert Report([]).measures() == []
    assert Features(np.zeros(LENGTH, np.float32)).rms == 0.0
