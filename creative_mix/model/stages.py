"""The model's building blocks in a stream: tensors and their lag in, tensors and their lag out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from creative_mix.constants import HOP_LENGTH
from creative_mix.model.agent import ExtractorBranch
from creative_mix.model.layers import ContextConv1d, LocalAttention
from creative_mix.model.rhythm import gaps, peak_strength
from creative_mix.model.spectral import FineEnergy, LowSpectrum, Stft
from creative_mix.model.tape import Line, Tape


def over(line: Line, layer: ContextConv1d | LocalAttention) -> tuple[Tensor, int]:
    """A layer over the frames of a line."""
    behind, ahead = layer.context
    return layer.over(line.read(behind=behind, ahead=ahead)), line.lag + ahead


def pass_blocks(
    tape: Tape, name: str, x: Tensor, lag: int, blocks: Iterable[Any]
) -> tuple[Tensor, int]:
    """One ConvNeXtBlock or KeyBlock after the other: (B, D, T) -> (B, D, T)."""
    for number, block in enumerate(blocks):
        line = tape.line(f"{name}.{number}", x, lag)
        mixed, lag = over(line, block.depthwise)
        x = block.add(line.read(lag), mixed)
    return x, lag


def attend(tape: Tape, name: str, x: Tensor, lag: int, layers: Iterable[Any]) -> tuple[Tensor, int]:
    """One TransformerLayer after the other: (B, D, T) -> (B, D, T).

    Of the past, what was projected is kept, so that a frame is projected once.
    """
    for number, layer in enumerate(layers):
        line = tape.line(f"{name}.{number}", x, lag)
        projected = layer.attention.project_in(layer.attention_norm(x))
        attended, lag = over(
            tape.line(f"{name}.{number}.projected", projected, lag), layer.attention
        )
        x = layer.add(line.read(lag), attended)
    return x, lag


def extract(tape: Tape, name: str, encoding: Line, branch: ExtractorBranch) -> Line:
    """A component of an encoding: (B, 128, T) -> (B, 64, T)."""
    first, lag = over(encoding, branch.conv1)
    second, lag = over(tape.line(f"{name}.first", branch.activate(first), lag), branch.conv2)
    return tape.line(name, branch.add(encoding.read(lag), second), lag)


def spectra(audio: Line, spectrum: Stft | LowSpectrum) -> tuple[Tensor, int]:
    """Spectra of samples: (..., 512 T) -> (..., T, 2, F)."""
    hops = math.ceil(spectrum.edge / HOP_LENGTH)
    spare = hops * HOP_LENGTH - spectrum.edge
    samples = audio.read(behind=hops, ahead=hops)
    return spectrum.over(samples[..., spare:-spare]), audio.lag + hops


def fine_powers(audio: Line, lag: int, energy: FineEnergy) -> Tensor:
    """Fine energies of samples, at a lag of at least 1 more: (..., 512 T) -> (..., T, F)."""
    spare = HOP_LENGTH - energy.edge
    return energy.over(audio.read(lag, behind=1, ahead=1)[..., spare:-spare])


def synthesise(tape: Tape, name: str, made: Tensor, lag: int, stft: Stft) -> tuple[Tensor, int]:
    """Audio of spectra: (..., T, 2, F) -> (..., 512 T)."""
    windows = tape.line(name, stft.windows_of(made), lag, axis=-2)
    reach = math.ceil(stft.edge / HOP_LENGTH)
    audio = stft.overlap(windows.read(behind=reach, ahead=reach))
    return audio[..., reach * HOP_LENGTH : -reach * HOP_LENGTH], lag + reach


def peaks(tape: Tape, name: str, probability: Line, limits: tuple[float, float]) -> Line:
    """Strengths of onsets: (B, V, T) -> (B, V, T)."""
    found = peak_strength(probability.read(behind=1, ahead=1), limits)[..., 1:-1]
    return tape.line(f"{name}.strength", found, probability.lag + 1)


def strengths(
    tape: Tape, name: str, probability: Line, limits: tuple[float, float], window: int
) -> tuple[Line, Line]:
    """Strengths of onsets, and the gaps before them: (B, V, T) -> two of (B, V, T)."""
    strength = peaks(tape, name, probability, limits)
    gap = gaps(strength.read(behind=window), window)
    return strength, tape.line(f"{name}.gap", gap, strength.lag)
