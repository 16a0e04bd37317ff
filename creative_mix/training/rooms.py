"""What happens to a sound on its way to us: rooms, equalisers, dynamics, lossy coders."""

from __future__ import annotations

import io

import numpy as np
import scipy.fft
import scipy.signal
import soundfile as sf
from numpy.typing import NDArray

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training.draws import log_uniform

Audio = NDArray[np.float32]
Rng = np.random.Generator

CODER_QUALITY = (0.4, 0.95)
"""Best and worst quality of MP3 as ``code`` takes it: about 170 and 60 kbit/s in stereo."""


def draw_response(rng: Rng, dry_share: float = 0.45) -> Audio:
    """An impulse response of a room and an equaliser, drawn at random; direct sound at sample 0.

    Args:
        rng: what decides.
        dry_share: share of responses with no room at all.

    Shape:
        (2, taps).
    """
    sections = draw_equaliser(rng)
    if rng.random() < dry_share:
        response = np.zeros((2, 4096), np.float32)
        response[:, 0] = 1.0
    else:
        response = draw_room(rng)
    return scipy.signal.sosfilt(sections, response, axis=-1).astype(np.float32)


def draw_room(rng: Rng) -> Audio:
    """A room's impulse response: direct sound, early reflections, a tail that decays.

    The tail is noise whose high frequencies die sooner; reverberation time 0.15..2.2 s, the tail's
    energy -26..-6 dB against the direct sound.

    Shape:
        (2, taps).
    """
    rt60_s = log_uniform(rng, 0.15, 2.2)
    wet_db = float(rng.uniform(-26.0, -6.0))
    taps = int(min(rt60_s, 1.6) * SAMPLE_RATE)
    time_s = np.arange(taps, dtype=np.float32) / np.float32(SAMPLE_RATE)
    predelay = int(rng.uniform(0.002, 0.03) * SAMPLE_RATE)
    noise = rng.standard_normal((2, taps), dtype=np.float32)
    damping = float(rng.uniform(0.4, 0.93))
    dark = scipy.signal.lfilter([1.0 - damping], [1.0, -damping], noise, axis=-1)
    dark = dark.astype(np.float32)
    slow = np.exp(np.float32(-6.9 / rt60_s) * time_s)
    quick = np.exp(np.float32(-6.9 / (0.4 * rt60_s)) * time_s)
    tail = dark * slow + 0.4 * (noise - dark) * quick
    tail[:, : min(predelay, taps)] = 0.0
    for _ in range(int(rng.integers(3, 9))):
        at = int(rng.uniform(0.003, 0.06) * SAMPLE_RATE)
        if at < taps:
            tail[:, at] += rng.uniform(-3.0, 3.0, 2).astype(np.float32) * slow[at]
    energy = float(np.sqrt(np.mean(np.sum(tail.astype(np.float64) ** 2, axis=-1))))
    tail *= np.float32(10.0 ** (wet_db / 20.0) / max(energy, 1e-9))
    tail[:, 0] += 1.0
    fade = min(taps, 2048)
    tail[:, -fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return tail


def draw_equaliser(rng: Rng) -> NDArray[np.float64]:
    """Second-order sections of up to two peaks, two shelves and, seldom, a low-pass."""
    sections = []
    for _ in range(int(rng.integers(0, 3))):
        frequency = log_uniform(rng, 120.0, 8000.0)
        sections.append(peak_section(frequency, float(rng.normal(0.0, 3.5)), rng.uniform(0.5, 2.0)))
    if rng.random() < 0.5:
        sections.append(shelf_section(rng.uniform(80.0, 300.0), float(rng.normal(0.0, 3.5)), False))
    if rng.random() < 0.5:
        frequency = float(rng.uniform(2500.0, 9000.0))
        sections.append(shelf_section(frequency, float(rng.normal(-1.0, 4.0)), True))
    if rng.random() < 0.08:
        cut = scipy.signal.butter(2, rng.uniform(3500.0, 12000.0), fs=SAMPLE_RATE, output="sos")
        sections.append(cut[0])
    if not sections:
        return np.asarray([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]])
    return np.asarray(sections, dtype=np.float64)


