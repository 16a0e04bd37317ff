"""What stands in the files that are written: every byte of a WAV, dither, metadata, names."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from recordings import make_drums, make_piano

import creative_mix
from creative_mix.api import Settings, render_files
from creative_mix.audio.files import AudioReader
from creative_mix.audio.metadata import Metadata, carry_over
from creative_mix.audio.output import AudioWriter, check_rate
from creative_mix.audio.quantise import DITHERED_BITS, Quantiser
from creative_mix.audio.riff import RIFF_LIMIT, SAMPLE_BYTES, wave_header
from creative_mix.errors import AudioFileError, OptionError

RATE = 44100
WAVE_SUBTYPES = [subtype for subtype in SAMPLE_BYTES if subtype != "PCM_S8"]
ACID = struct.Struct("<IHHfIHHf")


def make_bext(description: bytes, time: int, version: int = 2) -> bytes:
    """A broadcast chunk with an identifier, a loudness and a line of history."""
    held = bytearray(602)
    held[: len(description)] = description
    held[256:264] = b"Recorder"
    held[320:338] = b"2024-05-0610:11:12"
    held[338:348] = struct.pack("<QH", time, version)
    held[348:412] = b"U" * 64
    held[412:422] = struct.pack("<5h", -1600, 500, -100, -1200, -1400)
    return bytes(held) + b"A=PCM,F=48000,W=24,M=stereo,T=Recorder\r\n\0\0"


def write(path: Path, metadata: Metadata | None = None, subtype: str = "PCM_16") -> Path:
    """A tenth of a second of piano."""
    AudioWriter(path).write([make_piano(RATE, 0.1)], RATE, 2, 4410, subtype, metadata)
    return path


class TestWave:
    @pytest.mark.parametrize("subtype", WAVE_SUBTYPES)
    @pytest.mark.parametrize("channels", [1, 2])
    def test_others_read_what_was_written(
        self, subtype: str, channels: int, tmp_path: Path
    ) -> None:
        path, samples = tmp_path / "a.wav", make_piano(RATE, 0.1, channels)[:, :4409]
        AudioWriter(path).write([samples[:, :100], samples[:, 100:]], RATE, channels, 4409, subtype)
        info = sf.info(path)
        assert (info.format, info.subtype, info.frames, info.channels, info.samplerate) == (
            *("WAV", subtype, 4409, channels),
            RATE,
        )
        steps = 2.0 ** (DITHERED_BITS.get(subtype, 24) - 1)
        read, _ = sf.read(path, always_2d=True)
        assert np.abs(read.T - samples).max() <= 1.5 / steps
        raw = path.read_bytes()
        assert len(raw) % 2 == 0
        assert struct.unpack("<I", raw[4:8])[0] == len(raw) - 8

    def test_beyond_four_gigabytes_it_is_rf64(self, tmp_path: Path) -> None:
        # 7.2 GB of silence that takes no room on the disk.
        path, frames = tmp_path / "long.wav", 1_200_000_000
        header = wave_header(RATE, 2, "PCM_24", frames, Metadata({"title": "Long"}).chunks())
        with path.open("wb") as file:
            file.write(header)
            file.truncate(len(header) + frames * 6)
        info = sf.info(path)
        assert (info.format, info.frames, info.subtype) == ("RF64", frames, "PCM_24")
        with AudioReader(path) as reader:
            assert reader.metadata.strings == {"title": "Long"}
        with path.open("r+b") as file:
            file.truncate(len(header) + frames * 6 - 6)
        with pytest.raises(AudioFileError, match="cut short"):
            AudioReader(path)

    @pytest.mark.parametrize("over", [False, True])
    def test_a_plain_wav_as_long_as_it_can_be(self, over: bool) -> None:
        plain = len(wave_header(RATE, 1, "PCM_U8", 2))
        frames = RIFF_LIMIT + 8 - plain - 1 + 2 * over
        header = wave_header(RATE, 1, "PCM_U8", frames)
        assert header[:4] == (b"RF64" if over else b"RIFF")
        if not over:
            assert struct.unpack("<I", header[4:8])[0] == plain - 8 + frames + frames % 2

    def test_an_rf64_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("creative_mix.audio.riff.RIFF_LIMIT", 10_000)
        samples, path = make_piano(RATE, 0.1), tmp_path / "a.wav"
        word = AudioWriter(path).write([samples], RATE, 2, 4410, "FLOAT")
        assert word is not None and "RF64" in word
        assert path.read_bytes()[:4] == b"RF64"


class TestDither:
    def test_what_is_softer_than_a_step_is_heard(self) -> None:
        soft = np.full((1, 200_000), 0.3 / 32768, np.float32)
        plain = Quantiser("PCM_16", dither=False).quantise(soft)
        dithered = Quantiser("PCM_16").quantise(soft)
        assert not plain.any()
        assert dithered.mean() == pytest.approx(0.3, abs=0.01)

    @pytest.mark.parametrize("level", [0.0001, 0.25, 0.5, 0.75])
    def test_its_noise_does_not_follow_the_signal(self, level: float) -> None:
        samples = np.full((1, 200_000), level / 32768, np.float32)
        error = Quantiser("PCM_16").quantise(samples)[:, 0] - level
        # Triangular dither of two steps and the rounding: 3/12 of a step squared.
        assert error.mean() == pytest.approx(0.0, abs=0.01)
        assert error.var() == pytest.approx(0.25, abs=0.01)

    def test_channels_have_noise_of_their_own(self) -> None:
        error = Quantiser("PCM_16").quantise(np.full((2, 50_000), 0.5 / 32768, np.float32))
        assert abs(np.corrcoef(error.T)[0, 1]) < 0.03

    def test_blocks_do_not_matter(self) -> None:
        samples = make_piano(RATE, 0.5)
        whole = Quantiser("PCM_16").quantise(samples)
        quantiser = Quantiser("PCM_16")
        cuts = [0, 1, 2, 7, 4000, 4001, samples.shape[1]]
        parts = [quantiser.quantise(samples[:, a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)

    @pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32"])
    def test_silence_stays_silence_and_nothing_wraps(self, subtype: str) -> None:
        quantiser = Quantiser(subtype)
        assert not quantiser.quantise(np.zeros((2, 5000), np.float32)).any()
        full = np.array([[-3.0, -1.0, 1.0, 3.0]] * 2, np.float32).repeat(500, axis=1)
        numbers = quantiser.quantise(full)
        top = 2 ** (quantiser.bits - 1)
        assert numbers.min() == -top and numbers.max() == top - 1
        assert (np.sign(numbers) == np.sign(full.T)).all()

    @pytest.mark.parametrize("name", ["a.wav", "a.flac"])
    def test_without_it_whole_numbers_pass_unchanged(self, name: str, tmp_path: Path) -> None:
        numbers = np.random.default_rng(0).integers(-32768, 32768, (1000, 2)).astype(np.int16)
        samples = (numbers.T / 32768).astype(np.float32)
        AudioWriter(tmp_path / name).write([samples], RATE, 2, 1000, "PCM_16", dither=False)
        np.testing.assert_array_equal(sf.read(tmp_path / name, dtype="int16")[0], numbers)

    @pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
    def test_flac_and_wav_hold_the_same(self, subtype: str, tmp_path: Path) -> None:
        write(tmp_path / "a.flac", subtype=subtype)
        write(tmp_path / "a.wav", subtype="PCM_U8" if subtype == "PCM_S8" else subtype)
        first, second = (sf.read(tmp_path / name)[0] for name in ("a.flac", "a.wav"))
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("rate", [44100, 65535, 65537, 88200, 192001, 384000, 655350, 655360])
def test_rates_that_a_flac_cannot_hold(rate: int, tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    try:
        check_rate(path, rate)
    except OptionError as error:
        assert "name the output .wav" in str(error)
        assert rate in (65537, 192001, 655360)
        return
    AudioWriter(path).write([make_piano(rate, 0.05)], rate, 2, round(rate * 0.05), "PCM_16")
    assert sf.info(path).samplerate == rate
    check_rate(tmp_path / "a.wav", 192001)


class TestMetadata:
    STRINGS = {"title": "Été", "artist": "Someone", "date": "2024", "comment": "two\nlines"}

    @pytest.mark.parametrize("name", ["a.wav", "a.flac"])
    def test_titles_are_kept(self, name: str, tmp_path: Path) -> None:
        path = write(tmp_path / name, Metadata(self.STRINGS))
        with AudioReader(path) as reader:
            assert reader.metadata.strings == self.STRINGS

    def test_a_render_says_what_its_sources_say(self, standin_model: Path, tmp_path: Path) -> None:
        drums, piano = make_drums(RATE, 4.0), make_piano(48000, 4.0)
        AudioWriter(tmp_path / "d.wav").write(
            *([drums], RATE, 1, drums.shape[1], "PCM_16"),
            Metadata({"title": "A beat"}, make_bext(b"drums", RATE * 3600), beats(8, 120.0)),
        )
        AudioWriter(tmp_path / "p.wav").write(
            *([piano], 48000, 2, piano.shape[1], "PCM_24"),
            Metadata(self.STRINGS, make_bext(b"piano", 5), beats(6, 90.0, 2, 57)),
        )
        render_files(
            *(tmp_path / "d.wav", tmp_path / "p.wav", tmp_path / "o.wav"),
            settings=Settings(start_s=1.0),
            model_path=standin_model,
        )
        with AudioReader(tmp_path / "o.wav") as reader:
            made = reader.metadata
        assert made.strings == self.STRINGS
        assert made.acid == beats(6, 120.0, 2, 57) and made.tempo_bpm == 120.0
        # After EBU Tech 3285: the drums' place, no identifier, no loudness, one line more.
        assert made.bext is not None
        fields = struct.unpack("<256s32s32s10s8sQH64s5h180s", made.bext[:602])
        assert fields[0].rstrip(b"\0") == b"piano" and fields[1].rstrip(b"\0") == b"Recorder"
        assert fields[3:5] == (b"2024-05-06", b"10:11:12")
        assert fields[5] == 48000 * 3601
        assert fields[7] == bytes(64) and set(fields[8:13]) == {0x7FFF}
        assert made.bext[602:].decode().splitlines() == [
            "A=PCM,F=48000,W=24,M=stereo,T=Recorder",
            f"A=PCM,F=48000,W=24,M=stereo,T=creative-mix {creative_mix.__version__}",
        ]
        assert sf.info(tmp_path / "o.wav").frames == 48000 * 3

    def test_no_metadata_in_none_out(self) -> None:
        carried = carry_over(
            Metadata(), Metadata(), rates=(RATE, RATE), start_s=0.0, frames=1, coding="A=PCM"
        )
        assert carried == Metadata() and carried.chunks() == []

    def test_a_flac_says_what_it_loses(self, tmp_path: Path) -> None:
        writer = AudioWriter(tmp_path / "a.flac")
        word = writer.write(
            *([make_piano(RATE, 0.1)], RATE, 2, 4410, "PCM_16"),
            Metadata(bext=make_bext(b"piano", 5)),
        )
        assert word is not None and "only a WAV" in word

    @pytest.mark.parametrize("spoilt", [make_bext(b"x", 1)[:500], b"\xff" * 70_000])
    def test_a_broken_chunk_is_left_out(self, spoilt: bytes, tmp_path: Path) -> None:
        path = write(tmp_path / "a.wav", Metadata(bext=spoilt, acid=spoilt))
        with AudioReader(path) as reader:
            assert reader.metadata == Metadata()
            assert sum(block.shape[1] for block in reader.blocks()) == 4410


class TestNames:
    def test_the_quicker_of_two_commands_wins(self, tmp_path: Path) -> None:
        path = tmp_path / "a.wav"
        first, second = AudioWriter(path), AudioWriter(path)
        second.write([make_piano(RATE, 0.1)], RATE, 2, 4410, "PCM_16")
        kept = path.read_bytes()
        with pytest.raises(AudioFileError, match="exists now"):
            first.write([make_drums(RATE, 0.1, 2)], RATE, 2, 4410, "PCM_16")
        assert path.read_bytes() == kept
        assert list(tmp_path.iterdir()) == [path]

    def test_with_force_the_later_one_wins_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "a.wav"
        writers = [AudioWriter(path, force=True) for _ in range(2)]
        for writer, subtype in zip(writers, ("FLOAT", "PCM_24"), strict=True):
            writer.write([make_piano(RATE, 0.1)], RATE, 2, 4410, subtype)
        assert sf.info(path).subtype == "PCM_24"
        assert list(tmp_path.iterdir()) == [path]

    def test_without_hard_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        path = tmp_path / "a.wav"
        first, second = AudioWriter(path), AudioWriter(path)
        second.write([make_piano(RATE, 0.1)], RATE, 2, 4410, "PCM_16")
        with pytest.raises(AudioFileError, match="exists now"):
            first.write([make_piano(RATE, 0.1)], RATE, 2, 4410, "PCM_16")
        assert list(tmp_path.iterdir()) == [path]

    def test_a_very_long_name(self, tmp_path: Path) -> None:
        path = write(tmp_path / ("ä" * 120 + ".wav"))
        assert sf.info(path).frames == 4410

    def test_a_device_is_no_place_for_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "null.wav").symlink_to("/dev/null")
        with pytest.raises(AudioFileError, match="no file but"):
            AudioWriter(tmp_path / "null.wav", force=True)
        assert not Path("/dev/null").is_file()


def beats(count: int, bpm: float, flags: int = 0, root: int = 60) -> bytes:
    """An ACID chunk in four-four time."""
    return ACID.pack(flags, root, 0x8000, 0.0, count, 4, 4, bpm)
