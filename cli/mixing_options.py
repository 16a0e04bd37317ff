"""The options that say how to mix, for every command that renders."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ..constants import COMPONENT_NAMES
from ..errors import OptionError
from ..options import (
    BIAS_RANGE,
    CLIPS,
    DENSITY_RANGE,
    DYNAMICS_RANGE,
    FITS,
    LONGEST_TAIL_S,
    LOUDNESS_RANGE,
)

Command = TypeVar("Command", bound=Callable[..., Any])


class Bias(click.ParamType):
    """NAME=+X for one of the six components."""

    name = "NAME=±X"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        name, _, amount = str(value).partition("=")
        if name not in COMPONENT_NAMES:
            self.fail(f"{value!r}: give NAME=X, with a NAME of {', '.join(COMPONENT_NAMES)}")
        try:
            number = float(amount)
        except ValueError:
            self.fail(f"{value!r}: {amount!r} is not a number", param, ctx)
        low, high = BIAS_RANGE
        if not low <= number <= high:
            self.fail(f"{value!r} is not in the range {low:g} to {high:g}", param, ctx)
        return name, number

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(f"{n}=") for n in COMPONENT_NAMES if n.startswith(incomplete)]


_OPTIONS = (
    click.option(
        "--fit",
        type=click.Choice(FITS),
        default="loop",
        show_default=True,
        help="A piano shorter than the drums is looped, stretched in time, or followed by "
        "silence; a longer one is cut, or stretched.",
    ),
    click.option(
        "--align",
        is_flag=True,
        help="Find tempo and first downbeat of both and print them; stretch the piano to the "
        "drums' tempo and bring downbeats together, or beats where bars are not clear. Where a "
        "beat is not clear, the piano stays as it is.",
    ),
    click.option(
        "--mix",
        type=click.FloatRange(0.0, 1.0),
        default=0.0,
        show_default=True,
        metavar="0..1",
        help="Share of the untouched piano in the output.",
    ),
    click.option(
        "--bias",
        type=Bias(),
        multiple=True,
        help="Draw the selection towards a component (-8 to 8; may be repeated): "
        + ", ".join(COMPONENT_NAMES)
        + ". The input is the drums, the target is the piano.",
    ),
    click.option(
        "--bias-curve",
        "bias_curve",
        type=click.Path(),
        metavar="CSV",
        help="Bias over time, added to --bias: a CSV file with the column time_s, in seconds of "
        "the output, and any of the six components; linear in between, an empty cell is no point.",
    ),
    click.option(
        "--density",
        type=click.FloatRange(*DENSITY_RANGE),
        default=1.0,
        show_default=True,
        metavar="0..1",
        help="Strikes that stay, the strongest first: 1 keeps all, 0 none.",
    ),
    click.option(
        "--dynamics",
        type=click.FloatRange(*DYNAMICS_RANGE),
        default=1.0,
        show_default=True,
        metavar="0..2",
        help="Differences between loud and soft strikes: 1 as drummed, 0 none, 2 twice as large.",
    ),
    click.option(
        "--start",
        "start_s",
        type=click.FloatRange(min=0.0),
        default=0.0,
        metavar="SECONDS",
        help="Where in the drums to begin.",
    ),
    click.option(
        "--duration",
        "duration_s",
        type=click.FloatRange(min=0.0, min_open=True),
        metavar="SECONDS",
        help="How much of the drums to take.  [default: all that follow]",
    ),
    click.option(
        "--tail",
        "tail_s",
        type=click.FloatRange(0.0, LONGEST_TAIL_S),
        default=0.0,
        metavar="SECONDS",
        help="Let the last notes ring: the output is so much longer than the drums.",
    ),
    click.option(
        "--loudness",
        "loudness_lufs",
        type=click.FloatRange(*LOUDNESS_RANGE),
        metavar="LUFS",
        help="Loudness of the output after ITU-R BS.1770, such as -16.  [default: the piano's]",
    ),
    click.option(
        "--clip",
        type=click.Choice(CLIPS),
        default="rescale",
        show_default=True,
        help="Peaks that would clip make the whole output quieter, are held at -1 dB by a limiter "
        "that looks ahead, or stay as they are.",
    ),
)


def mixing_options(command: Command) -> Command:
    """Return `command` with the mixing options, which it gets as one argument `settings`.

    `settings` is a `creative_mix.mixing.Settings`; every option bears the name of one of its
    fields.  Put the decorator where the options shall stand in the command's help.
    """

    @functools.wraps(command)
    def with_settings(*arguments: Any, **given: Any) -> Any:
        # These bring the audio modules in, which a command's help does not need.
        from ..curve import BiasCurve
        from ..mixing import Settings

        chosen = {
            each.name: given.pop(each.name) for each in fields(Settings) if each.name in given
        }
        chosen["bias"] = dict(chosen["bias"])
        if chosen["bias_curve"] is not None:
            chosen["bias_curve"] = BiasCurve.read(chosen["bias_curve"])
        try:
            settings = Settings(**chosen)
        except OptionError as error:
            raise click.UsageError(str(error)) from error
        return command(*arguments, settings=settings, **given)

    decorated: Any = with_settings
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    result: Command = decorated
    return result
