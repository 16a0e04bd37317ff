"""What the commands share that render: where the model runs, which one, and how far it has come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from ..options import DEVICES

Command = TypeVar("Command", bound=Callable[..., Any])

device_option = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.  [default: all cores]"
)
model_option = click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="ONNX",
    help="Another model, from creative-mix export.",
)


def session_options(command: Command) -> Command:
    """Return `command` with --device, --threads and --model, where the decorator stands."""
    return device_option(threads_option(model_option(command)))


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[float], None] | None]:
    """What takes the share that is done, 0 to 1, and draws it; None where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1000, label="rendering", file=sys.stderr) as bar:
        yield lambda share: bar.update(round(1000 * share) - bar.pos)
