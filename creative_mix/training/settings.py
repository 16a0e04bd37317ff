"""What a configuration can say: every setting with its default and what it means."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import textwrap
from collections.abc import Iterator
from typing import Any

from creative_mix.training.config import TrainingConfig

WIDTH = 100


def setting_lines(kind: Any = TrainingConfig, prefix: str = "") -> Iterator[str]:
    """Every setting as `key = default`, its meaning below, in the order of the code.

    >>> next(setting_lines())
    'pairs = ""'
    """
    meanings = _meanings(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.default):
            yield from setting_lines(type(field.default), f"{field.name}.")
            continue
        yield f"{prefix}{field.name} = {json.dumps(field.default)}"
        yield from textwrap.wrap(
            meanings[field.name].replace("`", ""),
            WIDTH,
            initial_indent="    ",
            subsequent_indent="    ",
        )


def _meanings(kind: Any) -> dict[str, str]:
    """The line below each field of a dataclass, which Python itself does not keep."""
    (described,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(described, ast.ClassDef)
    found = {}
    for field, below in zip(described.body, described.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = inspect.cleandoc(text)
    return found
