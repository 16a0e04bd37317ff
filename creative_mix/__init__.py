"""Two recordings in, a rhythmic piano performance out.

>>> import creative_mix
>>> callable(creative_mix.render)
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import render
    from .curve import BiasCurve
    from .renderer import Renderer
    from .trace import Trace

__version__ = "0.1.0"

__all__ = ["BiasCurve", "Renderer", "Trace", "__version__", "render"]


_HOMES = {"BiasCurve": "curve", "Renderer": "renderer", "Trace": "trace", "render": "api"}


def __getattr__(name: str) -> Any:
    # Loaded on first use: importing the package costs nothing, the runtime comes with a render.
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
