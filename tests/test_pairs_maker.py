"""Pairs: made again from a seed, levels, what P and R share, files, and the command."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from samplekit import RATE, write_material

from creative_mix.constants import COMPONENT_NAMES, SAMPLE_RATE
from creative_mix.errors import TrainingDataError
from creative_mix.training import rooms
from creative_mix.training.generators import generate_groove, generate_performance
from creative_mix.training.material import Material
from creative_mix.training.notes import Note
from creative_mix.training.pairs import Pair, PairMaker, pair_stems, read_pair, write_pair
from creative_mix.training.truth import answer_hits, strike_times

PARTS = ("drums", "piano", "truth")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_material(tmp_path_factory.mktemp("material"))


@pytest.fixture(scope="module")
def pairs(folder: Path) -> list[Pair]:
    maker = PairMaker(Material.from_folder(folder), duration_s=4.0, bias_share=0.6)
    return [maker.make(seed) for seed in range(24)]


def test_same_seed_same_bytes_in_any_order(folder: Path, pairs: list[Pair]) -> None:
    again = PairMaker(Material.from_folder(folder), duration_s=4.0, bias_share=0.6)
    for seed in (7, 3, 0):
        other = again.make(seed)
        for part in PARTS:
            assert getattr(pairs[seed], part).tobytes() == getattr(other, part).tobytes()
        assert other.truth_notes == pairs[seed].truth_notes
    assert pairs[0].piano.tobytes() != pairs[1].piano.tobytes()


def test_splits_differ(folder: Path, pairs: list[Pair]) -> None:
    held = PairMaker(Material.from_folder(folder), split="validation", duration_s=4.0).make(0)
    assert held.meta["piano"] == "beta" and pairs[0].meta["piano"] == "alpha"
    assert held.hits != pairs[0].hits


def test_shapes_levels_and_times(pairs: list[Pair]) -> None:
    for pair in pairs:
        for part in PARTS:
            audio = getattr(pair, part)
            assert audio.shape == (2, 4 * SAMPLE_RATE) and audio.dtype == np.float32
            assert np.all(np.isfinite(audio)) and np.abs(audio).max() < 1.0
        assert pair.strikes_s.dtype == np.float64
        assert all(0.0 <= h.time_s < 4.0 for h in pair.hits)
        assert all(0.0 <= n.start_s < n.end_s <= 4.0 for n in pair.piano_notes + pair.truth_notes)
        assert all(1 <= n.velocity <= 127 for n in pair.piano_notes + pair.truth_notes)
        assert -42.0 < rooms.rms_db(pair.piano) < -10.0


def test_truth_follows_the_rule_and_its_bias(pairs: list[Pair]) -> None:
    kinds = set()
    for pair in pairs:
        biased = [COMPONENT_NAMES[i] for i in np.flatnonzero(pair.bias)]
        kinds.add(tuple(biased))
        plain = answer_hits(pair.piano_notes, pair.hits)
        if biased == ["target_rhythm"]:
            starts = {n.start_s for n in pair.truth_notes}
            near = [min(abs(n.start_s - s) for s in starts) for n in pair.piano_notes]
            assert max(near, default=0.0) <= 0.03
            assert {n.start_s for n in plain} <= starts
        else:
            assert pair.truth_notes == plain
        assert np.array_equal(pair.strikes_s, strike_times(pair.truth_notes))
    assert kinds == {(), ("target_rhythm",), ("input_timbre",)}


def test_no_bias_when_none_is_asked_for(folder: Path) -> None:
    maker = PairMaker(Material.from_folder(folder), duration_s=2.0, bias_share=0.0)
    assert not any(np.any(maker.make(seed).bias) for seed in range(8))


def test_timbre_bias_puts_some_drums_into_the_truth(folder: Path, pairs: list[Pair]) -> None:
    material = Material.from_folder(folder)
    plain = PairMaker(material, duration_s=4.0, bias_share=0.0)
    at = COMPONENT_NAMES.index("input_timbre")
    checked = 0
    for pair in pairs:
        if pair.bias[at] > 0.0:
            without = plain.make(pair.seed)
            scale = np.abs(pair.drums).max() / np.abs(without.drums).max()
            share = pair.bias[at] / 3.0 * 0.5
            expected = without.truth * scale + share * pair.drums
            assert np.allclose(pair.truth, expected, atol=1e-5)
            checked += 1
    assert checked


def test_truth_is_struck_when_it_says(pairs: list[Pair]) -> None:
    """Energy rises at the strikes: more in the 20 ms after than in the 20 ms before."""
    rises = []
    for pair in pairs:
        if pair.bias.any():
            continue
        power = np.mean(pair.truth.astype(np.float64) ** 2, axis=0)
        for time_s in pair.strikes_s:
            at, width = round(time_s * RATE), int(0.02 * RATE)
            if width < at < power.size - width:
                rises.append(power[at : at + width].sum() > power[at - width : at].sum())
    assert len(rises) > 50 and np.mean(rises) > 0.85


def test_truth_is_silent_where_the_piano_holds_nothing(pairs: list[Pair]) -> None:
    for pair in pairs:
        if not pair.bias.any() and len(pair.strikes_s):
            before = pair.truth[:, : max(0, round(pair.strikes_s[0] * RATE) - 200)]
            assert np.abs(before).max(initial=0.0) < 1e-3


def test_piano_and_truth_share_one_linear_chain(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the drums strike what the piano strikes, loud as it does, both recordings agree."""
    maker = PairMaker(Material.from_folder(folder), duration_s=3.0, bias_share=0.0)
    monkeypatch.setattr(rooms, "make_noise", lambda rng, n, db: np.zeros((2, n), np.float32))
    for seed in range(4):
        score = maker._compose(seed)
        piano, (same,) = maker._record_piano(seed, score, [(score.notes, "piano strokes")])
        assert np.array_equal(piano, same)


