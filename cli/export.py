"""`creative-mix export`: a checkpoint as the ONNX file that renders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    help="Format in which the weights are stored; fp16 is half the size.",
)
@click.option(
    "--compute",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="Arithmetic of the networks. fp16 is for GPUs: times, spectra and strikes stay in "
    "float32; most CPUs are slower with it.",
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
    type=click.IntRange(min=512),
    metavar="N",
    help="Fix the length to N samples, for other apps whose runtime cannot do without; the file "
    "then has no optional inputs, and creative-mix does not render with it. With --stream, the "
    "length of a block.  [default: any length]",
)
@click.option(
    "--stream",
    is_flag=True,
    help="Write the form that takes a stream block by block, with what it remembers as inputs and "
    "outputs.",
)
@click.option(
    "--channels",
    type=click.IntRange(1, 8),
    metavar="N",
    help="Channels of both recordings of a stream.  [default: 2]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True),
    help="Largest difference from torch of any sample, of full scale, with which the file is "
    "kept.  [default: 1e-4, with --compute fp16 2e-3]",
)
@click.option("--force", is_flag=True, help="Overwrite the output.")
def export(
    checkpoint: Path,
    output: Path,
    precision: Any,
    compute: Any,
    opset: int,
    static_samples: int | None,
    stream: bool,
    channels: int | None,
    tolerance: float | None,
    force: bool,
) -> None:
    """Write CHECKPOINT (.safetensors or .onnx) as one self-contained ONNX file.

    The file is compared with torch at four lengths, or at its only one, before it gets its name;
    one that drifts, or in which a strike lies in another frame, is not kept. A stream is compared
    in blocks of two sizes.

    \b
    creative-mix export runs/mine/best.safetensors -o mine.onnx
    creative-mix export runs/mine/best.safetensors -o small.onnx --static-samples 441000
    creative-mix export runs/mine/best.safetensors -o gpu.onnx --compute fp16
    creative-mix export runs/mine/best.safetensors -o live.onnx --stream
    """
    if stream and static_samples is not None and static_samples % 512:
        raise click.UsageError(f"a block of {static_samples} samples is no multiple of 512")
    if not stream and static_samples is not None and static_samples < 2048:
        raise click.UsageError(f"{static_samples} samples are too few; give 2048 or more")
    if channels is not None and not stream:
        raise click.UsageError("--channels goes with --stream: other files take any number")
    if stream and compute == "fp16":
        raise click.UsageError("--compute fp16 does not go with --stream: a stream is for CPUs")
    if not force:
        check_absent(output, "or --force to overwrite it")
    check_output(output)
    if stream:
        told = write_stream(
            checkpoint, output, precision, opset, static_samples, channels or 2, tolerance
        )
    else:
        told = write_onnx(checkpoint, output, precision, opset, static_samples, compute, tolerance)
    click.echo(told)


def check_absent(output: Path, otherwise: str) -> None:
    """Refuse a name that is taken.

    Args:
        output: the name.
        otherwise: the remedy beside another name.

    Raises:
        OptionError: there is such a file already.
    """
    if output.exists():
        raise OptionError(f"{output}: exists; give another name, {otherwise}")


def check_output(output: Path) -> None:
    """Refuse a name that no ONNX file can be written to.

    Raises:
        OptionError: the suffix is wrong, or its folder is not there.
    """
    if output.suffix != ".onnx":
        raise OptionError(f"{output}: an ONNX file must end in .onnx")
    if not output.parent.is_dir():
        raise OptionError(f"{output.parent}: no such folder; make it first")


def write_onnx(
    checkpoint: Path,
    output: Path,
    precision: Any = "fp16",
    opset: int = 17,
    static_samples: int | None = None,
    compute: Any = "fp32",
    tolerance: float | None = None,
) -> str:
    """Export a checkpoint, compare it with torch, and say how it went."""
    from ..export.onnx_file import export_onnx
    from ..export.parity import HALF_TOLERANCE, TOLERANCE, refuse_drift, storage_difference
    from ..model.checkpoint import load_model

    usual = TOLERANCE if compute == "fp32" else HALF_TOLERANCE
    model = load_model(checkpoint)
    with _draft(output) as draft:
        export_onnx(
            model,
            draft,
            precision=precision,
            opset=opset,
            static_samples=static_samples,
            compute=compute,
        )
        difference = refuse_drift(draft, tolerance or usual, output)
        rounding = 0.0 if precision == "fp32" else storage_difference(draft, model)
    where = "four lengths" if static_samples is None else f"{static_samples} samples"
    near = f"within {difference:.1e} of torch at {where}, no strike moved"
    stored = f"; {precision} weights move a sample by {rounding:.1e} at most" if rounding else ""
    return f"{output}: {_size(output)}, {near}{stored}"


def write_stream(
    checkpoint: Path,
    output: Path,
    precision: Any = "fp16",
    opset: int = 17,
    block_samples: int | None = None,
    channels: int = 2,
    tolerance: float | None = None,
) -> str:
    """Export the streaming form, compare it with torch, and say how it went."""
    from ..export.parity import TOLERANCE
    from ..export.stream_file import export_stream
    from ..export.stream_parity import refuse_stream_drift
    from ..model.checkpoint import load_model

    model = load_model(checkpoint)
    with _draft(output) as draft:
        latency_samples = export_stream(
            model,
            draft,
            channels=channels,
            precision=precision,
            opset=opset,
            block_samples=block_samples,
        )
        difference = refuse_stream_drift(draft, tolerance or TOLERANCE, output)
    return (
        f"{output}: {_size(output)}, {latency_samples} samples of latency, within {difference:.1e} "
        "of torch at once"
    )


@contextmanager
def _draft(output: Path) -> Iterator[Path]:
    """Give another name to write under; the output appears once all went well."""
    draft = output.with_name(output.name + ".draft")
    try:
        yield draft
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"
