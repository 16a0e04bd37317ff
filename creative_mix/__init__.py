"""Two recordings in, a rhythmic piano performance out.

>>> import creative_mix
>>> callable(creative_mix.render)
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import render
    from .renderer import Renderer

__version__ = "0.1.0"

__all__ = ["Renderer", "__version__", "render"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: importing the package costs nothing, the runtime comes with a render.
    if name == "render":
        from .api import render

        return render
    if name == "Renderer":
        from .renderer import Renderer

        return Renderer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
