"""Scores of one output: distances to a known truth, and likeness to the two sources.

The two distances are levels-matched: the output is first scaled to the truth's RMS. With A the
output's magnitude spectrogram, B the truth's, and F a floor under both, relative to the truth's
largest value, so that what is inaudible beside the truth does not count:

    log-STFT distance = mean over resolutions n of
                        mean over bins and frames of | ln max(A_n, F_n) - ln max(B_n, F_n) |
    mel distance      = mean over bands and frames of | log10 max(a, f) - log10 max(b, f) |

with n = 512, 1024, 2048 samples (periodic Hann window, hop n / 4, centred, zeros beyond the ends),
and a, b = sqrt(mel filters x power) over 128 Slaney mel bands from 2048 points, hop 512. Both are
amplitudes: one unit of the mel distance is 20 dB, one of the log-STFT distance 8.7 dB. The floors
are f = max(b) x 10 ** (MEL_FLOOR_DB / 20) and F_n = max(B_n) x 10 ** (STFT_FLOOR_DB / 20); the
second is lower because a bin holds less of a noise than a band does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from creative_mix.evaluation.features import Features, to_mono

MEL_FLOOR_DB = -80.0
STFT_FLOOR_DB = -100.0
STFT_LENGTHS = (512, 1024, 2048)
GATE_DB = -50.0
_TINY = 1e-12

Audio = NDArray[np.floating]


def _log_distance(
    found: NDArray[np.float32], wanted: NDArray[np.float32], floor_db: float
) -> float:
    """The mean absolute difference of natural logarithms above a floor relative to `wanted`."""
    floor = max(float(wanted.max()) * 10 ** (floor_db / 20), _TINY)
    return float(
        np.mean(np.abs(np.log(np.maximum(found, floor)) - np.log(np.maximum(wanted, floor))))
    )


def mel_distance(output: Features, truth: Features, floor_db: float = MEL_FLOOR_DB) -> float:
    """The mel distance of the module's docstring, 0 for the truth itself at any level."""
    gain = _level_gain(output, truth)
    found, wanted = np.sqrt(output.mel_power) * np.float32(gain), np.sqrt(truth.mel_power)
    return _log_distance(found, wanted, floor_db) / float(np.log(10))


def log_stft_distance(output: Features, truth: Features, floor_db: float = STFT_FLOOR_DB) -> float:
    """The log-STFT distance of the module's docstring, 0 for the truth itself at any level."""
    gain = np.float32(_level_gain(output, truth))
    distances = [
        _log_distance(output.magnitude(length) * gain, truth.magnitude(length), floor_db)
        for length in STFT_LENGTHS
    ]
    return float(np.mean(distances))


def _level_gain(output: Features, truth: Features) -> float:
    return truth.rms / output.rms if output.rms > 0 else 1.0


def chroma_cosine(output: Features, reference: Features) -> float:
    """The mean cosine of the two chromas over the frames in which both sound.

    A frame sounds when it is within 50 dB of its signal's loudest frame. nan where no frame does.
    """
    sounding = (output.frame_level_db > GATE_DB) & (reference.frame_level_db > GATE_DB)
    if not np.any(sounding) or not output.rms or not reference.rms:
        return float("nan")
    cosine = np.sum(output.chroma * reference.chroma, axis=0)
    return float(np.mean(cosine[sounding]))


def mfcc_distance(output: Features, reference: Features) -> float:
    """The distance of the two mean MFCC vectors, the level's coefficient left out."""
    return float(np.linalg.norm(output.mfcc.mean(axis=1) - reference.mfcc.mean(axis=1)))


def envelope_correlation(output: Features, drums: Features) -> float:
    """Pearson's correlation of the two onset envelopes, 0 for a flat one."""
    a = output.onset_envelope - output.onset_envelope.mean()
    b = drums.onset_envelope - drums.onset_envelope.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 0 else 0.0


def drum_leak(output: Features, drums: Features) -> float:
    """The share of the output's energy that the drums' waveform explains, band by band.

    In every frequency bin one complex factor over all frames scales the drums to explain as much
    as it can of the output. Unrelated sounds score not 0 but about one over the number of
    independent frames: hence the score of mismatched drums beside it.
    """
    frames = min(output.spectrum.shape[1], drums.spectrum.shape[1])
    out, source = output.spectrum[:, :frames], drums.spectrum[:, :frames]
    inner = np.abs(np.sum(out * source.conj(), axis=1)) ** 2
    power = np.sum(drums.power[:, :frames], axis=1)
    total = float(np.sum(output.power[:, :frames], dtype=np.float64))
    if total <= 0:
        return 0.0
    audible = power > float(power.max()) * 1e-12
    return float(np.sum(inner[audible] / power[audible], dtype=np.float64)) / total


def linear_mix_share(output: Audio, drums: Audio, piano: Audio) -> float:
    """The share of the output's energy that one gain on each input's waveform explains.

    1 for any mix of the two, 0 for silence.

    Shape:
        each (N,) or (C, N), of the same N.
    """
    out = to_mono(output).astype(np.float64)
    inputs = np.stack([to_mono(drums), to_mono(piano)]).astype(np.float64)
    total = float(out @ out)
    if total <= 0:
        return 0.0
    gram, projected = inputs @ inputs.T, inputs @ out
    explained = float(projected @ np.linalg.pinv(gram, rcond=1e-10) @ projected)
    return min(1.0, max(0.0, explained / total))
