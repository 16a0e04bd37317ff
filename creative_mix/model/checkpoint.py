"""Weights to and from files, without pickle."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from creative_mix.errors import ModelFileError
from creative_mix.model.config import ModelConfig
from creative_mix.model.system import CreativeMix


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write safetensors under a temporary name, flush to the disk, then rename."""
    temporary = path.with_name(path.name + ".tmp")
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(plain, str(temporary), metadata)
    with open(temporary, "rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)  # the new name, too, must reach the disk
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises
    ------
    ModelFileError : the file is missing, torn, or of another kind
    """
    try:
        with safetensors.safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelFileError(f"{path}: not a readable safetensors file ({error})") from error


def weights_of_onnx(path: Path) -> tuple[dict[str, Tensor], ModelConfig]:
    """The torch model's parameters and configuration out of an exported ONNX file."""
    import onnx
    from onnx import numpy_helper

    try:
        model = onnx.load(str(path))
    except Exception as error:
        raise ModelFileError(f"{path}: not a readable ONNX file ({error})") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if "model_config" not in metadata:
        raise ModelFileError(f"{path}: not a creative-mix model (no model_config in its metadata)")
    config = ModelConfig.from_json(metadata["model_config"])
    tensors = {
        item.name.removeprefix("model."): torch.from_numpy(numpy_helper.to_array(item).copy())
        for item in model.graph.initializer
        if item.name.startswith("model.")
    }
    return {name: tensor.float() for name, tensor in tensors.items()}, config


class Weights(NamedTuple):
    """The tensors of a file, by the names of ``CreativeMix`` where it has them."""

    tensors: dict[str, Tensor]
    config: ModelConfig | None
    """Sizes of the model they are of, None where the file does not say."""


def read_weights(path: str | Path) -> Weights:
    """The model's weights out of any file that holds some.

    Exported ONNX files; safetensors files of weights alone; states of a training run, of which the
    averaged weights are taken; PyTorch files (``.pt``, ``.pth``) of tensors, of which nothing but
    tensors is loaded.

    Raises
    ------
    ModelFileError : the file is missing, damaged, or holds no tensors
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    if path.suffix in (".pt", ".pth", ".ckpt"):
        return Weights(_tensors_of_torch(path), None)
    if path.suffix != ".safetensors":
        return Weights(*weights_of_onnx(path))
    tensors, metadata = load_tensors(path)
    for prefix in ("average.model.", "weights.model."):
        part = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        if part:
            tensors = part
            break
    config = metadata.get("model_config")
    if config is None and "config" in metadata:
        config = json.dumps(json.loads(metadata["config"])["model"])
    return Weights(tensors, ModelConfig.from_json(config) if config else None)


def _tensors_of_torch(path: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(str(path), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelFileError(
            f"{path}: not a file of tensors alone ({str(error).splitlines()[0]})"
        ) from error
    tensors: dict[str, Tensor] = {}
    waiting = [found]
    while waiting and not tensors:
        inner = waiting.pop(0)
        if isinstance(inner, Mapping):
            tensors = {str(k): v for k, v in inner.items() if isinstance(v, Tensor)}
            named = [v for k, v in inner.items() if isinstance(v, Mapping) and "optim" not in k]
            waiting.extend(named)
    if not tensors:
        raise ModelFileError(f"{path}: no tensors in it")
    return tensors


def load_model(path: str | Path) -> CreativeMix:
    """The model with the weights of a ``.safetensors`` checkpoint or an exported ``.onnx`` file."""
    tensors, config = read_weights(path)
    if config is None:
        raise ModelFileError(f"{path}: not a creative-mix checkpoint (no model_config)")
    model = CreativeMix(config)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    if missing or unexpected:
        raise ModelFileError(
            f"{path}: {len(missing)} tensors missing ({', '.join(missing[:3])}), "
            f"{len(unexpected)} unknown ({', '.join(unexpected[:3])})"
        )
    return model.eval()


def model_metadata(config: ModelConfig) -> dict[str, str]:
    """What a weights file must say so that the model can be built again."""
    return {"model_config": json.dumps(dataclasses.asdict(config)), "format_version": "1"}
