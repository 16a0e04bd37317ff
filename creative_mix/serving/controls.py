"""What can be turned on the page and in a DAW: one table for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..constants import COMPONENT_NAMES
from ..mixing import Settings
from ..options import BIAS_RANGE, DENSITY_RANGE, DYNAMICS_RANGE, FITS

_ORIGINS = {"input": "drums", "target": "piano"}


@dataclass(frozen=True)
class Slider:
    """A number within a range."""

    name: str
    """Of the field of `Settings`, or of the component that is biased."""

    label: str
    info: str
    minimum: float
    maximum: float
    step: float
    value: float


@dataclass(frozen=True)
class Choice:
    """One of several words."""

    name: str
    label: str
    info: str
    choices: tuple[str, ...]
    value: str


Control = Slider | Choice


def _bias_slider(component: str) -> Slider:
    origin, _, aspect = component.partition("_")
    low, high = BIAS_RANGE
    return Slider(
        component,
        f"Bias: {aspect} of the {_ORIGINS[origin]}",
        "Draws the selection towards this component, or away from it.",
        low,
        high,
        0.1,
        0.0,
    )


CONTROLS: tuple[Control, ...] = (
    Choice(
        "fit",
        "Fit",
        "A shorter piano is looped, stretched in time, or followed by silence; "
        "a longer one is cut, or stretched.",
        FITS,
        "loop",
    ),
    Slider("mix", "Untouched piano", "Its share in the result.", 0.0, 1.0, 0.01, 0.0),
    Slider("tail_s", "Tail", "Seconds that the last notes ring on.", 0.0, 10.0, 0.1, 0.0),
    Slider(
        "density", "Density", "Strikes that stay, the strongest first.", *DENSITY_RANGE, 0.01, 1.0
    ),
    Slider(
        "dynamics",
        "Dynamics",
        "Differences between loud and soft strikes; 1 is as drummed.",
        *DYNAMICS_RANGE,
        0.01,
        1.0,
    ),
    *(_bias_slider(name) for name in COMPONENT_NAMES),
)
"""In the order in which their values come."""


def settings_from(values: Sequence[Any]) -> Settings:
    """Return the settings that the values of CONTROLS ask for.

    Raises:
        OptionError: a value is out of its range.
    """
    chosen = {control.name: value for control, value in zip(CONTROLS, values, strict=True)}
    bias = {name: float(chosen.pop(name)) for name in COMPONENT_NAMES}
    for control in CONTROLS:
        if isinstance(control, Slider) and control.name in chosen:
            chosen[control.name] = float(chosen[control.name])
    return Settings(bias={name: value for name, value in bias.items() if value}, **chosen)
