"""What a render would compose, without the audio."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

from .audio.files import AudioReader
from .audio.pipes import is_pipe
from .errors import OptionError
from .mixing import Settings, mix_signals
from .options import Device
from .renderer import Progress, Renderer
from .trace import Trace


def trace_files(
    drums: str | os.PathLike[str],
    piano: str | os.PathLike[str],
    *,
    settings: Settings | None = None,
    device: Device = "auto",
    threads: int | None = None,
    model_path: str | os.PathLike[str] | None = None,
    renderer: Renderer | None = None,
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Return weights, strikes and notes over time of what `render_files` would write.

    The arguments are those of `creative_mix.api.render_files`.

    Raises:
        CreativeMixError: of some kind, with one line that names the file and the remedy.
    """
    say = say or (lambda line: None)
    if is_pipe(drums) and is_pipe(piano):
        raise OptionError("drums and piano cannot both come from standard input; give one a file")
    trace = Trace()
    with ExitStack() as stack:
        first = stack.enter_context(AudioReader(drums))
        second = stack.enter_context(AudioReader(piano))

        def load() -> Renderer:
            loaded = renderer or Renderer(model_path, device, threads)
            if loaded is not renderer and loaded.notice:
                say(loaded.notice)
            return loaded

        chosen = settings or Settings()
        for line in mix_signals(first, second, load, chosen, stack, progress, trace).notes:
            say(line)
    return trace
