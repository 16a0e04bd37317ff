"""`creative-mix export`: a checkpoint as the ONNX file that renders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16"]),
    default="fp16",
    show_default=True,
    help="Format in which the weights are stored; fp16 is half the size. The file computes in "
    "float32 either way.",
)
@click.option(
    "--opset",
    type=click.IntRange(17, 20),
    default=17,
    show_default=True,
    help="ONNX version; a higher one needs a newer runtime.",
)
@click.option(
    "--static-samples",
    type=click.IntRange(min=2048),
    metavar="N",
    help="Fix the length to N samples, for runtimes that cannot do without; the file then has no "
    "input skip_frames.  [default: any length]",
)
@click.option("--force", is_flag=True, help="Overwrite the output.")
def export(
    checkpoint: Path,
    output: Path,
    precision: Any,
    opset: int,
    static_samples: int | None,
    force: bool,
) -> None:
    """Write CHECKPOINT (.safetensors or .onnx) as one self-contained ONNX file.

    The file is compared with torch at four lengths, or at its only one, before it gets its name;
    one that drifts is not kept.

    \b
    creative-mix export runs/mine/best.safetensors -o mine.onnx
    creative-mix export runs/mine/best.safetensors -o small.onnx --static-samples 441000
    """
    check_output(output, force)
    click.echo(write_onnx(checkpoint, output, precision, opset, static_samples))


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


def write_onnx(
    checkpoint: Path,
    output: Path,
    precision: Any = "fp16",
    opset: int = 17,
    static_samples: int | None = None,
) -> str:
    """Export a checkpoint, compare it with torch, and say how it went."""
    from ..export.onnx_file import export_onnx
    from ..export.parity import refuse_drift
    from ..model.checkpoint import load_model

    model = load_model(checkpoint)
    draft = output.with_name(output.name + ".draft")
    try:
        export_onnx(model, draft, precision=precision, opset=opset, static_samples=static_samples)
        difference = refuse_drift(draft)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
    size = output.stat().st_size / 1e6
    where = "four lengths" if static_samples is None else f"{static_samples} samples"
    return f"{output}: {size:.1f} MB, within {difference:.1e} of torch at {where}"
