"""Which recordings of two folders go together, and where their renders go."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from creative_mix.batch.pairing import Pairing, Source, find_sources, pair_up
from creative_mix.errors import AudioFileError, OptionError
from creative_mix.options import PairRule


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def sources(root: str, *names: str) -> list[Source]:
    return [Source(Path(root, name), PurePosixPath(name)) for name in names]


def pair(drums: list[Source], pianos: list[Source], rule: PairRule) -> Pairing:
    return pair_up(drums, pianos, rule, ".wav")


def placed(pairing: Pairing) -> dict[str, tuple[str, str]]:
    return {str(p.output): (p.drums.as_posix(), p.piano.as_posix()) for p in pairing.pairs}


def found(place: Path | str, root: Path, made: set[Path] | None = None) -> list[str]:
    return [str(s.path.relative_to(root)) for s in find_sources(place, "drums", made or set())]


def test_a_folder_is_searched_with_all_folders_in_it(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.flac", "a/1.WAV", "top.mp3", "notes.txt", "a/._1.wav", ".hidden/3.wav")
    assert found(tmp_path, tmp_path) == ["a/1.WAV", "b/2.flac", "top.mp3"]


def test_numbers_sort_by_value(tmp_path: Path) -> None:
    touch(tmp_path, "take10.wav", "take2.wav", "take1.wav", "take02.wav")
    order = ["take1.wav", "take02.wav", "take2.wav", "take10.wav"]
    assert found(tmp_path, tmp_path) == order


@pytest.mark.parametrize(
    ("pattern", "relative"),
    [
        ("*.wav", ["top.wav"]),
        ("**/*.wav", ["a/1.wav", "a/deep/3.wav", "top.wav"]),
        ("a/*", ["1.wav"]),
        ("[ab]/*.wav", ["a/1.wav"]),
        ("a/**/*.wav", ["1.wav", "deep/3.wav"]),
        ("a/1.wav", ["1.wav"]),
    ],
)
def test_the_tree_of_a_pattern_begins_where_it_varies(
    tmp_path: Path, pattern: str, relative: list[str]
) -> None:
    touch(tmp_path, "top.wav", "a/1.wav", "a/deep/3.wav", "a/text.txt")
    some = find_sources(str(tmp_path / pattern), "drums")
    assert [str(source.relative) for source in some] == relative


def test_a_name_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "loop [120].wav")
    assert found(tmp_path / "loop [120].wav", tmp_path) == ["loop [120].wav"]


@pytest.mark.parametrize("place", ["nowhere", "empty", "*.wav", "text"])
def test_nothing_to_find_is_said(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "text/a.txt")
    with pytest.raises(AudioFileError, match="drums"):
        find_sources(tmp_path / place, "drums")


def test_what_a_batch_made_is_no_input(tmp_path: Path) -> None:
    touch(tmp_path, "beat.wav", "out/beat+keys.wav")
    made = {(tmp_path / "out" / "beat+keys.wav").resolve()}
    assert found(tmp_path, tmp_path, made) == ["beat.wav"]


def test_zip_pairs_in_order_and_keeps_the_drums_tree() -> None:
    pairing = pair(sources("d", "a/1.wav", "b/2.flac"), sources("p", "x.wav", "q/y.wav"), "zip")
    assert placed(pairing) == {
        "a/1+x.wav": ("d/a/1.wav", "p/x.wav"),
        "b/2+y.wav": ("d/b/2.flac", "p/q/y.wav"),
    }


def test_zip_refuses_lists_of_unlike_length() -> None:
    with pytest.raises(OptionError, match="2 drums and 1 pianos"):
        pair(sources("d", "1.wav", "2.wav"), sources("p", "x.wav"), "zip")


def test_product_pairs_each_with_every_one_and_keeps_both_trees() -> None:
    pairing = pair(sources("d", "a/1.wav", "2.wav"), sources("p", "q/x.wav", "r/x.wav"), "product")
    assert placed(pairing) == {
        "a/q/1+x.wav": ("d/a/1.wav", "p/q/x.wav"),
        "a/r/1+x.wav": ("d/a/1.wav", "p/r/x.wav"),
        "q/2+x.wav": ("d/2.wav", "p/q/x.wav"),
        "r/2+x.wav": ("d/2.wav", "p/r/x.wav"),
    }


def test_name_pairs_the_same_paths_with_or_without_their_parts() -> None:
    pairing = pair(
        sources(
            "d", "a/funk.drums.wav", "Waltz Drums.wav", "same.wav", "a/alone.wav", "b/drums.wav"
        ),
        sources(
            "p", "waltz_piano.flac", "a/funk.piano.wav", "same.flac", "alone.wav", "B/Piano.wav"
        ),
        "name",
    )
    assert placed(pairing) == {
        "a/funk.wav": ("d/a/funk.drums.wav", "p/a/funk.piano.wav"),
        "Waltz.wav": ("d/Waltz Drums.wav", "p/waltz_piano.flac"),
        "b.wav": ("d/b/drums.wav", "p/B/Piano.wav"),
        "same.wav": ("d/same.wav", "p/same.flac"),
    }
    assert [path.as_posix() for path in pairing.alone] == ["d/a/alone.wav", "p/alone.wav"]


def test_name_refuses_one_name_for_two() -> None:
    with pytest.raises(OptionError, match=r"a\.wav.*a\.flac.*same name"):
        pair(sources("d", "a.wav", "a.flac"), sources("p", "a.wav"), "name")


def test_name_without_a_match_names_the_remedy() -> None:
    with pytest.raises(OptionError, match="--pair zip"):
        pair(sources("d", "a.wav"), sources("p", "b.wav"), "name")


@pytest.mark.parametrize(
    "drums",
    [("1.wav", "1.flac"), ("Beat.wav", "beat.wav"), ("caf\u00e9.wav", "cafe\u0301.wav")],
)
def test_two_pairs_of_one_output_are_refused(drums: tuple[str, str]) -> None:
    with pytest.raises(OptionError, match="would both be"):
        pair(sources("d", *drums), sources("p", "x.wav"), "product")


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(OptionError, match="too long"):
        pair(sources("d", "b" * 130 + ".wav"), sources("p", "k" * 130 + ".wav"), "zip")
