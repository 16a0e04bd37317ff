"""Material: instruments in folders, MIDI files, splits, and what is said when some is missing."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from samplekit import RATE, write_drums, write_groove, write_material, write_piano

from creative_mix.errors import TrainingDataError
from creative_mix.training.instruments import SampledKit, SampledPiano
from creative_mix.training.material import Material
from creative_mix.training.midi import find_grooves, read_hits, read_notes, split_performances
from creative_mix.training.notes import Hit, Note
from creative_mix.training.samples import SampleStore, VelocityMap, read_sample
from creative_mix.training.soundfont import render_strokes, soundfont_kits, soundfont_pianos

FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def only_piano(folder: Path, leveled: bool = False) -> SampledPiano:
    write_piano(folder / "piano" / "one", leveled=leveled)
    write_drums(folder / "drums" / "one")
    piano = Material.from_folder(folder).pianos[0]
    assert isinstance(piano, SampledPiano)
    return piano


def only_kit(folder: Path) -> SampledKit:
    write_piano(folder / "piano" / "one")
    write_drums(folder / "drums" / "one")
    kit = Material.from_folder(folder).kits[0]
    assert isinstance(kit, SampledKit)
    return kit


def first_above(audio: np.ndarray, share: float) -> int:
    loud = np.max(np.abs(audio), axis=0)
    return int(np.argmax(loud >= share * loud.max()))


def test_finds_everything_by_the_names_of_files(tmp_path: Path) -> None:
    material = Material.from_folder(write_material(tmp_path))
    assert [p.name for p in material.pianos] == ["alpha", "beta"]
    assert [k.name for k in material.kits] == ["first", "second"]
    assert len(material.grooves) == len(material.performances) == 10


def test_an_index_says_more_than_names(tmp_path: Path) -> None:
    write_piano(tmp_path / "piano" / "one")
    write_drums(tmp_path / "drums" / "one")
    for at, path in enumerate(sorted((tmp_path / "drums" / "one").iterdir())):
        path.rename(path.with_name(f"sample{at}.wav"))
    sounds = ["hat_closed", "hat_open", "kick", "snare", "snare"]
    with (tmp_path / "drums" / "index.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["kit", "file", "inst", "gm_note", "layer", "rr"])
        for at, sound in enumerate(sounds):
            table.writerow(["named", f"one/sample{at}.wav", sound, 0, 1, at])
    kits = Material.from_folder(tmp_path).kits
    assert [k.name for k in kits] == ["named"]
    assert isinstance(kits[0], SampledKit) and kits[0].sounds == (
        "hat_closed",
        "hat_open",
        "kick",
        "snare",
    )


@pytest.mark.parametrize("gone", ["piano", "drums"])
def test_what_is_missing_is_named(tmp_path: Path, gone: str) -> None:
    write_material(tmp_path)
    shutil.rmtree(tmp_path / gone)
    with pytest.raises(TrainingDataError, match=f"{gone}.*no .* samples") as caught:
        Material.from_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_a_drum_or_a_row_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="nowhere"):
        Material.from_folder(tmp_path / "nowhere")
    write_material(tmp_path)
    (tmp_path / "drums" / "first" / "kick_v1.wav").unlink()
    with pytest.raises(TrainingDataError, match="drum kit first: no samples of kick"):
        Material.from_folder(tmp_path)
    (tmp_path / "piano" / "index.csv").write_text("instrument,file,midi\nx,y.wav,middle\n")
    with pytest.raises(TrainingDataError, match=r"index\.csv, line 2"):
        Material.from_folder(tmp_path)


def test_splits_share_nothing(tmp_path: Path) -> None:
    material = Material.from_folder(write_material(tmp_path))
    train, held = material.for_split("train"), material.for_split("validation")
    assert {p.name for p in train.pianos} == {"alpha"}
    assert {p.name for p in held.pianos} == {"beta"}
    assert {k.name for k in train.kits} & {k.name for k in held.kits} == set()
    assert [p.stem for p in held.performances] == ["piece9"]
    assert len(train.performances) == 9 and len(train.grooves) == 9
    assert [g.name for g in held.grooves] == ["groove9.mid"]
    with pytest.raises(TrainingDataError, match="'test'"):
        material.for_split("test")


def test_named_validation_instruments_are_held_out(tmp_path: Path) -> None:
    write_material(tmp_path)
    (tmp_path / "piano" / "alpha").rename(tmp_path / "piano" / "headroom_yamaha_c3_ccby")
    write_drums(tmp_path / "drums" / "pearl_enoe_ccby")
    material = Material.from_folder(tmp_path)
    assert [p.name for p in material.for_split("train").pianos] == ["beta"]
    assert [k.name for k in material.for_split("train").kits] == ["first", "second"]
    assert [k.name for k in material.for_split("validation").kits] == ["pearl_enoe_ccby"]


def test_every_tenth_performance_is_held_out() -> None:
    paths = [Path(f"{i:03}.mid") for i in range(47)]
    held = split_performances(list(reversed(paths)), "validation")
    assert [p.stem for p in held] == ["009", "019", "029", "039"]
    assert not set(held) & set(split_performances(paths, "train"))


def test_grooves_by_their_own_splits_without_fills(tmp_path: Path) -> None:
    rows = [("a", "beat", "30", "train"), ("b", "fill", "30", "train")]
    rows += [("c", "beat", "2", "train"), ("d", "beat", "30", "validation")]
    with (tmp_path / "info.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["midi_filename", "beat_type", "duration", "split", "bpm"])
        for name, kind, duration, split in rows:
            write_groove(tmp_path / f"{name}.mid")
            table.writerow([f"{name}.mid", kind, duration, split, 120])
    found = find_grooves(tmp_path)
    assert [(g.name, g.split, g.bpm) for g in found] == [
        ("a.mid", "train", 120.0),
        ("d.mid", "validation", 120.0),
    ]


def test_midi_times_and_pedal(tmp_path: Path) -> None:
    material = Material.from_folder(write_material(tmp_path))
    hits = read_hits(material.grooves[0].path)
    assert [h.time_s for h in hits[:3]] == pytest.approx([0.0, 0.0, 0.25])
    notes = read_notes(material.performances[0])
    # From second 1.01 to 2.01 the pedal is down: the chord of second 1 rings on until then.
    lengths = {round(n.start_s): n.end_s - n.start_s for n in notes}
    assert lengths[0] == pytest.approx(0.5, abs=2e-3)
    assert lengths[1] == pytest.approx(1.01, abs=2e-3)
    (tmp_path / "broken.mid").write_bytes(b"MThd\0\0")
    with pytest.raises(TrainingDataError, match=r"broken\.mid"):
        read_notes(tmp_path / "broken.mid")


def test_electronic_kit_notes_become_general_midi(tmp_path: Path) -> None:
    from samplekit import _write

    _write(tmp_path / "e.mid", [(0.1 * i, 9, "note_on", n, 90) for i, n in enumerate((22, 26, 58))])
    assert [h.gm_note for h in read_hits(tmp_path / "e.mid")] == [42, 46, 43]


def test_an_attack_is_where_its_note_begins(tmp_path: Path) -> None:
    piano, at = only_piano(tmp_path), 0.4
    for pitch in (36, 43, 60, 65, 84):
        audio = piano.play([Note(at, 1.5, pitch, 100)], 2 * RATE, rng())
        assert abs(first_above(audio, 0.05) / RATE - at) < 0.0015


def test_a_note_has_its_pitch(tmp_path: Path) -> None:
    piano = only_piano(tmp_path)
    for pitch in (48, 53, 61, 70):
        audio = piano.play([Note(0.0, 1.4, pitch, 100)], RATE, rng())[0]
        spectrum = np.abs(np.fft.rfft(audio * np.hanning(audio.size), 8 * audio.size))
        hertz = np.argmax(spectrum) * RATE / (8 * audio.size)
        assert 1200 * abs(np.log2(hertz / (440 * 2 ** ((pitch - 69) / 12)))) < 5


def test_a_damper_ends_a_note_but_not_the_highest(tmp_path: Path) -> None:
    piano = only_piano(tmp_path)

    def late(pitch: int) -> float:
        audio = piano.play([Note(0.0, 0.3, pitch, 100)], 2 * RATE, rng())
        begin = np.mean(audio[:, : RATE // 5] ** 2)
        return float(np.mean(audio[:, int(0.9 * RATE) : RATE] ** 2) / begin)

    assert late(60) == 0.0
    assert late(96) > 0.005


@pytest.mark.parametrize("leveled", [False, True])
def test_louder_velocities_are_louder(tmp_path: Path, leveled: bool) -> None:
    piano = only_piano(tmp_path, leveled)
    assert piano.velocity_map.natural is not leveled
    levels = [
        20 * np.log10(np.abs(piano.play([Note(0, 1, 60, v)], RATE, rng())).max())
        for v in (10, 30, 50, 64, 80, 100, 127)
    ]
    assert np.all(np.diff(levels) > 0.5)
    assert 20 < levels[-1] - levels[0] < 45


def test_velocity_map_is_continuous_between_layers() -> None:
    for levels in ([-30.0, -18.0, -9.0], [0.0, 0.2, -0.1]):
        mapping = VelocityMap(levels)
        heard = [
            levels[k] + 20 * np.log10(mapping.gain(v, k))
            for v in range(1, 128)
            for k in [mapping.layer(v)]
        ]
        assert np.all(np.diff(heard) > -1e-9) and np.max(np.diff(heard[20:])) < 1.5


def test_a_missing_drum_is_played_by_its_nearest(tmp_path: Path) -> None:
    kit = only_kit(tmp_path)
    for drum in (35, 37, 39, 41, 45, 49, 51, 56, 59, 81):
        audio = kit.play([Hit(0.1, drum, 100)], RATE // 2, rng())
        assert abs(first_above(audio, 0.05) / RATE - 0.1) < 0.003


def test_a_closed_hat_silences_the_open_one(tmp_path: Path) -> None:
    kit = only_kit(tmp_path)
    open_one = kit.play([Hit(0.0, 46, 100)], RATE // 2, rng())
    closed = kit.play([Hit(0.0, 46, 100), Hit(0.1, 42, 1)], RATE // 2, rng())
    part = slice(int(0.25 * RATE), int(0.35 * RATE))
    assert np.mean(closed[:, part] ** 2) < 0.01 * np.mean(open_one[:, part] ** 2)


def test_samples_are_resampled_and_made_stereo(tmp_path: Path) -> None:
    time = np.arange(22050) / 22050
    soundfile.write(str(tmp_path / "x.wav"), np.sin(2 * np.pi * 441 * time), 22050)
    audio = read_sample(tmp_path / "x.wav")
    assert audio.shape == (2, RATE)
    (tmp_path / "y.wav").write_text("no sound")
    with pytest.raises(TrainingDataError, match=r"y\.wav"):
        read_sample(tmp_path / "y.wav")


def test_store_keeps_within_its_limit() -> None:
    store = SampleStore(limit_bytes=1000)
    loud = np.ones((2, 200), np.float32)
    for name in "abc":
        store.put(name, loud)
    assert len(store) == 1


def test_soundfont_errors_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingDataError, match=r"none\.sf2: no such SoundFont"):
        soundfont_pianos(tmp_path / "none.sf2", SampleStore())
    (tmp_path / "a.sf2").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(TrainingDataError, match=r"a\.sf2: not a SoundFont"):
        soundfont_pianos(tmp_path / "a.sf2", SampleStore())
    (tmp_path / "a.sf2").write_bytes(b"RIFF\x04\0\0\0sfbk")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TrainingDataError, match="install it"):
        soundfont_kits(tmp_path / "a.sf2", SampleStore())


@pytest.mark.skipif(
    shutil.which("fluidsynth") is None or not FONT.is_file(), reason="needs FluidSynth, FluidR3"
)
def test_soundfont_strokes_play_like_samples() -> None:
    store = SampleStore()
    files = render_strokes(FONT, 0, 0, (60, 64), 1.0, "grand/", store)
    assert len(files) == 8
    piano = SampledPiano("grand", files, store)
    audio = piano.play([Note(0.5, 0.9, 62, 100)], RATE, rng())
    assert abs(first_above(audio, 0.05) / RATE - 0.5) < 0.004
    assert np.abs(audio).max() > 0.01
