"""MIDI: to the sample, at the tempo, and only when it is asked for."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mido
import pytest
import soundfile as sf
from conftest import Command
from recordings import make_drums, make_piano

from creative_mix.api import render_files
from creative_mix.errors import AudioFileError, ModelFileError, OptionError, RuntimeMissingError
from creative_mix.midi import midi_bytes
from creative_mix.notes import Note
from creative_mix.sidefiles import SideFiles

RATE = 44100

NOTES = [
    Note(0.0, 1.0, 36, 90),
    Note(0.25, 0.5, 72, 50),
    Note(0.5, 0.50001, 72, 51),
    Note(12345 / RATE, 3.0, 60, 127),
    Note(1.0, 2.0, 36, 1),
]


def parse(content: bytes) -> mido.MidiFile:
    return mido.MidiFile(file=io.BytesIO(content))


def heard(song: mido.MidiFile) -> Iterator[tuple[float, str, int, int]]:
    """Time in seconds, kind, pitch and velocity of every event."""
    now = 0.0
    for message in song:
        now += message.time
        if message.type in ("note_on", "note_off"):
            yield now, message.type, message.note, message.velocity


@pytest.mark.parametrize("bpm", [None, 98.03, 120.0, 143.7, 209.9])
@pytest.mark.parametrize("rate", [8000, 44100])
def test_every_event_is_at_its_sample(bpm: float | None, rate: int) -> None:
    song = parse(midi_bytes(NOTES, rate, 3.5, bpm))
    starts = sorted(
        (round(time * rate), pitch, velocity)
        for time, kind, pitch, velocity in heard(song)
        if kind == "note_on"
    )
    assert starts == sorted((round(n.start_s * rate), n.pitch, n.velocity) for n in NOTES)
    ends = sorted(round(time * rate) for time, kind, *_ in heard(song) if kind == "note_off")
    expected = sorted(max(round(n.end_s * rate), round(n.start_s * rate) + 1) for n in NOTES)
    assert ends == expected
    assert song.length == pytest.approx(3.5, abs=1 / rate)


@pytest.mark.parametrize(("bpm", "rate"), [(55.0, 44100), (60.0, 48000), (120.0, 192000)])
def test_where_a_tick_cannot_be_a_sample_it_is_half_of_30_us(bpm: float, rate: int) -> None:
    song = parse(midi_bytes(NOTES, rate, 3.5, bpm))
    starts = sorted(time for time, kind, *_ in heard(song) if kind == "note_on")
    for found, wanted in zip(starts, sorted(n.start_s for n in NOTES), strict=True):
        assert abs(found - wanted) < 17e-6 * 60 / bpm + 0.5 / rate


def test_the_tempo_is_told() -> None:
    song = parse(midi_bytes(NOTES, RATE, 3.5, 98.03))
    (tempo,) = [message.tempo for message in song.tracks[0] if message.type == "set_tempo"]
    assert 60e6 / tempo == pytest.approx(98.03, abs=1e-3)
    assert song.type == 1 and [track.name for track in song.tracks] == ["creative-mix", "piano"]


def test_a_key_goes_up_before_it_goes_down_again() -> None:
    events = [
        (kind, velocity)
        for _, kind, pitch, velocity in heard(parse(midi_bytes(NOTES, RATE, 3.5)))
        if pitch == 36
    ]
    assert [kind for kind, _ in events] == ["note_on", "note_off", "note_on", "note_off"]


def test_no_notes_are_a_file_too() -> None:
    song = parse(midi_bytes([], RATE, 2.0))
    assert list(heard(song)) == [] and song.length == pytest.approx(2.0, abs=1e-4)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    sf.write(folder / "d.wav", make_drums(RATE, 1.2).T, RATE)
    sf.write(folder / "p.wav", make_piano(48000, 1.2).T, 48000)
    return folder


def render(pair: Path, out: Path, model: Path, side: SideFiles, force: bool = False) -> list[str]:
    said: list[str] = []
    render_files(
        pair / "d.wav",
        pair / "p.wav",
        out,
        side=side,
        model_path=model,
        threads=1,
        say=said.append,
        force=force,
    )
    return said


def test_the_command_writes_all_that_is_asked_for(
    command: Command, pair: Path, new_model: Path, tmp_path: Path
) -> None:
    options = ("--midi", "o.mid", "--weights", "o.csv", "--start", "0.5")
    done = command(
        pair / "d.wav", pair / "p.wav", "-o", "o.wav", "--model", new_model, *options, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "o.mid: 4 notes, no clear tempo" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.csv", "o.mid", "o.wav"]
    events = list(heard(mido.MidiFile(str(tmp_path / "o.mid"))))
    starts = [(time, pitch) for time, kind, pitch, _ in events if kind == "note_on"]
    # The drums are bursts every half second, and the first half second is left out.
    assert [pitch for _, pitch in starts] == [36, 72, 36, 72]
    assert starts[2][0] - starts[0][0] == pytest.approx(0.5, abs=0.012)
    for time, _ in starts:
        assert abs(time * 48000 - round(time * 48000)) < 1e-3
    assert max(time for time, *_ in events) == pytest.approx(0.7, abs=1e-3)
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 1 + 61


def test_nothing_is_replaced_or_half_left(pair: Path, new_model: Path, tmp_path: Path) -> None:
    side = SideFiles(midi=tmp_path / "o.mid")
    (tmp_path / "o.mid").write_bytes(b"before")
    with pytest.raises(AudioFileError, match="o.mid: exists already"):
        render(pair, tmp_path / "o.wav", new_model, side)
    assert [path.name for path in tmp_path.iterdir()] == ["o.mid"]
    assert (tmp_path / "o.mid").read_bytes() == b"before"
    render(pair, tmp_path / "o.wav", new_model, side, force=True)
    assert (tmp_path / "o.mid").read_bytes()[:4] == b"MThd"
    with pytest.raises(AudioFileError, match="folder .* does not exist"):
        render(pair, tmp_path / "n.wav", new_model, SideFiles(weights=tmp_path / "no" / "w.csv"))
    assert not (tmp_path / "n.wav").exists()


def test_a_render_that_fails_leaves_none_of_its_files(
    pair: Path, new_model: Path, tmp_path: Path
) -> None:
    (pair / "cut.wav").write_bytes((pair / "d.wav").read_bytes()[:60])
    side = SideFiles(tmp_path / "o.mid", tmp_path / "o.csv", (tmp_path / "o.json",))
    with pytest.raises(AudioFileError):
        render_files(
            pair / "cut.wav", pair / "p.wav", tmp_path / "o.wav", side=side, model_path=new_model
        )
    assert list(tmp_path.iterdir()) == []


def test_one_file_is_not_two(pair: Path, new_model: Path, tmp_path: Path) -> None:
    twice = SideFiles(reports=(tmp_path / "o.html", tmp_path / "." / "o.html"))
    with pytest.raises(OptionError, match="is to be two files"):
        render(pair, tmp_path / "o.wav", new_model, twice)
    with pytest.raises(OptionError, match=r"name this file \.mid or \.midi"):
        SideFiles(midi="o.wav")
    with pytest.raises(OptionError, match=r"name this file \.html or \.json"):
        SideFiles(reports=("o.pdf",))


def test_an_older_model_tells_no_notes(pair: Path, standin_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="does not tell its notes; leave --midi out"):
        render(pair, tmp_path / "o.wav", standin_model, SideFiles(midi=tmp_path / "o.mid"))
    assert list(tmp_path.iterdir()) == []
    # Its weights it does tell.
    render(pair, tmp_path / "o.wav", standin_model, SideFiles(weights=tmp_path / "o.csv"))
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 1 + 104


def test_without_mido_the_extra_is_named(
    pair: Path, new_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(RuntimeMissingError, match=r"creative-mix\[midi\]"):
        render(pair, tmp_path / "o.wav", new_model, SideFiles(midi=tmp_path / "o.mid"))
    assert list(tmp_path.iterdir()) == []


def test_a_render_without_midi_does_not_import_it(
    pair: Path, new_model: Path, tmp_path: Path
) -> None:
    probe = (
        "import sys\nfrom creative_mix.api import render_files\n"
        f"render_files({str(pair / 'd.wav')!r}, {str(pair / 'p.wav')!r}, 'o.wav',"
        f" model_path={str(new_model)!r})\n"
        "print([n for n in ('mido', 'librosa', 'torch', 'matplotlib') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "[]\n"


def test_the_weights_command(command: Command, pair: Path, new_model: Path, tmp_path: Path) -> None:
    inputs = (pair / "d.wav", pair / "p.wav", "--model", new_model)
    done = command("weights", *inputs, "-o", "w.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "w.csv: 104 frames, 1.20 s" in done.stdout
    printed = command("weights", *inputs, cwd=tmp_path)
    assert printed.stdout == (tmp_path / "w.csv").read_text()
    again = command("weights", *inputs, "-o", "w.csv", cwd=tmp_path)
    assert again.returncode == 1 and "--force" in again.stderr
    assert command("weights", *inputs, "-o", "w.txt", cwd=tmp_path).returncode == 2
