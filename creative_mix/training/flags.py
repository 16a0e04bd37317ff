"""Red flags: states in which a run looks alive and learns nothing, each with its remedy."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable

from creative_mix.training.monitors import BRANCHES, Vitals

AGENT_FLOOR = 1e-4
"""Norm below which the agent's gradient is as good as none."""
BRANCH_FLOOR = 1e-3
"""The same for an extractor's branch, relative to the median branch."""
UNIFORM = 0.1
"""Relative distance from the uniform choice below which a selector selects nothing."""
STARVED = 0.4
"""Share of time in which the run waits for data."""


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag that has gone up."""

    name: str
    step: int
    finding: str
    """What was seen."""
    remedy: str
    """What to do about it."""

    def line(self) -> str:
        """The flag as it is told."""
        return f"RED FLAG {self.name} at step {self.step}: {self.finding}. {self.remedy}"


@dataclasses.dataclass(frozen=True)
class Rule:
    """A flag's condition: it goes up once it was found ``looks`` times in a row."""

    name: str
    remedy: str
    looks: int
    find: Callable[[Vitals], str | None]
    """What is wrong, "" where nothing is, None where it cannot be told this time."""


class Flags:
    """Looks at a run's figures and raises flags; one that is up comes up again only after it fell.

    Args:
        rules: those to look by.
    """

    def __init__(self, rules: tuple[Rule, ...] | None = None) -> None:
        self.rules = rules or RULES
        self.raised: list[Flag] = []
        self._seen = {rule.name: 0 for rule in self.rules}

    def look(self, vitals: Vitals) -> list[Flag]:
        """The flags that go up now."""
        new = []
        for rule in self.rules:
            finding = rule.find(vitals)
            if finding is None:
                continue
            self._seen[rule.name] = self._seen[rule.name] + 1 if finding else 0
            if finding and self._seen[rule.name] == rule.looks:
                new.append(Flag(rule.name, vitals.step, finding, rule.remedy))
        self.raised += new
        return new


def _novelty(vitals: Vitals) -> str | None:
    if not math.isfinite(vitals.novelty):
        return None
    return "the novelty loss is exactly 0" if vitals.novelty == 0.0 else ""


def _uniform(vitals: Vitals) -> str | None:
    if abs(vitals.weight_sum - 1) > 0.01:
        return f"the six selection weights sum to {vitals.weight_sum:.4f}, not to 1"
    if vitals.departure is None:
        return None
    if vitals.departure < UNIFORM:
        return f"the six weights stay within {100 * vitals.departure:.1f} % of their mean"
    return ""


def _agent(vitals: Vitals) -> str | None:
    norms = [norm for part, norm in vitals.gradients.items() if part.startswith("agent.")]
    if not norms or not all(math.isfinite(norm) for norm in norms):
        return None
    whole = math.hypot(*norms)
    return f"the agent's gradient norm is {whole:.1e}" if whole < AGENT_FLOOR else ""


def _branch(vitals: Vitals) -> str | None:
    norms = {part: vitals.gradients[part] for part in BRANCHES if part in vitals.gradients}
    if len(norms) < 2 or not all(math.isfinite(norm) for norm in norms.values()):
        return None
    median = statistics.median(norms.values())
    part = min(norms, key=lambda name: norms[name])
    if norms[part] < BRANCH_FLOOR * median:
        return f"{part} has a gradient norm of {norms[part]:.1e}, the median branch {median:.1e}"
    return ""


def _finite_loss(vitals: Vitals) -> str | None:
    return "" if math.isfinite(vitals.loss) else f"the loss is {vitals.loss}; the step was skipped"


def _finite_gradient(vitals: Vitals) -> str | None:
    if not math.isfinite(vitals.loss) or math.isfinite(vitals.gradient_norm):
        return ""
    return f"the gradient norm is {vitals.gradient_norm}; the step was skipped"


def _starved(vitals: Vitals) -> str | None:
    if vitals.waiting > STARVED:
        return f"{100 * vitals.waiting:.0f} % of the time goes into waiting for data"
    return ""


RULES = (
    Rule(
        "novelty-zero",
        "Its gradient flow is broken: look for a threshold (a ReLU of similarity minus a constant) "
        "or a detached output in the novelty loss, and take it out",
        3,
        _novelty,
    ),
    Rule(
        "selector-uniform",
        "The selector does not select: the softmax must run over the six component types, not "
        "over channels, and gradient must reach the logits",
        4,
        _uniform,
    ),
    Rule(
        "agent-gradient",
        "The agent is detached from the loss: look for detach() or no_grad() behind it, for terms "
        "of weight 0, and for parts frozen by mistake",
        3,
        _agent,
    ),
    Rule(
        "branch-gradient",
        "That branch does not learn: give it a skip connection around its convolutions, and look "
        "for saturated activations",
        3,
        _branch,
    ),
    Rule(
        "loss-not-finite",
        "The batch is saved under `refused/` in the output folder: look for silence or wild "
        "levels in it; lower learning_rate, or set bfloat16 to false",
        1,
        _finite_loss,
    ),
    Rule(
        "gradient-not-finite",
        "The batch is saved under `refused/` in the output folder: look for a square root or a "
        "logarithm at 0 in the loss; lower learning_rate, or set bfloat16 to false",
        1,
        _finite_gradient,
    ),
    Rule(
        "data-starvation",
        "Raise `workers`, put the pairs on a faster disk, or make them beforehand with "
        "`creative-mix pairs`",
        4,
        _starved,
    ),
)
