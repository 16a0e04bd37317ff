"""A bias over time: read from CSV, given as columns, and what it is in each frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from creative_mix.constants import COMPONENT_NAMES, HOP_LENGTH, SAMPLE_RATE
from creative_mix.curve import BiasCurve
from creative_mix.errors import CurveFileError, OptionError

RHYTHM = COMPONENT_NAMES.index("target_rhythm")
TIMBRE = COMPONENT_NAMES.index("input_timbre")


def read(tmp_path: Path, text: str) -> BiasCurve:
    path = tmp_path / "curve.csv"
    path.write_text(text, encoding="utf-8")
    return BiasCurve.read(path)


def test_lines_between_points_and_levels_beyond(tmp_path: Path) -> None:
    curve = read(tmp_path, "time_s,target_rhythm\n1,0\n3,4\n")
    values = curve.at([0.0, 1.0, 1.5, 2.0, 3.0, 99.0])
    np.testing.assert_allclose(values[RHYTHM], [0, 0, 1, 2, 4, 4])
    assert not np.delete(values, RHYTHM, 0).any()


def test_an_empty_cell_is_no_point_and_two_at_one_time_are_a_jump(tmp_path: Path) -> None:
    curve = read(
        tmp_path,
        "\ufefftime_s, input_timbre ,target_rhythm\n0,0,1\n1,,3\n\n2,4,\n2,-4,\n3,-4,5\n",
    )
    values = curve.at([0.5, 1.0, 1.99, 2.01, 2.0])
    np.testing.assert_allclose(values[TIMBRE][:2], [1, 2])
    assert values[TIMBRE][2] > 3.9 and values[TIMBRE][3] == -4
    np.testing.assert_allclose(values[RHYTHM][[0, 1, 4]], [2, 3, 4])


def test_frames_have_the_bias_of_their_middles() -> None:
    curve = BiasCurve.of({"time_s": [0, 1], "target_rhythm": [0, 1]})
    values = curve.frames(-3, 5)[RHYTHM]
    middle = 0.5 * HOP_LENGTH / SAMPLE_RATE
    np.testing.assert_allclose(values[:3], 0)
    np.testing.assert_allclose(values[3:5], [middle, 3 * middle], rtol=1e-5)


def test_the_digest_is_of_what_it_says(tmp_path: Path) -> None:
    first = read(tmp_path, "time_s,input_timbre,target_rhythm\n0,1,2\n2.50,1,3\n")
    same = read(tmp_path, "time_s,target_rhythm,input_timbre\n0.0,2.0,1.0\n2.5,3,1\n")
    other = read(tmp_path, "time_s,input_timbre,target_rhythm\n0,1,2\n2.5,1,3.1\n")
    assert first.digest == same.digest != other.digest
    assert not first.is_flat and BiasCurve.of({"time_s": [0], "input_timbre": [0]}).is_flat


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "first line must name the columns"),
        ("seconds,target_rhythm\n0,1\n", "first line must name the columns"),
        ("time_s,groove\n0,1\n", "'groove' is unknown"),
        ("time_s,target_rhythm,target_rhythm\n0,1,2\n", "two columns"),
        ("time_s,target_rhythm\n0,much\n", "line 2: 'much' in target_rhythm is not a number"),
        ("time_s,target_rhythm\nsoon,1\n", "line 2: 'soon' in time_s is not a number"),
        ("time_s,target_rhythm\n0,1\n1,2,3\n", "line 3 has 3 cells where 2"),
        ("time_s,target_rhythm\n0,9\n", "9 at 0 s is out of range; give -8 to 8"),
        ("time_s,target_rhythm\n0,nan\n", "out of range"),
        ("time_s,target_rhythm\n2,1\n1,1\n", "times must not fall"),
        ("time_s,target_rhythm\n-1,1\n", "0 s or more"),
        ("time_s,target_rhythm\n", "holds no points"),
        ("time_s,target_rhythm\n0,\n", "holds no points"),
    ],
)
def test_what_is_no_curve_is_named_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(CurveFileError, match=r"curve\.csv: ") as error:
        read(tmp_path, text)
    assert told in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CurveFileError, match="nowhere.csv: cannot be read"):
        BiasCurve.read(tmp_path / "nowhere.csv")
    with pytest.raises(CurveFileError, match="cannot be read"):
        BiasCurve.read(tmp_path)
    (tmp_path / "sound.csv").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(CurveFileError, match="not a CSV file"):
        BiasCurve.read(tmp_path / "sound.csv")


def test_columns_are_checked_too() -> None:
    with pytest.raises(OptionError, match="needs a column time_s"):
        BiasCurve.of({"target_rhythm": [1]})
    with pytest.raises(OptionError, match="2 times and 1 values"):
        BiasCurve.of({"time_s": [0, 1], "target_rhythm": [1]})
