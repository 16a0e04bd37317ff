"""`creative-mix export`: a checkpoint as the ONNX file that renders."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import OptionError


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="ONNX file to write.",
)
@click.option("--force", is_flag=True, help="Overwrite the output.")
def export(checkpoint: Path, output: Path, force: bool) -> None:
    """Write CHECKPOINT (.safetensors or .onnx) as one self-contained ONNX file.

    The file is compared with torch at four lengths before it gets its name; one that drifts is
    not kept.
    """
    check_output(output, force)
    click.echo(write_onnx(checkpoint, output))


def check_output(output: Path, force: bool) -> None:
    """Refuse a name that no ONNX file can or should be written to.

    Raises:
        OptionError: the suffix is wrong, the file is there already, or its folder is not.
    """
    if output.suffix != ".onnx":
        raise OptionError(f"{output}: an ONNX file must end in .onnx")
    if output.exists() and not force:
        raise OptionError(f"{output}: exists; give another name, or --force to overwrite it")
    if not output.parent.is_dir():
        raise OptionError(f"{output.parent}: no such folder; make it first")


def write_onnx(checkpoint: Path, output: Path) -> str:
    """Export a checkpoint, compare it with torch, and say how it went."""
    from ..export.onnx_file import export_onnx
    from ..export.parity import refuse_drift
    from ..model.checkpoint import load_model

    model = load_model(checkpoint)
    draft = output.with_name(output.name + ".draft")
    try:
        export_onnx(model, draft)
        difference = refuse_drift(draft)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
    size = output.stat().st_size / 1e6
    return f"{output}: {size:.1f} MB, within {difference:.1e} of torch at four lengths"
