"""Rates, levels, lengths and tempo, on signals of which the answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from recordings import make_drums, make_piano

from creative_mix.audio import BLOCK_FRAMES, FloatArray
from creative_mix.audio.files import AudioReader
from creative_mix.audio.fit import FittedPiano, stretch_blocks
from creative_mix.audio.levels import LevelMeter, to_gain
from creative_mix.audio.output import AudioWriter, choose_subtype
from creative_mix.audio.rates import resample_blocks, resampled_length
from creative_mix.audio.store import IN_MEMORY_BYTES, SampleStore
from creative_mix.audio.tempo import Tempo, estimate_tempo, tempi_differ
from creative_mix.errors import AudioFileError, OptionError, RuntimeMissingError

RATE = 44100


def store_of(samples: FloatArray) -> SampleStore:
    store = SampleStore(samples.shape[0])
    store.append(samples)
    return store


def tone(frequency_hz: float, rate: int, duration_s: float) -> FloatArray:
    time = np.arange(round(rate * duration_s)) / rate
    return np.sin(2 * np.pi * frequency_hz * time)[None].astype(np.float32)


class TestStore:
    def test_reads_back_what_was_appended(self) -> None:
        samples = np.random.default_rng(0).standard_normal((2, 5000)).astype(np.float32)
        store = SampleStore(2)
        for start in range(0, 5000, 700):
            store.append(samples[:, start : start + 700])
        assert store.length == 5000
        np.testing.assert_array_equal(store.read(690, 2100), samples[:, 690:2100])
        assert store.read(4990, 6000).shape == (2, 10)
        np.testing.assert_array_equal(np.concatenate(list(store.blocks()), axis=1), samples)

    def test_goes_to_disk_when_large(self) -> None:
        with SampleStore(1) as store:
            count = IN_MEMORY_BYTES // 4 + 10
            store.append(np.arange(count, dtype=np.float32)[None])
            store.append(np.ones((1, 3), np.float32))
            assert store._file._rolled
            np.testing.assert_array_equal(store.read(count - 1, count + 3), [[count - 1, 1, 1, 1]])


class TestRates:
    @pytest.mark.parametrize("rate_in,rate_out", [(8000, 44100), (44100, 48000), (192000, 44100)])
    @pytest.mark.parametrize("frames", [1, 999, 100_003])
    def test_length_is_exact(self, rate_in: int, rate_out: int, frames: int) -> None:
        samples = np.ones((2, frames), np.float32)
        blocks = (samples[:, at : at + 4096] for at in range(0, frames, 4096))
        made = np.concatenate(list(resample_blocks(blocks, rate_in, rate_out)), axis=1)
        assert made.shape == (2, round(frames * rate_out / rate_in))
        assert made.shape[1] == resampled_length(frames, rate_in, rate_out)

    def test_keeps_a_tone_in_place(self) -> None:
        blocks = np.array_split(tone(440, 48000, 1.0), 7, axis=1)
        made = np.concatenate(list(resample_blocks(blocks, 48000, RATE)), axis=1)
        np.testing.assert_allclose(made[0, 500:-500], tone(440, RATE, 1.0)[0, 500:-500], atol=1e-3)

    @pytest.mark.parametrize("length", [900, 1000, 1100])
    def test_asked_for_length(self, length: int) -> None:
        made = list(resample_blocks([np.ones((1, 1000), np.float32)], RATE, RATE, length))
        assert sum(block.shape[1] for block in made) == length


class TestLevels:
    @pytest.mark.parametrize("rate", [8000, 44100, 48000, 192000])
    def test_reference_tone(self, rate: int) -> None:
        """BS.1770: 997 Hz at full scale in one channel reads -3.01 LUFS."""
        meter = LevelMeter(rate)
        for block in np.array_split(tone(997, rate, 3.0), 11, axis=1):
            meter.add(block)
        assert meter.loudness_lufs == pytest.approx(-3.01, abs=0.05)
        assert meter.peak == pytest.approx(1.0, abs=1e-2)

    def test_low_frequencies_count_less(self) -> None:
        loudness = []
        for frequency in (30.0, 1000.0, 8000.0):
            meter = LevelMeter(RATE)
            meter.add(tone(frequency, RATE, 2.0))
            loudness.append(meter.loudness_lufs)
        assert loudness[0] < loudness[1] - 6 < loudness[2] - 8

    def test_pauses_are_gated(self) -> None:
        samples = tone(997, RATE, 8.0)
        samples[:, 4 * RATE :] = 0
        meter = LevelMeter(RATE)
        meter.add(samples)
        assert meter.loudness_lufs == pytest.approx(-3.01, abs=0.2)

    def test_short_signals_have_a_level(self) -> None:
        meter = LevelMeter(RATE)
        meter.add(tone(997, RATE, 0.25))
        assert meter.loudness_lufs == pytest.approx(-3.01, abs=0.5)

    def test_silence_is_minus_infinity(self) -> None:
        meter = LevelMeter(RATE)
        meter.add(np.zeros((2, RATE), np.float32))
        assert meter.loudness_lufs == -np.inf
        assert LevelMeter(RATE).loudness_lufs == -np.inf


class TestFit:
    def test_a_loop_keeps_its_period(self) -> None:
        piano = make_piano(RATE, 0.5)
        period = piano.shape[1]
        fitted = FittedPiano(store_of(piano), 3 * period, "loop", RATE)
        out = fitted.read(0, 3 * period)
        np.testing.assert_array_equal(out[:, :period], piano)
        np.testing.assert_array_equal(out[:, period + 300 : 2 * period], piano[:, 300:])
        np.testing.assert_array_equal(out[:, period : 2 * period], out[:, 2 * period :])
        assert fitted.rounds == 3

    def test_the_seam_does_not_jump(self) -> None:
        piano = tone(313.7, RATE, 0.2537)
        out = FittedPiano(store_of(piano), 40000, "loop", RATE).read(0, 40000)
        assert np.abs(np.diff(out[0])).max() < 1.5 * np.abs(np.diff(piano[0])).max()

    def test_without_a_loop_it_fades_into_silence(self) -> None:
        piano = tone(313.7, RATE, 0.2537)
        out = FittedPiano(store_of(piano), 40000, "none", RATE).read(0, 40000)
        assert not out[:, piano.shape[1] :].any()
        assert np.abs(np.diff(out[0])).max() < 1.1 * np.abs(np.diff(piano[0])).max()

    @pytest.mark.parametrize("fit", ["loop", "none"])
    def test_any_stretch_equals_the_whole(self, fit: str) -> None:
        fitted = FittedPiano(store_of(make_piano(RATE, 0.1)), 20000, fit, RATE)  # type: ignore[arg-type]
        whole = fitted.read(0, 20000)
        random = np.random.default_rng(2)
        for _ in range(50):
            start, stop = np.sort(random.integers(0, 20001, 2))
            np.testing.assert_array_equal(fitted.read(start, stop), whole[:, start:stop])

    def test_a_longer_piano_is_cut(self) -> None:
        piano = make_piano(RATE, 0.5)
        out = FittedPiano(store_of(piano), 10000, "none", RATE).read(0, 10000)
        np.testing.assert_array_equal(out, piano[:, :10000])

    @pytest.mark.parametrize("factor", [0.5, 1.7])
    def test_stretch_keeps_pitch_and_joins_its_pieces(
        self, factor: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("python_stretch")
        monkeypatch.setattr("creative_mix.audio.fit._STRETCH_PIECE_S", 1.3)
        samples = tone(440, RATE, 4.0)
        length = int(samples.shape[1] * factor)
        made = np.concatenate(list(stretch_blocks(store_of(samples), length, RATE)), axis=1)
        assert made.shape == (1, length)
        inner = made[0, RATE // 2 : -RATE // 2]
        assert np.abs(np.diff(inner)).max() < 1.5 * np.abs(np.diff(samples[0])).max()
        spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner))))
        assert np.argmax(spectrum) * RATE / len(inner) == pytest.approx(440, abs=2)

    def test_stretch_refuses_too_much(self) -> None:
        with pytest.raises(OptionError, match="5.00 times"):
            list(stretch_blocks(store_of(tone(440, RATE, 0.1)), 22050, RATE))

    def test_stretch_names_its_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "python_stretch", None)
        with pytest.raises(RuntimeMissingError, match=r"creative-mix\[stretch\]"):
            list(stretch_blocks(store_of(tone(440, RATE, 0.1)), 8820, RATE))


class TestTempo:
    @pytest.mark.parametrize("bpm", [72.0, 96.0, 120.0, 150.0])
    def test_of_a_click(self, bpm: float) -> None:
        time = np.arange(12 * RATE) / RATE
        noise = np.random.default_rng(3).standard_normal(len(time))
        clicks = (np.exp(-(time % (60 / bpm)) * 40) * noise)[None].astype(np.float32)
        tempo = estimate_tempo(clicks)
        assert tempo is not None
        ratio = tempo.bpm / bpm
        assert min(abs(ratio - each) for each in (0.5, 1.0, 2.0)) < 0.02

    def test_none_for_silence_and_for_what_is_short(self) -> None:
        assert estimate_tempo(np.zeros((2, 10 * RATE), np.float32)) is None
        assert estimate_tempo(make_drums(RATE, 0.5)) is None
        assert estimate_tempo(make_drums(RATE, 0.01)) is None

    @pytest.mark.parametrize(
        "first,second,differ",
        [
            (120, 120, False),
            (120, 61, False),
            (90, 120, True),
            (100, 104, False),
            (100, 110, True),
            (90, 135, False),
        ],
    )
    def test_simple_ratios_go_together(self, first: float, second: float, differ: bool) -> None:
        assert tempi_differ(Tempo(first, 0.5), Tempo(second, 0.5)) is differ
        assert not tempi_differ(Tempo(first, 0.5), None)
        assert not tempi_differ(Tempo(first, 0.01), Tempo(second, 0.5))


class TestFiles:
    def test_blocks_are_the_file(self, tmp_path: Path) -> None:
        samples = make_piano(RATE, 2.0)
        sf.write(tmp_path / "a.wav", samples.T, RATE, "FLOAT")
        with AudioReader(tmp_path / "a.wav") as reader:
            assert (reader.channels, reader.sample_rate, reader.subtype) == (2, RATE, "FLOAT")
            blocks = list(reader.blocks())
        assert all(block.shape[1] <= BLOCK_FRAMES for block in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), samples)

    def test_five_one_is_mixed_down(self, tmp_path: Path) -> None:
        samples = np.zeros((100, 6), np.float32)
        samples[:, 2] = 0.5
        sf.write(tmp_path / "a.wav", samples, RATE, "FLOAT")
        with AudioReader(tmp_path / "a.wav") as reader:
            (block,) = reader.blocks()
        assert block.shape == (2, 100)
        np.testing.assert_allclose(block, 0.5 * 0.5**0.5 / (1 + 2**0.5), rtol=1e-5)

    @pytest.mark.parametrize("channels", [3, 5, 6, 7, 8])
    def test_a_fold_keeps_the_middle_and_full_scale(self, tmp_path: Path, channels: int) -> None:
        samples = np.zeros((3, channels), np.float32)
        samples[0, 2] = samples[1, :2] = 0.5
        samples[2] = 1.0
        sf.write(tmp_path / "a.wav", samples, RATE, "FLOAT")
        with AudioReader(tmp_path / "a.wav") as reader:
            (block,) = reader.blocks()
        np.testing.assert_allclose(block[0], block[1], rtol=1e-6)
        assert block[0, 0] == pytest.approx(block[0, 1] * 0.5**0.5)
        assert 0.1 < block[0, 0] < block[0, 2] <= 1.000001

    @pytest.mark.parametrize("kind", ["aiff", "au", "w64", "wav", "flac"])
    def test_a_file_cut_short_is_refused(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / f"a.{kind}"
        sf.write(path, make_piano(RATE, 1.0).T, RATE)
        with AudioReader(path) as reader:
            assert sum(block.shape[1] for block in reader.blocks()) == RATE
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size * 2 // 3)
        with pytest.raises(AudioFileError, match="cut short|damaged"), AudioReader(path) as reader:
            list(reader.blocks())

    def test_a_length_that_a_pipes_writer_could_not_know_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "a.aiff"
        sf.write(path, make_piano(RATE, 1.0).T, RATE)
        with path.open("r+b") as file:
            file.seek(4)
            file.write(bytes.fromhex("7f000050"))  # as SoX has it
        with AudioReader(path) as reader:
            assert sum(block.shape[1] for block in reader.blocks()) == RATE

    def test_a_rate_out_of_range(self, tmp_path: Path) -> None:
        sf.write(tmp_path / "a.wav", np.zeros(100), 1000)
        with pytest.raises(AudioFileError, match="1000 Hz"):
            AudioReader(tmp_path / "a.wav")


class TestOutput:
    def test_nothing_shows_before_it_is_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "a.wav"
        writer = AudioWriter(path)

        def fails() -> object:
            yield make_piano(RATE, 0.1)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            writer.write(fails(), RATE, 2, 4410, "PCM_16")  # type: ignore[arg-type]
        assert not path.exists()
        writer.discard()
        assert list(tmp_path.iterdir()) == []

    def test_replaces_what_a_link_points_to(self, tmp_path: Path) -> None:
        real, link = tmp_path / "real.wav", tmp_path / "link.wav"
        real.write_bytes(b"old")
        link.symlink_to(real)
        AudioWriter(link, force=True).write([make_piano(RATE, 0.1)], RATE, 2, 4410, "PCM_16")
        assert link.is_symlink() and sf.info(real).frames == 4410

    @pytest.mark.parametrize(
        "name,wanted,got,said",
        [
            ("a.wav", "PCM_24", "PCM_24", False),
            ("a.wav", "VORBIS", "PCM_16", True),
            ("a.flac", "FLOAT", "PCM_24", True),
            ("a.flac", "PCM_U8", "PCM_S8", True),
            ("a.flac", "PCM_32", "PCM_24", True),
            ("a.wav", "PCM_S8", "PCM_U8", True),
            ("a.wav", "ULAW", "PCM_16", True),
        ],
    )
    def test_subtype_nearest_to_the_piano(
        self, name: str, wanted: str, got: str, said: bool
    ) -> None:
        subtype, word = choose_subtype(Path(name), wanted)
        assert subtype == got and (word is not None) is said


def test_gain_of_a_level() -> None:
    assert to_gain(0.0) == 1.0
    assert to_gain(20.0) == pytest.approx(10.0)