def test_noise_is_in_the_piano_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = PairMaker(Material.from_folder(folder), duration_s=2.0, bias_share=0.0)
    before = [maker.make(seed) for seed in range(6)]
    silent = lambda rng, n, db: np.zeros((2, n), np.float32)  # noqa: E731
    monkeypatch.setattr(rooms, "make_noise", silent)
    after = [maker.make(seed) for seed in range(6)]
    changed = [not np.array_equal(a.piano, b.piano) for a, b in zip(before, after, strict=True)]
    assert 0 < sum(changed) < 6
    assert all(np.allclose(a.truth, b.truth, rtol=0.02) for a, b in zip(before, after, strict=True))


def test_truth_played_again_is_near_and_not_the_same(folder: Path) -> None:
    maker = PairMaker(Material.from_folder(folder), duration_s=4.0, bias_share=0.0)
    pair = maker.make(2)
    exact = maker.rerender_truth(2, velocity_sigma=0.0, time_sigma_s=0.0)
    loose = maker.rerender_truth(2)
    assert np.allclose(exact, pair.truth, atol=0.05 * np.abs(pair.truth).max())
    assert np.array_equal(loose, maker.rerender_truth(2))
    assert not np.allclose(loose, pair.truth, atol=1e-3)
    assert abs(rooms.rms_db(loose) - rooms.rms_db(pair.truth)) < 4.0


def test_without_midi_files_everything_is_generated(tmp_path: Path) -> None:
    material = Material.from_folder(write_material(tmp_path, midi=False))
    pair = PairMaker(material, duration_s=3.0).make(1)
    assert pair.meta["groove"].startswith("generated")
    assert pair.meta["performance"].startswith("generated")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("duration_s", 0.5),
        ("bias_share", 1.5),
        ("loop_share", -0.1),
        ("assembled_kits", 1.1),
        ("synthesised_pianos", 2.0),
        ("voiced_share", -0.5),
        ("hissing_share", 1.5),
        ("exchanged_hands", float("nan")),
        ("soft_share", 1.01),
        ("coded_share", -1.0),
    ],
)
def test_arguments_out_of_range(folder: Path, name: str, value: float) -> None:
    with pytest.raises(TrainingDataError, match=str(value)):
        PairMaker(Material.from_folder(folder), **{name: value})  # type: ignore[arg-type]


def test_soft_pairs_are_the_same_but_for_their_levels(folder: Path, pairs: list[Pair]) -> None:
    """Piano and truth by one gain, the drums by another, or by the same if the truth has them."""
    maker = PairMaker(Material.from_folder(folder), duration_s=4.0, bias_share=0.6, soft_share=1.0)
    alike = 0
    for seed in range(16):
        before, soft = pairs[seed], maker.make(seed)
        gains_db = {}
        for part in PARTS:
            a, b = getattr(before, part), getattr(soft, part)
            gain = float(np.vdot(a, b) / np.vdot(a, a))
            assert np.allclose(b, gain * a, atol=1e-6)
            gains_db[part] = 20 * np.log10(gain)
        assert gains_db["piano"] == pytest.approx(gains_db["truth"], abs=0.01)
        assert all(-36.01 <= gain_db <= 0.0 for gain_db in gains_db.values())
        together = gains_db["drums"] == pytest.approx(gains_db["piano"], abs=0.01)
        assert together == bool(soft.bias[COMPONENT_NAMES.index("input_timbre")] > 0)
        alike += int(together)
    assert 0 < alike < 16
    exact = maker.rerender_truth(2, velocity_sigma=0.0, time_sigma_s=0.0)
    truth = maker.make(2).truth
    assert np.allclose(exact, truth, atol=0.05 * np.abs(truth).max())


