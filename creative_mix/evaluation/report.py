"""All scores of a run, as a table and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from creative_mix.evaluation.baselines import BASELINES
from creative_mix.evaluation.measures import MEASURES, Measure
from creative_mix.evaluation.statistics import Interval, Wins, bootstrap_interval, count_wins

MAIN_SYSTEM = "model"


class Report:
    """Scores by system, measure and case.

    Args:
        cases: the cases' names, in the order in which their scores are appended.
    """

    def __init__(self, cases: Sequence[str]) -> None:
        self.cases = list(cases)
        self._scores: list[Mapping[str, Mapping[str, float]]] = []

    def append(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Add the next case's scores, by system and measure."""
        self._scores.append(scores)

    @property
    def systems(self) -> list[str]:
        """The systems that scored anything, in order of appearance."""
        return list(dict.fromkeys(name for scores in self._scores for name in scores))

    def values(self, system: str, key: str) -> list[float]:
        """One score a case; nan where the case has none."""
        return [scores.get(system, {}).get(key, math.nan) for scores in self._scores]

    def interval(self, system: str, key: str) -> Interval:
        """The mean over the cases and its 95 % bootstrap interval."""
        return bootstrap_interval(self.values(system, key))

    def mean(self, system: str, key: str) -> float:
        """The mean over the cases that have the score; nan where none has."""
        return self.interval(system, key).mean

    def best_baseline(self, measure: Measure) -> str | None:
        """The baseline with the best mean, None where no baseline has the score."""
        means = {name: self.mean(name, measure.key) for name in BASELINES if name in self.systems}
        means = {name: mean for name, mean in means.items() if math.isfinite(mean)}
        if not means or measure.higher_is_better is None:
            return None
        choose = max if measure.higher_is_better else min
        return choose(means, key=lambda name: means[name])

    def wins(self, measure: Measure, system: str = MAIN_SYSTEM) -> Wins | None:
        """The system's wins over the best baseline, case by case."""
        rival = self.best_baseline(measure)
        if rival is None or system not in self.systems or system == rival:
            return None
        ours, theirs = self.values(system, measure.key), self.values(rival, measure.key)
        return count_wins(ours, theirs, rival, bool(measure.higher_is_better))

    def measures(self) -> list[Measure]:
        """The measures that any system has a score of."""
        return [
            measure
            for measure in MEASURES
            if any(self.interval(system, measure.key).count for system in self.systems)
        ]

    def table(self) -> str:
        """A Markdown table: a row a measure, a column a system.

        Each cell is the mean, its 95 % interval, and in brackets what to read it beside: chance
        for an onset F, the mismatched source for chroma and leak.
        """
        rows = [["measure", *self.systems]]
        for measure in self.measures():
            rows.append(
                [_row_label(measure), *(self._cell(name, measure) for name in self.systems)]
            )
        return align(rows)

    def wins_table(self, system: str = MAIN_SYSTEM) -> str:
        """A Markdown table of the system's wins over the best baseline; empty without any."""
        rows = [["measure", "best baseline", "won", "drawn", "of", "mean difference"]]
        for measure in self.measures():
            wins = self.wins(measure, system)
            if wins is not None:
                cells = (wins.rival, str(wins.won), str(wins.drawn), str(wins.count))
                rows.append([measure.label, *cells, show(wins.difference, measure, signed=True)])
        return align(rows) if len(rows) > 1 else ""

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values; what is not a number is null."""
        systems = {}
        for system in self.systems:
            keys = dict.fromkeys(key for scores in self._scores for key in scores.get(system, {}))
            systems[system] = {key: self._json_score(system, key) for key in keys}
        wins = {}
        for measure in self.measures():
            found = self.wins(measure)
            if found is not None:
                wins[measure.key] = {
                    "rival": found.rival,
                    "won": found.won,
                    "drawn": found.drawn,
                    "count": found.count,
                    "difference": _json_interval(found.difference),
                }
        return {"cases": self.cases, "systems": systems, "wins": wins}

    def _json_score(self, system: str, key: str) -> dict[str, Any]:
        values = [_finite(value) for value in self.values(system, key)]
        return {**_json_interval(self.interval(system, key)), "values": values}

    def _cell(self, system: str, measure: Measure) -> str:
        interval = self.interval(system, measure.key)
        if not interval.count:
            return "-"
        text = show(interval, measure)
        if measure.beside is not None:
            beside = self.interval(system, measure.beside)
            if beside.count:
                text += f" ({number(beside.mean, measure)})"
        return text


def number(value: float, measure: Measure, signed: bool = False) -> str:
    """The value with as many digits as the measure deserves."""
    if not math.isfinite(value):
        return "-"
    digits = 1 if measure.key.startswith(("mfcc", "attack", "pre_echo")) else 3
    return f"{value:{'+' if signed else ''}.{digits}f}"


def show(interval: Interval, measure: Measure, signed: bool = False) -> str:
    """The mean and its interval, as `0.712 [0.690, 0.735]`."""
    low, high = number(interval.low, measure, signed), number(interval.high, measure, signed)
    return f"{number(interval.mean, measure, signed)} [{low}, {high}]"


def align(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first one being the head, as a Markdown table with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _row_label(measure: Measure) -> str:
    if measure.beside is None:
        return measure.label
    return f"{measure.label} ({'mismatched' if 'mismatched' in measure.beside else 'chance'})"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _json_interval(interval: Interval) -> dict[str, Any]:
    return {
        "mean": _finite(interval.mean),
        "low": _finite(interval.low),
        "high": _finite(interval.high),
        "count": interval.count,
    }