def peak_section(frequency: float, gain_db: float, quality: float) -> NDArray[np.float64]:
    """A peaking equaliser's section, after R. Bristow-Johnson's audio EQ cookbook."""
    amplitude = 10.0 ** (gain_db / 40.0)
    omega = 2.0 * np.pi * frequency / SAMPLE_RATE
    alpha = np.sin(omega) / (2.0 * quality)
    cosine = -2.0 * np.cos(omega)
    b = np.asarray([1.0 + alpha * amplitude, cosine, 1.0 - alpha * amplitude])
    a = np.asarray([1.0 + alpha / amplitude, cosine, 1.0 - alpha / amplitude])
    return np.concatenate([b, a]) / a[0]


def shelf_section(frequency: float, gain_db: float, high: bool) -> NDArray[np.float64]:
    """A low or high shelf's section of slope 1, after the same cookbook."""
    amplitude = 10.0 ** (gain_db / 40.0)
    omega = 2.0 * np.pi * frequency / SAMPLE_RATE
    cosine = np.cos(omega) * (-1.0 if high else 1.0)
    root = 2.0 * np.sqrt(amplitude) * np.sin(omega) / np.sqrt(2.0)
    plus, minus = amplitude + 1.0, amplitude - 1.0
    sign = -1.0 if high else 1.0
    b = amplitude * np.asarray(
        [
            plus - minus * cosine + root,
            sign * 2.0 * (minus - plus * cosine),
            plus - minus * cosine - root,
        ]
    )
    a = np.asarray(
        [
            plus + minus * cosine + root,
            sign * -2.0 * (minus + plus * cosine),
            plus + minus * cosine - root,
        ]
    )
    return np.concatenate([b, a]) / a[0]


def convolve(audio: Audio, response: Audio) -> Audio:
    """Audio through a response, as long as the audio.

    Shape:
        audio (2, samples), response (2, taps) -> (2, samples).
    """
    samples = audio.shape[1]
    size = scipy.fft.next_fast_len(samples + response.shape[1] - 1, real=True)
    spectrum = scipy.fft.rfft(audio, size) * scipy.fft.rfft(response, size)
    return np.ascontiguousarray(scipy.fft.irfft(spectrum, size)[:, :samples], dtype=np.float32)