def test_coded_pairs_have_the_same_truth(folder: Path, pairs: list[Pair]) -> None:
    maker = PairMaker(Material.from_folder(folder), duration_s=4.0, bias_share=0.6, coded_share=1.0)
    changed = {"drums": 0, "piano": 0}
    for seed in range(16):
        before, coded = pairs[seed], maker.make(seed)
        assert np.array_equal(before.truth, coded.truth)
        has_drums = coded.bias[COMPONENT_NAMES.index("input_timbre")] > 0
        moved = [p for p in changed if not np.array_equal(getattr(before, p), getattr(coded, p))]
        assert moved or has_drums
        assert not (has_drums and "drums" in moved)
        for part in moved:
            changed[part] += 1
            assert getattr(coded, part).dtype == np.float32
    assert changed["drums"] >= 4 and changed["piano"] >= 6


def test_no_soft_and_no_coded_pairs_unless_asked_for(folder: Path, pairs: list[Pair]) -> None:
    maker = PairMaker(
        Material.from_folder(folder),
        duration_s=4.0,
        bias_share=0.6,
        soft_share=0.5,
        coded_share=0.5,
    )
    same = [np.array_equal(maker.make(s).piano, pairs[s].piano) for s in range(24)]
    assert 3 <= sum(same) <= 17


def test_a_coder_takes_nothing_but_quality() -> None:
    """As long, not a sample late, and the less like itself the worse the quality."""
    rng = np.random.default_rng(4)
    clicks = np.zeros((2, 30_001), np.float32)
    clicks[:, 3000:30_000:4000] = 0.5
    sound = clicks + rng.normal(0.0, 0.02, clicks.shape).astype(np.float32)
    lost = []
    for quality in rooms.CODER_QUALITY:
        back = rooms.code(sound, quality)
        assert back.shape == sound.shape and back.dtype == np.float32
        assert [int(np.abs(back[0, p - 500 : p + 500]).argmax()) for p in (7000, 11_000)] == [
            500
        ] * 2
        lost.append(float(np.mean((back - sound) ** 2)))
    assert 0 < lost[0] < 0.8 * lost[1]
    assert np.abs(rooms.code(np.zeros((2, 5000), np.float32), 0.5)).max() < 1e-4


def test_written_pairs_are_read_as_they_were(tmp_path: Path, pairs: list[Pair]) -> None:
    write_pair(pairs[4], tmp_path, "four")
    back = read_pair(tmp_path, "four")
    for part in PARTS:
        assert np.allclose(getattr(back, part), getattr(pairs[4], part), atol=1.0 / 16384)
    for field in ("hits", "piano_notes", "truth_notes", "seed", "meta", "sample_rate"):
        assert getattr(back, field) == getattr(pairs[4], field)
    assert np.array_equal(back.strikes_s, pairs[4].strikes_s)
    assert np.array_equal(back.bias, pairs[4].bias)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["four.json", *(f"four.{part}.wav" for part in PARTS)]
    )


def test_ready_pairs_need_no_notes(tmp_path: Path) -> None:
    for part in PARTS:
        soundfile.write(str(tmp_path / f"mine.{part}.wav"), np.zeros((1000, 1)), SAMPLE_RATE)
    soundfile.write(str(tmp_path / "half.truth.wav"), np.zeros((1000, 1)), SAMPLE_RATE)
    assert pair_stems(tmp_path) == ["mine"]
    pair = read_pair(tmp_path, "mine")
    assert pair.hits == () and pair.strikes_s.shape == (0,) and pair.bias.shape == (6,)


def test_broken_pairs_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="gone"):
        pair_stems(tmp_path / "gone")
    for part, count in zip(PARTS, (1000, 1000, 900), strict=True):
        soundfile.write(str(tmp_path / f"x.{part}.wav"), np.zeros((count, 2)), SAMPLE_RATE)
    with pytest.raises(TrainingDataError, match="truth 900"):
        read_pair(tmp_path, "x")
    soundfile.write(str(tmp_path / "x.truth.wav"), np.zeros((1000, 2)), 48000)
    with pytest.raises(TrainingDataError, match="48000 Hz"):
        read_pair(tmp_path, "x")
    soundfile.write(str(tmp_path / "x.truth.wav"), np.zeros((1000, 2)), SAMPLE_RATE)
    (tmp_path / "x.json").write_text('{"hits": 3}')
    with pytest.raises(TrainingDataError, match=r"x\.json"):
        read_pair(tmp_path, "x")


