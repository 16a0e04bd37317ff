"""The goals of the first weights, checked against a report line by line."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from creative_mix.constants import COMPONENT_NAMES
from creative_mix.evaluation.measures import MEASURES, Measure
from creative_mix.evaluation.report import MAIN_SYSTEM, Report, align, number, show
from creative_mix.evaluation.runner import TRUTH

_BY_KEY = {measure.key: measure for measure in MEASURES}
_SHARE_OF_MEL = 0.85
_PRE_ECHO_BEYOND_DB = 3.0
_RIVAL_ON_RECORDINGS = "restriker"
_EXPECTED = ("input_rhythm", "target_harmony", "target_timbre")
_EXPECTED_SHARE = 0.6


@dataclass(frozen=True)
class Outcome:
    """One goal and what was measured.

    Attributes:
        goal: in words.
        wanted: the bound, in words and figures.
        measured: the figure, with its interval.
        met: None where the goal is only to be reported.
    """

    goal: str
    wanted: str
    measured: str
    met: bool | None


def check_targets(report: Report, with_truth: bool, system: str = MAIN_SYSTEM) -> list[Outcome]:
    """The outcome of every goal that the report can decide, those of pairs or of recordings.

    Args:
        report: must hold the system and the baselines; goals without figures are left out.
        with_truth: whether the cases have a known truth (else they are recordings).
        system: the one to judge.
    """
    found = _on_truth(report, system) if with_truth else _on_recordings(report, system)
    found += _on_selector(report, system)
    return [outcome for outcome in found if outcome is not None]


def targets_table(outcomes: list[Outcome]) -> str:
    """A Markdown table of the outcomes."""
    words = {True: "met", False: "MISSED", None: "reported"}
    rows = [["goal", "wanted", "measured", "outcome"]]
    rows += [[one.goal, one.wanted, one.measured, words[one.met]] for one in outcomes]
    return align(rows)


def targets_json(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """The outcomes as plain values."""
    return [asdict(outcome) for outcome in outcomes]


def _on_truth(report: Report, system: str) -> list[Outcome | None]:
    return [
        _against_best(report, system, "mel", _SHARE_OF_MEL),
        _against_best(report, system, "log_stft"),
        _against_best(report, system, "strikes_f50"),
        _against_best(report, system, "truth_chroma"),
        _attack(report, system, "attack_median_ms"),
        _attack(report, system, "attack_p90_ms"),
        _pre_echo(report, system),
    ]


def _on_recordings(report: Report, system: str) -> list[Outcome | None]:
    rival = _RIVAL_ON_RECORDINGS
    return [
        *(
            _against(report, system, key, rival, 1.0)
            for key in ("drums_f50", "drums_f30", "envelope_r")
        ),
        _bounded(report, system, "piano_chroma", 0.88),
        _bounded(report, system, "mfcc_piano", 40.0),
        _bounded(report, system, "mix_share", 0.45),
        _bounded(report, system, "leak", 0.02),
    ]


def _on_selector(report: Report, system: str) -> list[Outcome | None]:
    shares = [
        _bounded(report, system, f"{aspect}_share", _EXPECTED_SHARE)
        for aspect in ("rhythm", "harmony", "timbre")
    ]
    weights = {name: report.mean(system, f"weight_{name}") for name in COMPONENT_NAMES}
    if not all(math.isfinite(weight) for weight in weights.values()):
        return [*shares]
    order = sorted(weights, key=lambda name: -weights[name])
    told = ", ".join(f"{name} {weights[name]:.3f}" for name in order)
    met = set(order[: len(_EXPECTED)]) == set(_EXPECTED)
    return [*shares, Outcome("leading components", ", ".join(_EXPECTED), told, met)]


def _against_best(report: Report, system: str, key: str, share: float = 1.0) -> Outcome | None:
    rival = report.best_baseline(_BY_KEY[key])
    return None if rival is None else _against(report, system, key, rival, share)


def _against(report: Report, system: str, key: str, rival: str, share: float) -> Outcome | None:
    measure, theirs = _BY_KEY[key], report.mean(rival, key)
    if not math.isfinite(theirs):
        return None
    bound = share * theirs
    limit = number(bound, measure)
    factor = f"{share:g} x " if share != 1 else ""
    if measure.higher_is_better:
        return _outcome(report, system, measure, f"above {factor}{rival}'s: {limit}", _above(bound))
    if share != 1:
        return _outcome(
            report, system, measure, f"at most {factor}{rival}'s: {limit}", _at_most(bound)
        )
    return _outcome(report, system, measure, f"below {rival}'s: {limit}", _below(bound))


def _bounded(report: Report, system: str, key: str, bound: float) -> Outcome | None:
    measure = _BY_KEY[key]
    if measure.higher_is_better:
        return _outcome(report, system, measure, f"at least {bound:g}", lambda mean: mean >= bound)
    return _outcome(report, system, measure, f"at most {bound:g}", _at_most(bound))


def _attack(report: Report, system: str, key: str) -> Outcome | None:
    measure = _BY_KEY[key]
    ours, detector = report.interval(system, key), report.mean(TRUTH, key)
    if not ours.count or not math.isfinite(detector):
        return None
    beyond = number(ours.mean - detector, measure, signed=True)
    text = f"{show(ours, measure)}, {beyond} beyond the truth's {number(detector, measure)}"
    return Outcome(measure.label, "reported", text, None)


def _pre_echo(report: Report, system: str) -> Outcome | None:
    measure, truth = _BY_KEY["pre_echo_db"], report.mean(TRUTH, "pre_echo_db")
    bound = truth + _PRE_ECHO_BEYOND_DB
    wanted = f"at most {_PRE_ECHO_BEYOND_DB:g} above the truth's: {number(bound, measure)}"
    if not math.isfinite(truth):
        return None
    return _outcome(report, system, measure, wanted, _at_most(bound))


def _outcome(
    report: Report, system: str, measure: Measure, wanted: str, holds: Callable[[float], bool]
) -> Outcome | None:
    interval = report.interval(system, measure.key)
    if not interval.count:
        return None
    return Outcome(measure.label, wanted, show(interval, measure), bool(holds(interval.mean)))


def _above(bound: float) -> Callable[[float], bool]:
    return lambda mean: mean > bound


def _below(bound: float) -> Callable[[float], bool]:
    return lambda mean: mean < bound


def _at_most(bound: float) -> Callable[[float], bool]:
    return lambda mean: mean <= bound
