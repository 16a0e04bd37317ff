"""Scores and baselines: how well an output answers, beside rules, chance and the known truth."""

from creative_mix.evaluation.ablations import Ablation, ablate, ablation_table, shuffled
from creative_mix.evaluation.baselines import BASELINES, CONTROLS, Render
from creative_mix.evaluation.features import Features
from creative_mix.evaluation.report import Report
from creative_mix.evaluation.runner import (
    Case,
    case_of_pair,
    evaluate_cases,
    evaluate_pairs,
    evaluate_real,
)
from creative_mix.evaluation.targets import check_targets, targets_table

__all__ = [
    "BASELINES",
    "CONTROLS",
    "Ablation",
    "Case",
    "Features",
    "Render",
    "Report",
    "ablate",
    "ablation_table",
    "case_of_pair",
    "check_targets",
    "evaluate_cases",
    "evaluate_pairs",
    "evaluate_real",
    "shuffled",
    "targets_table",
]
