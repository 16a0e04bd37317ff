"""The loss: distance to the known truth, and what gives the components their names."""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE
from creative_mix.model.rhythm import Onsets, mix_onsets
from creative_mix.model.system import Result
from creative_mix.training.config import LossWeights
from creative_mix.training.dataset import Batch, OnsetBatch
from creative_mix.training.probes import ENVELOPE_BANDS, Probes, Strangers

MEL_FLOOR, STFT_FLOOR = 1e-4, 1e-5
"""Floors under magnitudes, relative to the truth's largest (-80 and -100 dB)."""
QUIET_POWER = 1e-8
"""Mean power under which a crop is as good as silent, and no level is matched."""
LEVEL_SLACK = 2.0
"""Factor by which a crop's level may be off before the logarithmic terms say so."""
STFT_LENGTHS = (512, 1024, 2048)
OWN_STRIKE = 0.5
"""Mixed probability that a bias of 3 to target_rhythm should give the piano's own onsets."""


class SpectralLoss(nn.Module):
    """Distances of two signals in log-mel, log-magnitude, linear magnitude, onsets and chroma.

    The first two are the measures of ``creative_mix.evaluation.scores``, levels matched (see
    ``level_gain``). A median hedges: unmatched, loud sounds of which the model is not sure come out
    too quiet, and everything else too loud beside them. The third is of the levels as they are.
    """

    mel: Tensor
    fold: Tensor

    def __init__(self) -> None:
        super().__init__()
        mel = torchaudio.functional.melscale_fbanks(
            1025, 0.0, SAMPLE_RATE / 2, 128, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
        )
        self.register_buffer("mel", mel, persistent=False)
        frequency = torch.arange(1025) * SAMPLE_RATE / 2048
        pitch = 12 * torch.log2(frequency.clamp(min=20.0) / 440.0)
        classes = torch.arange(12)[None, :]
        near = (pitch[:, None] - classes + 6) % 12 - 6
        fold = (
            torch.exp(-0.5 * (near / 0.5) ** 2) * ((frequency > 110) & (frequency < 2500))[:, None]
        )
        self.register_buffer("fold", fold, persistent=False)
        for length in STFT_LENGTHS:
            self.register_buffer(f"window_{length}", torch.hann_window(length), persistent=False)

    def _magnitude(self, audio: Tensor, length: int) -> Tensor:
        # Not torch.stft: under vmap it would go through the examples one by one.
        padded = functional.pad(audio, (length // 2, length // 2))
        frames = padded.unfold(1, length, length // 4) * getattr(self, f"window_{length}")
        spectrum = torch.fft.rfft(frames)
        return torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-12)

    def forward(self, made: Tensor, truth: Tensor, counted: Tensor) -> dict[str, Tensor]:
        """Terms by name.

        Shape: made and truth (B, N); counted (B, T) 0 or 1 a frame of 512 samples.
        """
        terms: dict[str, Tensor] = {
            "log_stft": made.new_zeros(()),
            "convergence": made.new_zeros(()),
        }
        gain = level_gain(made, truth, counted)[:, None, None]
        for length in STFT_LENGTHS:
            a, b = self._magnitude(made, length), self._magnitude(truth, length)
            frames = a.shape[1]
            place = torch.arange(frames, device=made.device) * (length // 4) // HOP_LENGTH
            mask = counted[:, place.clamp(max=counted.shape[1] - 1)].unsqueeze(2)
            floor = b.amax((1, 2), keepdim=True).clamp(min=1e-3) * STFT_FLOOR
            difference = (torch.log(gain * a + floor) - torch.log(b + floor)).abs()
            scale = len(STFT_LENGTHS) * mask.sum().clamp(min=1) * a.shape[2]
            terms["log_stft"] = terms["log_stft"] + (difference * mask).sum() / scale
            linear = ((a - b).abs() * mask).sum((1, 2)) / ((b * mask).sum((1, 2)) + 1e-2 * length)
            terms["convergence"] = terms["convergence"] + linear.mean() / len(STFT_LENGTHS)
            if length == 2048:
                terms |= self._mel_terms(gain * a, b, mask)
        return terms

    def _mel_terms(self, a: Tensor, b: Tensor, mask: Tensor) -> dict[str, Tensor]:
        mel_a, mel_b = torch.sqrt((a**2) @ self.mel), torch.sqrt((b**2) @ self.mel)
        floor = mel_b.amax((1, 2), keepdim=True).clamp(min=1e-4) * MEL_FLOOR
        log_a, log_b = torch.log10(mel_a + floor), torch.log10(mel_b + floor)
        count = mask.sum().clamp(min=1) * log_a.shape[2]
        rise_a = functional.relu(log_a[:, 1:] - log_a[:, :-1])
        rise_b = functional.relu(log_b[:, 1:] - log_b[:, :-1])
        chroma_a, chroma_b = a @ self.fold, b @ self.fold
        sounding = (
            b.sum(2, keepdim=True) > b.sum(2, keepdim=True).amax(1, keepdim=True) * 3e-3
        ) * mask
        cosine = functional.cosine_similarity(chroma_a, chroma_b, 2).unsqueeze(2)
        return {
            "mel": ((log_a - log_b).abs() * mask).sum() / count,
            "onset_envelope": ((rise_a - rise_b).abs() * mask[:, 1:]).sum() / count,
            "chroma": ((1 - cosine) * sounding).sum() / (sounding.sum() + 1),
        }


def level_gain(made: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
    """What brings a crop to the level of its truth, at most LEVEL_SLACK times or its inverse.

    The gradient goes through it.

    Shape: made and truth (B, N); counted (B, T) 0 or 1 a frame of 512 samples -> (B,).

    >>> made, counted = torch.full((1, 512), 0.25), torch.ones(1, 1)
    >>> [round(level_gain(made, factor * made, counted).item(), 3) for factor in (1.5, 9)]
    [1.5, 2.0]
    """
    heard = counted.repeat_interleave(HOP_LENGTH, 1)[:, : truth.shape[1]]
    quiet = QUIET_POWER * heard.sum(1) + QUIET_POWER
    wanted, found = ((audio**2 * heard).sum(1) + quiet for audio in (truth, made))
    return torch.sqrt(wanted / found).clamp(1 / LEVEL_SLACK, LEVEL_SLACK)


def onset_loss(logits: Tensor, targets: OnsetBatch, counted: Tensor) -> Tensor:
    """Cross-entropy of onsets, those present weighing three times those absent."""
    mask = targets.counted * counted.unsqueeze(1)
    weight = mask * (1 + 2 * targets.label)
    loss = functional.binary_cross_entropy_with_logits(
        logits.float(), targets.label, reduction="none"
    )
    return (loss * weight).sum() / (mask.sum() + 1)


def level_loss(level: Tensor, targets: OnsetBatch, counted: Tensor) -> Tensor:
    """Mean error of the levels where there is an onset, in the frames around it too."""
    mask = targets.label * counted.unsqueeze(1)
    return ((level - targets.level).abs() * mask).sum() / (mask.sum() + 1)


def voices_of(pitches: Tensor) -> Tensor:
    """Which of the sounding keys each voice is: (B, 88, T) of 0 and 1 -> (B, V, 88, T).

    >>> voices_of(torch.tensor([1.0, 0, 1, 1])[None, :, None]).squeeze().tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    below = torch.cumsum(pitches, 1) - pitches
    above = pitches.sum(1, keepdim=True) - below - pitches
    between = torch.where(below + above > 1, (below > 0) & (above > 0), above == 0)
    return torch.stack([below == 0, between, above == 0], 1) * pitches.unsqueeze(1)


def time_loss(offset: Tensor, targets: OnsetBatch, counted: Tensor) -> Tensor:
    """Mean error of the regressed times, in frames."""
    mask = targets.timed * counted
    return ((offset - targets.offset).abs() * mask).sum() / (mask.sum() + 1)


def envelope_target(spectra: Tensor) -> Tensor:
    """Spectral envelope in 24 bands, smoothed over about a second, its mean taken away.

    Shape: (B, C, T, 2, F) -> (B, 24, T).
    """
    power = (spectra**2).sum(3).mean(1)
    edges = torch.logspace(1, 10, ENVELOPE_BANDS + 1, base=2.0).round().long()
    bands = torch.stack(
        [
            power[..., lo : max(lo + 1, hi)].mean(2)
            for lo, hi in zip(edges, edges[1:], strict=False)
        ],
        1,
    )
    smooth = functional.avg_pool1d(bands, 65, 1, padding=32, count_include_pad=False)
    level = 0.3 * torch.log(smooth + 1e-6)
    return level - level.mean(1, keepdim=True)


def supervise(
    result: Result, batch: Batch, probes: Probes, strangers: Strangers, novelty: Tensor
) -> dict[str, Tensor]:
    """The terms that need no audio of the output, by name."""
    counted = batch.counted
    strange_hits, strange_pitch = strangers(result.analysis.components)
    strange_pitch = functional.binary_cross_entropy_with_logits(
        strange_pitch.float(), batch.pitches, reduction="none"
    ).mean(1)
    pitch_logits, envelope = probes(result.analysis.components, result.weights)
    pitch = functional.binary_cross_entropy_with_logits(
        pitch_logits.float(), batch.pitches, reduction="none"
    ).mean(1)
    keys = functional.binary_cross_entropy_with_logits(
        result.keys.sounding, batch.pitches, reduction="none"
    ).mean(1)
    ends = functional.binary_cross_entropy_with_logits(
        result.keys.ends, batch.ends, reduction="none"
    ).mean(1)
    begins = functional.binary_cross_entropy_with_logits(
        result.begins, batch.begins, reduction="none"
    ).mean(1)
    at_attacks = batch.piano_onsets.exact.amax(1) * counted
    voices = functional.binary_cross_entropy_with_logits(
        result.keys.voices, voices_of(batch.pitches), reduction="none"
    ).mean((1, 2))
    wanted = envelope_target(result.analysis.piano_spectra)
    drums, piano = batch.drums_onsets, batch.piano_onsets
    known = mix_onsets(
        Onsets(drums.exact, drums.offset, drums.level),
        Onsets(piano.exact, piano.offset, piano.level),
        result.weights[:, 0] / (result.weights[:, 0] + result.weights[:, 3]).clamp(min=1e-12),
    ).probability.clamp(1e-4, 1 - 1e-4)
    own = OWN_STRIKE * (batch.bias[:, 3] / 3).clamp(0, 1)[:, None, None]
    # Where both strike, the drums' hit needs no more of the selector than a lone one.
    share_target = torch.maximum(drums.exact * (1 - own), own * piano.exact)
    struck = torch.maximum(drums.exact, piano.exact) * counted.unsqueeze(1)
    share = functional.binary_cross_entropy(known.float(), share_target, reduction="none")
    aspects = result.weights[:, :3] + result.weights[:, 3:]
    balance = -torch.log(3 * aspects + 1e-6).mean(1)
    plain = (batch.bias.abs().sum(1) == 0).float()[:, None] * counted
    return {
        "drum_onsets": onset_loss(result.drum_logits, batch.drums_onsets, counted),
        "piano_onsets": onset_loss(result.piano_logits, batch.piano_onsets, counted),
        "onset_time": time_loss(result.drum_offset, batch.drums_onsets, counted)
        + time_loss(result.piano_offset, batch.piano_onsets, counted),
        "level": level_loss(result.drum_level, batch.drums_onsets, counted),
        "permit": onset_loss(result.permit_logits, batch.permitted(), counted),
        "rhythm_share": (share * struck).sum() / (struck.sum() + 1),
        "pitch": (pitch * counted).sum() / (counted.sum() + 1),
        "keys": (keys * counted).sum() / (counted.sum() + 1),
        "ends": (ends * counted).sum() / (counted.sum() + 1),
        "begins": (begins * at_attacks).sum() / (at_attacks.sum() + 1),
        "voices": (voices * counted).sum() / (counted.sum() + 1),
        "timbre": ((envelope - wanted).abs().mean(1) * counted).sum() / (counted.sum() + 1),
        "balance": (balance * plain).sum() / (plain.sum() + 1),
        "strange_hits": 0.5
        * sum(onset_loss(half, batch.drums_onsets, counted) for half in strange_hits.chunk(2)),
        "strange_pitch": (strange_pitch * counted).sum() / (counted.sum() + 1),
        "novelty": novelty,
    }


def total_loss(terms: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """The weighted sum of all terms."""
    return torch.stack(
        [getattr(weights, name) * value.float() for name, value in terms.items()]
    ).sum()
