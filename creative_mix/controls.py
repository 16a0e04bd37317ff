"""What a player may ask of a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from .audio import FloatArray
from .constants import COMPONENT_NAMES
from .curve import BiasCurve
from .errors import ModelFileError, OptionError
from .options import BIAS_RANGE, DENSITY_RANGE, DYNAMICS_RANGE


def bias_vector(bias: Mapping[str, float] | None) -> FloatArray:
    """Return the selector's bias in the model's order.

    Args:
        bias: from some of COMPONENT_NAMES to -8..8; what is not named is 0.

    Shape: (6,).

    Raises:
        OptionError: an unknown name, or a value out of range.

    >>> bias_vector({"target_rhythm": 1.5}).tolist()
    [0.0, 0.0, 0.0, 1.5, 0.0, 0.0]
    """
    vector = np.zeros(len(COMPONENT_NAMES), np.float32)
    low, high = BIAS_RANGE
    for name, value in (bias or {}).items():
        if name not in COMPONENT_NAMES:
            raise OptionError(
                f"bias {name!r} is unknown; choose among {', '.join(COMPONENT_NAMES)}"
            )
        if not low <= value <= high:
            raise OptionError(f"bias {name}={value:g} is out of range; give {low:g} to {high:g}")
        vector[COMPONENT_NAMES.index(name)] = value
    return vector


def check_bias(bias: FloatArray) -> None:
    """Do nothing where every value of a bias, of any shape, is one that the selector can have.

    Raises:
        OptionError: one is out of -8..8, or not a number.
    """
    low, high = BIAS_RANGE
    inside = (bias >= low) & (bias <= high)
    if not inside.all():
        raise OptionError(f"bias {bias[~inside][0]:g} is out of range; give {low:g} to {high:g}")


@dataclass(frozen=True)
class Controls:
    """How densely and how unevenly is struck, and how the selection moves; as drummed if unset."""

    density: float = 1.0
    """Share of the strikes that stay, the strongest first: 1 all, 0 none."""

    dynamics: float = 1.0
    """Factor on the differences between loud and soft strikes, 0..2: 1 as drummed, 0 none."""

    bias_curve: BiasCurve | None = None
    """Added to the bias, over the seconds of the output."""

    def __post_init__(self) -> None:
        for name, value, (low, high) in (
            ("density", self.density, DENSITY_RANGE),
            ("dynamics", self.dynamics, DYNAMICS_RANGE),
        ):
            if not low <= value <= high:
                raise OptionError(f"{name} {value:g} is out of range; give {low:g} to {high:g}")

    @property
    def asked(self) -> list[str]:
        """Names of the inputs of a model that are not left at their defaults."""
        found = [name for name in ("density", "dynamics") if getattr(self, name) != 1.0]
        return [*found, "bias_curve"] if self.bias_curve is not None else found

    def check(self, optional: Collection[str], model: str) -> None:
        """Do nothing where a model with these optional inputs can do what is asked.

        Raises:
            ModelFileError: it has not the input for it.
        """
        for name in self.asked:
            if name not in optional:
                raise ModelFileError(
                    f"{model}: of an older form, which has no {name}; leave --"
                    f"{name.replace('_', '-')} out, or give a model that `creative-mix export` of "
                    "this version wrote"
                )

    def feeds(self, first: int, last: int) -> dict[str, FloatArray]:
        """Return the optional inputs of a model for its frames `first` to `last`."""
        found: dict[str, FloatArray] = {}
        for name in self.asked:
            if name == "bias_curve":
                assert self.bias_curve is not None
                found[name] = self.bias_curve.frames(first, last)[None]
            else:
                found[name] = np.array([getattr(self, name)], np.float32)
        return found


PLAIN = Controls()