def compress(audio: Audio, threshold_db: float, ratio: float, release_s: float) -> Audio:
    """Audio with its loud parts held down, both channels alike.

    Args:
        threshold_db: level above which it acts, dB under the audio's own peak.
        ratio: how many dB above it become one.
        release_s: how slowly it lets go, seconds.
    """
    hop = 64
    frames = -(-audio.shape[1] // hop)
    level = np.zeros(frames * hop, np.float32)
    np.max(np.abs(audio), axis=0, out=level[: audio.shape[1]])
    blocks = level.reshape(frames, hop).max(axis=1)
    peak = float(blocks.max(initial=0.0))
    if peak <= 0.0:
        return audio
    over_db = 20.0 * np.log10(np.maximum(blocks / peak, 1e-5)) - threshold_db
    wanted = np.maximum(over_db, 0.0) * (1.0 - 1.0 / ratio)
    keep = float(np.exp(-hop / (release_s * SAMPLE_RATE)))
    smooth = scipy.signal.lfilter([1.0 - keep], [1.0, -keep], wanted)
    smooth = np.maximum(smooth, wanted * 0.7)
    gain = (10.0 ** (-smooth / 20.0)).astype(np.float32)
    places = np.arange(audio.shape[1], dtype=np.float32)
    return audio * np.interp(places, np.arange(frames) * hop, gain).astype(np.float32)


def saturate(audio: Audio, drive: float) -> Audio:
    """Audio driven into a soft limiter, its peak kept. `drive` 0 leaves it, 3 is strong."""
    peak = float(np.max(np.abs(audio))) if audio.size else 0.0
    if peak <= 0.0 or drive <= 0.0:
        return audio
    factor = np.float32(drive / peak)
    return np.tanh(audio * factor) * np.float32(peak / np.tanh(drive))


def make_noise(rng: Rng, samples: int, level_db: float) -> Audio:
    """Stereo noise with more low than high frequencies, of some RMS level.

    Shape:
        (2, samples).
    """
    white = rng.standard_normal((2, samples), dtype=np.float32)
    colour = float(rng.uniform(0.0, 0.95))
    noise = scipy.signal.lfilter([1.0], [1.0, -colour], white, axis=-1).astype(np.float32)
    noise *= np.float32(np.sqrt(1.0 - colour**2) * 10.0 ** (level_db / 20.0))
    return noise


def make_bleed(rng: Rng, samples: int) -> Audio:
    """Other instruments heard faintly in a drum recording: a bass line or held chords.

    Shape:
        (2, samples), RMS 1.
    """
    out = np.zeros(samples, np.float32)
    root = int(rng.integers(28, 40))
    step = int(rng.uniform(0.25, 2.0) * SAMPLE_RATE)
    bass = rng.random() < 0.6
    scale = (0, 3, 5, 7, 10, 12)
    for begin in range(0, samples, step):
        count = min(step, samples - begin)
        time_s = np.arange(count, dtype=np.float32) / np.float32(SAMPLE_RATE)
        above = (0,) if bass else (24, 28 - int(rng.integers(2)), 31)
        shift = int(rng.choice(scale))
        sharp = float(rng.uniform(0.8, 1.6))
        fade = np.minimum(1.0, time_s / (0.004 if bass else 0.08)).astype(np.float32)
        fade *= np.minimum(1.0, (count / SAMPLE_RATE - time_s) / 0.01).astype(np.float32)
        if bass:
            fade *= np.exp(-2.0 * time_s)
        for tone in above:
            pitch_hz = 440.0 * 2.0 ** ((root + shift + tone - 69) / 12.0)
            for harmonic in range(1, 6):
                phase = np.float32(2.0 * np.pi * pitch_hz * harmonic) * time_s
                out[begin : begin + count] += np.sin(phase) * fade / np.float32(harmonic**sharp)
    rms = float(np.sqrt(np.mean(out.astype(np.float64) ** 2)))
    return np.repeat(out[None] / np.float32(max(rms, 1e-9)), 2, axis=0)


def narrow(audio: Audio, width: float) -> Audio:
    """Stereo audio with its sides scaled: 0 is mono, 1 as it is."""
    if width >= 1.0:
        return audio
    middle = np.mean(audio, axis=0, keepdims=True, dtype=np.float32)
    return middle + np.float32(width) * (audio - middle)


def rms_db(audio: Audio) -> float:
    """Root mean square level, dB against full scale; -200 for silence."""
    power = float(np.mean(np.square(audio, dtype=np.float32))) if audio.size else 0.0
    return 10.0 * float(np.log10(max(power, 1e-20)))


def code(audio: Audio, quality: float) -> Audio:
    """Audio as MP3 of variable rate leaves it, not a sample later.

    Args:
        audio: stereo.
        quality: 0 for the best, 1 for the worst.

    Shape:
        (2, samples) -> (2, samples).
    """
    coded = io.BytesIO()
    sf.write(coded, audio.T, SAMPLE_RATE, format="MP3", compression_level=quality)
    coded.seek(0)
    back = sf.read(coded, dtype="float32", always_2d=True)[0].T[:, : audio.shape[1]]
    return np.pad(back, ((0, 0), (0, audio.shape[1] - back.shape[1])))
