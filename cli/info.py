"""`creative-mix info`: what a model file is and how to feed it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..description import ModelDescription, Port


@click.command()
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(model: Path | None, as_json: bool) -> None:
    """Print what MODEL (.onnx; by default the one that ships) says of itself.

    Its metadata, inputs and outputs, receptive field and size, and what the installed ONNX Runtime
    can run it on.

    \b
    creative-mix info
    creative-mix info mine.onnx --json
    """
    import json

    from ..description import describe_model

    description = describe_model(model)
    if as_json:
        click.echo(json.dumps(description.as_dict(), indent=2))
        return
    for name, value in _lines(description):
        click.echo(f"{name:<16}{value}")


def _lines(description: ModelDescription) -> list[tuple[str, str]]:
    metadata = dict(description.metadata)
    frames = [metadata[f"{side}_frames"] for side in ("lookback", "lookahead")]
    kinds = ", ".join(description.parameter_types)
    lines = [
        ("file", description.path),
        ("size", f"{description.size_bytes / 1e6:.1f} MB"),
        ("parameters", f"{description.parameters:,}, stored as {kinds}"),
        ("opset", str(description.opset)),
        (
            "receptive field",
            f"{frames[0]} frames ({description.lookback_s:.2f} s) behind, "
            f"{frames[1]} frames ({description.lookahead_s:.2f} s) ahead",
        ),
    ]
    lines += [("input", _words(port)) for port in description.inputs]
    lines += [("output", _words(port)) for port in description.outputs]
    lines += [("metadata", f"{name} = {value}") for name, value in metadata.items()]
    lines.append(("runtime", f"ONNX Runtime {description.runtime}"))
    lines.append(("providers", ", ".join(description.providers)))
    return lines


def _words(port: Port) -> str:
    sizes = ", ".join(map(str, port.shape))
    return f"{port.name} ({sizes}) {port.dtype}{', may be left out' if port.optional else ''}"
