"""Reports as bytes, by the suffix of their names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .facts import Facts
from .page import draw_page
from .sheet import make_sheet

AnyPath = str | os.PathLike[str]


def write_report(facts: Facts, paths: Sequence[AnyPath]) -> Iterator[tuple[AnyPath, bytes]]:
    """Yield what each report holds: a page for .html, data for .json.

    Args:
        facts: of the render.
        paths: of the reports.
    """
    sheet = make_sheet(facts)
    for path in paths:
        if Path(path).suffix.lower() == ".json":
            yield path, (json.dumps(sheet.as_json(), indent=1, allow_nan=False) + "\n").encode()
        else:
            yield path, draw_page(sheet).encode()
