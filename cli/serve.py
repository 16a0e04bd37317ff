"""`creative-mix serve`: a page for a browser, and an endpoint for HARP in a DAW."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import click

from ..cli.session_options import session_options


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at. 0.0.0.0 lets other machines in, and whoever reaches them.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7860,
    show_default=True,
    help="Port to listen at; 0 takes any that is free.",
)
@session_options
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the address and errors.")
def serve(
    host: str, port: int, device: Any, threads: int | None, model: Path | None, quiet: bool
) -> None:
    """Serve a page that renders, until stopped with Ctrl-C.

    Open its address in a browser, or give it to HARP, which brings it into Reaper, Logic or Live.
    One render runs at a time. Uploads and results are kept for an hour at most.

    \b
    creative-mix serve
    creative-mix serve --port 0 --device cuda
    """
    import gradio  # noqa: F401 - before the model is loaded: it may be missing

    from ..renderer import Renderer
    from ..serving.page import serving

    renderer = Renderer(model, device, threads)
    if renderer.notice and not quiet:
        click.echo(renderer.notice)
    with serving(renderer, host, port) as address:
        click.echo(f"serving at {address}")
        threading.Event().wait()