def test_command_makes_the_same_for_any_workers_and_goes_on(folder: Path, tmp_path: Path) -> None:
    from creative_mix.cli.pairs import pairs as command

    def run(out: str, *more: str) -> str:
        options = ["--material", str(folder), "--duration", "2", "--seed", "5", *more]
        done = CliRunner().invoke(command, [str(tmp_path / out), *options])
        assert done.exit_code == 0, done.output
        return done.output

    run("one", "--count", "4")
    run("two", "--count", "2")
    assert "2 of 4 pairs are there already" in run("two", "--count", "4", "--workers", "2")
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert len(names) == 16 and names[0] == "00000005.drums.wav"
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_command_tells_what_it_makes_nothing_of(folder: Path, tmp_path: Path) -> None:
    from creative_mix.cli.pairs import pairs as command

    material = tmp_path / "material"
    shutil.copytree(folder, material)
    for alone in (material / "piano" / "beta", material / "drums" / "second"):
        shutil.rmtree(alone)
    loose, lost = material / "piano" / "loose.wav", material / "midi" / "lost.mid"
    shutil.copy(next((material / "piano" / "alpha").glob("*.wav")), loose)
    shutil.copy(material / "midi" / "drums" / "groove0.mid", lost)
    for split, told in (("train", False), ("validation", True)):
        options = ["--material", str(material), "--duration", "2", "--count", "1"]
        done = CliRunner().invoke(command, [str(tmp_path / split), *options, "--split", split])
        assert done.exit_code == 0, done.output
        assert f"refused: {loose}: neither its name" in done.stderr
        assert f"refused: {lost}: MIDI is played from" in done.stderr
        assert ("in both splits, for want of others: alpha, first" in done.stderr) == told


@pytest.mark.parametrize("seed", range(12))
def test_generated_performances_are_playable(seed: int) -> None:
    style, notes = generate_performance(np.random.default_rng(seed), 8.0)
    assert (style, notes) == generate_performance(np.random.default_rng(seed), 8.0)
    assert len(notes) >= 3
    assert all(21 <= n.pitch <= 108 and n.end_s > n.start_s for n in notes)
    ends: dict[int, Note] = {}
    for note in notes:
        assert note.pitch not in ends or ends[note.pitch].end_s <= note.start_s
        ends[note.pitch] = note


@pytest.mark.parametrize("seed", range(12))
def test_generated_grooves_fill_their_time(seed: int) -> None:
    _, bpm, hits = generate_groove(np.random.default_rng(seed), 8.0)
    assert hits[0].time_s < 3.0 and hits[-1].time_s > 4.0
    assert all(0.0 <= h.time_s < 8.0 and 1 <= h.velocity <= 127 for h in hits)
    assert 30.0 < bpm < 250.0


def test_rooms_keep_the_direct_sound_first() -> None:
    for seed in range(12):
        response = rooms.draw_response(np.random.default_rng(seed))
        loudest = int(np.argmax(np.abs(response[0])))
        assert loudest <= 40, seed
        assert np.all(np.isfinite(response))


def test_convolution_is_the_plain_one() -> None:
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((2, 300)).astype(np.float32)
    response = rng.standard_normal((2, 50)).astype(np.float32)
    expected = [np.convolve(audio[c], response[c])[:300] for c in range(2)]
    assert np.allclose(rooms.convolve(audio, response), expected, atol=1e-4)


@pytest.mark.parametrize("high", [False, True])
def test_shelves_lift_one_side(high: bool) -> None:
    import scipy.signal

    section = rooms.shelf_section(1000.0, 6.0, high)
    _, gains = scipy.signal.sosfreqz(section[None], [20.0, 20000.0], fs=SAMPLE_RATE)
    levels = 20 * np.log10(np.abs(gains))
    assert levels == pytest.approx([0.0, 6.0] if high else [6.0, 0.0], abs=0.1)


def test_dynamics_keep_silence_and_peak() -> None:
    silence = np.zeros((2, 1000), np.float32)
    assert not np.any(rooms.compress(silence, -20.0, 4.0, 0.1))
    assert not np.any(rooms.saturate(silence, 2.0))
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = np.tile(np.sin(2 * np.pi * 100 * time) * np.exp(-3 * time), (2, 1)).astype(np.float32)
    loud = rooms.saturate(tone, 2.0)
    assert np.abs(loud).max() == pytest.approx(np.abs(tone).max(), rel=1e-3)
    squeezed = rooms.compress(tone, -20.0, 4.0, 0.1)
    ratio = np.abs(squeezed).max() / np.abs(squeezed[:, -2000:]).max()
    assert ratio < 0.7 * np.abs(tone).max() / np.abs(tone[:, -2000:]).max()
