"""What the scores look at: spectra, mel bands, chroma and onsets of a signal, each made once."""

from __future__ import annotations

from functools import cached_property, lru_cache

import librosa
import numpy as np
from numpy.typing import NDArray

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE
from creative_mix.evaluation.onsets import detect_onsets, onset_envelope, refine_onsets

FloatArray = NDArray[np.float64]

FFT_LENGTH = 2048
CHROMA_FFT_LENGTH = 4096
MEL_BANDS = 128
MFCC_COUNT = 20
_TINY = 1e-10


def to_mono(audio: NDArray[np.floating]) -> NDArray[np.float32]:
    """The mean of the channels.

    Args:
        audio: samples, one or more channels.

    Shape:
        audio: (C, N) or (N,); returns (N,).
    """
    audio = np.asarray(audio, dtype=np.float32)
    return audio if audio.ndim == 1 else audio.mean(axis=0, dtype=np.float32)


def magnitude(audio: NDArray[np.float32], fft_length: int, hop_length: int) -> NDArray[np.float32]:
    """The magnitude spectrogram: periodic Hann window, centred frames, zeros beyond both ends.

    Shape:
        audio: (N,); returns (fft_length / 2 + 1, 1 + N // hop_length).
    """
    spectrum = librosa.stft(
        audio, n_fft=fft_length, hop_length=hop_length, window="hann", pad_mode="constant"
    )
    return np.abs(spectrum).astype(np.float32)


@lru_cache(maxsize=4)
def mel_matrix(sample_rate: int, fft_length: int, bands: int) -> NDArray[np.float32]:
    """The Slaney mel filters (area-normalised, 0 Hz to half the rate), to act on power spectra.

    Shape:
        returns (bands, fft_length / 2 + 1).
    """
    return np.asarray(librosa.filters.mel(sr=sample_rate, n_fft=fft_length, n_mels=bands))


@lru_cache(maxsize=2)
def _chroma_matrix(sample_rate: int) -> NDArray[np.float32]:
    return np.asarray(librosa.filters.chroma(sr=sample_rate, n_fft=CHROMA_FFT_LENGTH, tuning=0.0))


class Features:
    """One signal and all that is measured of it; each property is computed at its first use.

    Args:
        audio: samples, any number of channels; the mean of the channels is measured.
        sample_rate: in Hz.

    Shape:
        audio: (C, N) or (N,).
    """

    def __init__(
        self, audio: NDArray[np.floating], sample_rate: int = SAMPLE_RATE, hop: int = HOP_LENGTH
    ) -> None:
        self.audio = to_mono(audio)
        self.sample_rate = sample_rate
        self.hop_length = hop
        self._magnitudes: dict[int, NDArray[np.float32]] = {}

    @property
    def duration_s(self) -> float:
        """The length in seconds."""
        return len(self.audio) / self.sample_rate

    @cached_property
    def rms(self) -> float:
        """The root mean square of the samples."""
        return float(np.sqrt(np.mean(np.square(self.audio, dtype=np.float64))))

    def magnitude(self, fft_length: int) -> NDArray[np.float32]:
        """The magnitude spectrogram with a hop of a quarter window, kept for the next call."""
        if fft_length not in self._magnitudes:
            self._magnitudes[fft_length] = magnitude(self.audio, fft_length, fft_length // 4)
        return self._magnitudes[fft_length]

    @cached_property
    def spectrum(self) -> NDArray[np.complex64]:
        """The complex short-time spectrum, (FFT_LENGTH / 2 + 1, T)."""
        return np.asarray(
            librosa.stft(
                self.audio, n_fft=FFT_LENGTH, hop_length=self.hop_length, pad_mode="constant"
            )
        )

    @cached_property
    def power(self) -> NDArray[np.float32]:
        """The power of `spectrum`."""
        return (np.abs(self.spectrum) ** 2).astype(np.float32)

    @cached_property
    def mel_power(self) -> NDArray[np.float32]:
        """The power in MEL_BANDS mel bands, (MEL_BANDS, T)."""
        return mel_matrix(self.sample_rate, FFT_LENGTH, MEL_BANDS) @ self.power

    @cached_property
    def frame_level_db(self) -> FloatArray:
        """The level of every frame in dB beside the loudest frame, (T,)."""
        energy = self.power.sum(axis=0, dtype=np.float64)
        return 10 * np.log10(np.maximum(energy, _TINY) / max(float(energy.max()), _TINY))

    @cached_property
    def mfcc(self) -> FloatArray:
        """MFCC without the level's own coefficient, (MFCC_COUNT - 1, T)."""
        level = librosa.power_to_db(self.mel_power, ref=np.max)
        return np.asarray(librosa.feature.mfcc(S=level, n_mfcc=MFCC_COUNT))[1:]

    @cached_property
    def chroma(self) -> FloatArray:
        """The twelve pitch classes, unit length in every frame, (12, T)."""
        spectrum = magnitude(self.audio, CHROMA_FFT_LENGTH, self.hop_length)
        chroma = _chroma_matrix(self.sample_rate) @ spectrum
        length = np.linalg.norm(chroma, axis=0, keepdims=True)
        return np.asarray(chroma / np.maximum(length, _TINY), dtype=np.float64)

    @cached_property
    def onset_envelope(self) -> FloatArray:
        """The onset strength of every frame, (T,)."""
        return onset_envelope(self.mel_power, self.sample_rate, self.hop_length)

    @cached_property
    def onsets_s(self) -> FloatArray:
        """The onsets of librosa's detector in seconds, in steps of one hop."""
        return detect_onsets(self.onset_envelope, self.sample_rate, self.hop_length)

    @cached_property
    def refined_onsets_s(self) -> FloatArray:
        """The same onsets, each moved to the steepest rise near it, in steps of 32 samples."""
        return refine_onsets(self.audio, self.onsets_s, self.sample_rate)
