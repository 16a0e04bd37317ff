"""The page and its calls, on Gradio."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..constants import COMPONENT_NAMES
from ..errors import CreativeMixError, OptionError
from ..renderer import Renderer
from .controls import CONTROLS, Choice, Control
from .harp import CARD, describe
from .service import Outcome, Service

KEEP_S = 3600
"""How long uploads and results are kept; all of them go when the server stops."""

_ABOUT = (
    "# creative-mix\n"
    "Give it drums and a piano: the piano's harmony and sound, played with the drums' rhythm. "
    "In a DAW, HARP takes this page's address."
)


@contextmanager
def serving(renderer: Renderer, host: str, port: int) -> Iterator[str]:
    """Serve the page while the context lasts; give its address.

    Args:
        renderer: the loaded model.
        host: address to listen at.
        port: port to listen at; 0 takes any that is free.

    Raises:
        OptionError: it cannot listen there.
    """
    port = _free_port(host, port)
    with tempfile.TemporaryDirectory(prefix="creative-mix-", ignore_cleanup_errors=True) as name:
        # Nothing is reported to anybody, and all files stay in this folder.
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        os.environ["GRADIO_TEMP_DIR"] = name
        page = build_page(Service(renderer, Path(name)))
        page.queue(default_concurrency_limit=1)
        try:
            _, address, _ = page.launch(
                server_name=host,
                server_port=port,
                prevent_thread_lock=True,
                quiet=True,
                show_error=True,
                share=False,
                ssr_mode=False,
                enable_monitoring=False,
                run_history=False,
                footer_links=[],
            )
            yield address
        finally:
            page.close(verbose=False)


def build_page(service: Service) -> Any:
    """Return the Gradio page of a service, with the three calls that HARP makes."""
    import gradio as gr

    bar = gr.Progress()

    def render(request: gr.Request, progress: Any, *values: Any) -> Outcome:
        drums, piano, *rest = values
        try:
            return service.render(
                drums, piano, rest, _owner(request), lambda share: progress(share, desc="rendering")
            )
        except CreativeMixError as error:
            raise gr.Error(str(error), title="creative-mix", print_exception=False) from error

    def on_page(request: gr.Request, progress: Any = bar, *values: Any) -> tuple[Any, ...]:
        outcome = render(request, progress, *values)
        return str(outcome.path), "\n".join(outcome.lines), outcome.weights

    def process(request: gr.Request, progress: Any = bar, *values: Any) -> str:
        return str(render(request, progress, *values).path)

    def cancel(request: gr.Request) -> None:
        service.cancel(_owner(request))

    # Gradio reads the annotation of this argument to know what to put there.
    for function in (on_page, process, cancel):
        function.__annotations__["request"] = gr.Request
    one_at_a_time = {"concurrency_id": "render", "concurrency_limit": 1}
    with gr.Blocks(
        title=CARD["name"], analytics_enabled=False, delete_cache=(KEEP_S // 6, KEEP_S)
    ) as page:
        gr.Markdown(_ABOUT)
        with gr.Row():
            # Gradio's button to share would send the recording to somebody else's server.
            given: dict[str, Any] = {"type": "filepath", "sources": ["upload"], "buttons": []}
            drums = gr.Audio(label="Drums", **given)
            piano = gr.Audio(label="Piano", **given)
        biases = [control for control in CONTROLS if control.name in COMPONENT_NAMES]
        made = _rows([control for control in CONTROLS if control not in biases])
        with gr.Accordion("Bias of the selection", open=False):
            made |= _rows(biases)
        inputs = [drums, piano, *(made[control.name] for control in CONTROLS)]
        with gr.Row():
            start = gr.Button("Render", variant="primary")
            stop = gr.Button("Cancel")
        mix = gr.Audio(type="filepath", label="Mix", interactive=False, buttons=["download"])
        with gr.Row():
            notes = gr.Textbox(label="Notes", lines=4, interactive=False)
            weights = gr.Label(label="Selected", show_heading=False)
        rendering = start.click(
            on_page, inputs, [mix, notes, weights], api_name="render", **one_at_a_time
        )
        stop.click(cancel, cancels=[rendering], api_name="cancel")

        # HARP's own, which nobody clicks: its outputs must be files and nothing else.
        hidden = gr.Button(visible=False)
        description = gr.JSON(visible=False)
        harp_mix = gr.Audio(type="filepath", visible=False)
        hidden.click(describe, None, description, api_name="controls")
        hidden.click(process, inputs, harp_mix, api_name="process", **one_at_a_time)
    return page


def _rows(controls: list[Control]) -> dict[str, Any]:
    """Return the components by name, three in a row: with more, sliders lose their ends."""
    import gradio as gr

    made: dict[str, Any] = {}
    for start in range(0, len(controls), 3):
        with gr.Row():
            made |= {each.name: _component(each) for each in controls[start : start + 3]}
    return made


def _component(control: Control) -> Any:
    import gradio as gr

    shared: dict[str, Any] = {
        "label": control.label,
        "info": control.info,
        "value": control.value,
    }
    if isinstance(control, Choice):
        return gr.Dropdown(choices=list(control.choices), **shared)
    return gr.Slider(control.minimum, control.maximum, step=control.step, **shared)


def _owner(request: Any) -> str:
    """Return who calls: HARP's calls have nothing in common but the host they come from."""
    client = getattr(request, "client", None)
    return str(getattr(client, "host", ""))


def _free_port(host: str, port: int) -> int:
    """Return the port, or any free one in place of 0, after a look whether it can be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OptionError(
                f"cannot listen at {host}:{port} ({error.strerror or error}); give another --port "
                "or --host"
            ) from error
        return int(probe.getsockname()[1])
