"""Building blocks with a bounded receptive field: every one states how far ahead it looks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class ContextConv1d(nn.Conv1d):
    """A convolution over frames whose output at t sees up to ``lookahead`` frames ahead of it.

    The rest of its (k - 1) x dilation frames of context lie behind.

    Shape: (B, D, T) -> (B, D', T), zero frames outside.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        kernel_size: int,
        lookahead: int,
        groups: int = 1,
        bias: bool = True,
        dilation: int = 1,
    ) -> None:
        super().__init__(in_dim, out_dim, kernel_size, groups=groups, bias=bias, dilation=dilation)
        self.context = ((kernel_size - 1) * dilation - lookahead, lookahead)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.pad(x, self.context)
        if self.groups == 1:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):  # slow in bfloat16 on a CPU
            return super().forward(x.float())


class Pointwise(nn.Conv1d):
    """A 1x1 convolution of what has its features last: large spectra need not be transposed.

    Shape: (.., T, D) -> (.., T, D').
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.squeeze(2), self.bias)


def fill_bias(layer: nn.Conv1d, value: float, count: int | None = None) -> None:
    """Set a layer's bias, or its first ``count`` values, to a constant."""
    assert layer.bias is not None
    nn.init.constant_(layer.bias[:count], value)


class FrameNorm(nn.Module):
    """Layer norm of each frame over its features; it never mixes frames.

    Shape: (B, D, T) -> (B, D, T).
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        normed = functional.layer_norm(
            x.transpose(1, 2).float(), self.weight.shape, self.weight, self.bias, self.eps
        )
        return normed.transpose(1, 2)


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution and a pointwise MLP around a residual (Liu et al. 2022, in 1-D).

    Shape: (B, D, T) -> (B, D, T).
    """

    def __init__(self, dim: int, kernel_size: int, lookahead: int, expansion: int = 3) -> None:
        super().__init__()
        self.depthwise = ContextConv1d(dim, dim, kernel_size, lookahead, groups=dim)
        self.norm = FrameNorm(dim)
        self.expand = nn.Conv1d(dim, dim * expansion, 1)
        self.reduce = nn.Conv1d(dim * expansion, dim, 1)
        self.scale = nn.Parameter(torch.full((dim, 1), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.gelu(self.expand(self.norm(self.depthwise(x))))
        return x + self.scale * self.reduce(hidden)


class LocalAttention(nn.Module):
    """Attention from each frame to the frames t - lookback .. t + lookahead, in blocks.

    The mask depends on distance alone, so the result does not depend on where blocks fall; memory
    grows linearly with T. A learned bias for every head and distance stands for position.

    Shape: (B, D, T) -> (B, D, T).
    """

    distance: Tensor
    outside: Tensor

    def __init__(self, dim: int, heads: int, lookback: int, lookahead: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = dim // heads
        self.block = lookback
        self.lookahead = lookahead
        self.query_key_value = nn.Conv1d(dim, 3 * dim, 1)
        self.project = nn.Conv1d(dim, dim, 1)
        self.distance_bias = nn.Parameter(torch.zeros(heads, lookback + lookahead + 1))
        query = torch.arange(lookback)[:, None]
        key = torch.arange(2 * lookback + lookahead)[None, :] - lookback
        distance = key - query + lookback
        inside = (distance >= 0) & (distance <= lookback + lookahead)
        self.register_buffer("distance", distance.clamp(0, lookback + lookahead), persistent=False)
        self.register_buffer("outside", torch.where(inside, 0.0, -1e4).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, dim, frames = x.shape
        block, ahead = self.block, self.lookahead
        blocks = (frames + block - 1) // block
        real = torch.ones_like(x[:, :1])
        tail = blocks * block - frames
        stacked = torch.cat([self.query_key_value(x).to(x.dtype), real], 1)
        stacked = functional.pad(stacked, (block, tail + block))
        stacked = stacked.view(batch, 3 * dim + 1, blocks + 2, block)
        query = stacked[:, :dim, 1:-1]
        context = torch.cat(
            [stacked[:, dim:, :-2], stacked[:, dim:, 1:-1], stacked[:, dim:, 2:, :ahead]], 3
        )
        key, value, real = context[:, :dim], context[:, dim : 2 * dim], context[:, 2 * dim :]
        split = (batch, self.heads, self.head_dim, blocks, -1)
        query = query.reshape(split).permute(0, 1, 3, 4, 2)
        key = key.reshape(split).permute(0, 1, 3, 2, 4)
        value = value.reshape(split).permute(0, 1, 3, 4, 2)
        scores = query @ key / math.sqrt(self.head_dim)
        position = self.distance_bias[:, self.distance] + self.outside
        absent = (real - 1.0).unsqueeze(3) * 1e4
        scores = scores + position[None, :, None] + absent
        mixed = torch.softmax(scores.float(), -1).to(value.dtype) @ value
        mixed = mixed.permute(0, 1, 4, 2, 3).reshape(batch, dim, blocks * block)
        return self.project(mixed[:, :, :frames])


class TransformerLayer(nn.Module):
    """Local attention and a GELU MLP, each behind a frame norm and around a residual.

    Shape: (B, D, T) -> (B, D, T).
    """

    def __init__(self, dim: int, heads: int, lookback: int, lookahead: int) -> None:
        super().__init__()
        self.attention_norm = FrameNorm(dim)
        self.attention = LocalAttention(dim, heads, lookback, lookahead)
        self.mlp_norm = FrameNorm(dim)
        self.expand = nn.Conv1d(dim, 4 * dim, 1)
        self.reduce = nn.Conv1d(4 * dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.reduce(functional.gelu(self.expand(self.mlp_norm(x))))
