"""Batches: what is rendered, what is not rendered again, and what a failure costs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf
from batchkit import counts, outputs, states, summary, unfinished, write_folders
from conftest import Command

from creative_mix import __version__
from creative_mix.batch import BatchOptions, Summary, run_batch
from creative_mix.batch.digests import digest
from creative_mix.batch.folder import OutputFolder
from creative_mix.batch.worker import Job, PairRenderer, WorkerSpec
from creative_mix.errors import AudioFileError, ModelFileError, OptionError
from creative_mix.mixing import Settings

Render = Callable[..., tuple[int, int, int]]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return write_folders(tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def render(folders: tuple[Path, Path], out: Path, standin_model: Path) -> Render:
    """Runs a batch with one worker; how many pairs were rendered, skipped and failed."""

    def run(**options: object) -> tuple[int, int, int]:
        chosen: dict[str, object] = {"model_path": standin_model, "workers": 1, **options}
        return told(run_batch(*folders, out, BatchOptions(**chosen)))  # type: ignore[arg-type]

    return run


def told(done: Summary) -> tuple[int, int, int]:
    return done.count("rendered"), done.count("skipped"), done.count("failed")


def flip(path: Path, offset: int = -1) -> None:
    """Change a byte and nothing else, not even the time."""
    state = path.stat()
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


def test_the_command_renders_what_the_single_command_does(
    command: Command, folders: tuple[Path, Path], out: Path, standin_model: Path, tmp_path: Path
) -> None:
    options = ("--model", standin_model, "--mix", "0.3", "--bias", "input_timbre=2")
    options += ("--fit", "none", "--subtype", "PCM_24", "--no-dither", "--threads", "1")
    options += ("--start", "0.1", "--tail", "0.2", "--loudness", "-20", "--clip", "limit")
    done = command("batch", *folders, "-o", out, *options, "--summary", tmp_path / "told.json")
    assert done.returncode == 0, done.stderr
    assert sorted(outputs(out)) == [f"beat{n}+keys{n}.wav" for n in range(3)]
    assert done.stdout.startswith(f"{out}: 3 rendered, 0 there already, 0 failed; 0:02 of audio")
    single = tmp_path / "single.wav"
    done = command(folders[0] / "beat1.wav", folders[1] / "keys1.wav", "-o", single, *options)
    assert done.returncode == 0, done.stderr
    assert outputs(out)["beat1+keys1.wav"] == single.read_bytes()
    assert json.loads((tmp_path / "told.json").read_text()) == summary(out)
    record = summary(out)["pairs"][1]
    assert (record["status"], record["why"], record["size"]) == (
        "rendered",
        "new",
        single.stat().st_size,
    )
    assert record["result"]["frames"] == sf.info(single).frames
    assert unfinished(out) == []


def test_a_failure_is_named_and_the_others_go_on(
    command: Command, folders: tuple[Path, Path], out: Path, standin_model: Path
) -> None:
    (folders[0] / "beat1.wav").write_text("not a recording")
    done = command("batch", *folders, "-o", out, "--model", standin_model, "--workers", "1")
    assert done.returncode == 1
    failures = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert failures == [
        f"failed: {folders[0] / 'beat1.wav'}: not a recording that can be read; "
        "give one of WAV, FLAC, OGG, MP3"
    ]
    assert sorted(outputs(out)) == ["beat0+keys0.wav", "beat2+keys2.wav"]
    assert counts(out) == (2, 0, 1, 0)
    assert unfinished(out) == []


def test_what_is_there_is_not_rendered_again(render: Render, out: Path) -> None:
    assert render() == (3, 0, 0)
    before = states(out)
    assert render() == (0, 3, 0)
    assert summary(out)["workers"] == 0
    assert states(out) == before
    assert render(force=True) == (3, 0, 0)
    assert not set(states(out).values()) & set(before.values())


def test_content_decides_and_not_time(
    render: Render, folders: tuple[Path, Path], out: Path
) -> None:
    render()
    before = states(out)
    for path in (folders[0] / "beat0.wav", out / "beat2+keys2.wav"):
        os.utime(path, (1e9, 1e9))
    assert render() == (0, 3, 0)
    flip(folders[1] / "keys1.wav")
    assert render() == (1, 2, 0)
    assert [record["why"] for record in summary(out)["pairs"]] == [None, "piano changed", None]
    assert states(out)["beat0+keys0.wav"] == before["beat0+keys0.wav"]
    assert states(out)["beat1+keys1.wav"] != before["beat1+keys1.wav"]


def test_options_and_model_decide(
    render: Render, standin_model: Path, tmp_path: Path, out: Path
) -> None:
    render()
    first = outputs(out)
    settings = Settings(bias={"input_rhythm": 2.0})
    assert render(settings=settings) == (3, 0, 0)
    assert render(settings=settings, threads=2) == (0, 3, 0)  # rounding is no reason
    assert not set(outputs(out).values()) & set(first.values())
    assert render(settings=settings, subtype="PCM_24") == (3, 0, 0)
    assert summary(out)["pairs"][0]["why"] == "options changed"
    other = tmp_path / "other.onnx"
    other.write_bytes(standin_model.read_bytes().replace(b"standin", b"another"))
    assert render(settings=settings, subtype="PCM_24", model_path=other) == (3, 0, 0)
    assert summary(out)["pairs"][0]["why"] == "model changed"
    assert render() == (3, 0, 0)
    assert outputs(out) == first


def test_an_output_that_is_not_whole_is_rendered_again(render: Render, out: Path) -> None:
    render()
    whole = outputs(out)
    (out / "beat0+keys0.wav").write_bytes(whole["beat0+keys0.wav"][:-999])
    (out / "beat1+keys1.wav").unlink()
    assert render() == (2, 1, 0)
    assert [r["why"] for r in summary(out)["pairs"]] == ["output damaged", "output missing", None]
    assert outputs(out) == whole


def test_what_others_made_is_not_replaced(render: Render, out: Path) -> None:
    out.mkdir()
    (out / "beat0+keys0.wav").write_bytes(b"precious")
    assert render() == (2, 0, 1)
    flip(out / "beat1+keys1.wav")  # edited since
    edited = outputs(out)
    assert render() == (0, 1, 2)
    reasons = [record["error"] for record in summary(out)["pairs"]]
    assert "exists already, from elsewhere" in reasons[0]
    assert "was changed since it was made" in reasons[1]
    assert outputs(out) == edited
    assert render(force=True) == (3, 0, 0)
    assert outputs(out)["beat0+keys0.wav"] != b"precious"


def test_outputs_among_the_inputs(
    folders: tuple[Path, Path], standin_model: Path, tmp_path: Path
) -> None:
    options = BatchOptions("product", model_path=standin_model, workers=1)
    drums = folders[0]
    assert told(run_batch(drums, folders[1], drums, options)) == (9, 0, 0)
    assert told(run_batch(drums, folders[1], drums, options)) == (0, 9, 0)
    same = tmp_path / "same"
    same.mkdir()
    (same / "a.drums.wav").write_bytes((drums / "beat0.wav").read_bytes())
    (same / "a.wav").write_bytes((drums / "beat0.wav").read_bytes())
    options = BatchOptions("name", model_path=standin_model, workers=1, force=True)
    found = run_batch(same / "a.drums.wav", same / "a.wav", same, options)
    assert "is an input too" in str(found.pairs[0].error)


def test_a_recording_that_changes_while_it_is_read_is_no_result(
    folders: tuple[Path, Path], standin_model: Path, tmp_path: Path
) -> None:
    spec = WorkerSpec(
        Settings(), None, True, "cpu", 1, str(standin_model), digest(standin_model), __version__
    )
    renderer = PairRenderer(spec)
    renderer.load()
    drums, piano = folders[0] / "beat0.wav", folders[1] / "keys0.wav"
    job = Job(0, str(drums), str(piano), "out.wav", str(tmp_path / "part.wav"))
    assert renderer.render(job).error is None
    outcome = renderer.render(job, lambda share: flip(piano))
    assert outcome.error == f"{piano}: was changed while it was rendered; run it again"


def test_one_batch_at_a_time_in_a_folder(render: Render, out: Path) -> None:
    with OutputFolder(out), pytest.raises(AudioFileError, match="another batch"):
        render()
    assert render() == (3, 0, 0)


def test_what_keeps_every_pair_from_being_rendered_is_said_once(
    render: Render, out: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_text("no model")
    with pytest.raises(ModelFileError, match="not a model"):
        render(model_path=bad)
    assert counts(out) == (0, 0, 0, 3)
    assert unfinished(out) == []


@pytest.mark.parametrize(
    "option", [{"pair": "names"}, {"format": "mp3"}, {"engine": "rya"}, {"device": "gpu"}]
)
def test_a_choice_that_there_is_not_is_refused(option: dict[str, Any]) -> None:
    ((name, value),) = option.items()
    with pytest.raises(OptionError, match=f"{name} '{value}' is unknown; choose one of"):
        BatchOptions(**option)


def test_options_that_do_not_go_together() -> None:
    with pytest.raises(OptionError, match="engine ray"):
        BatchOptions(address="10.0.0.1:6379")
    with pytest.raises(OptionError, match="workers must be at least 1"):
        BatchOptions(workers=0)


def test_a_dry_run_writes_nothing(command: Command, folders: tuple[Path, Path], out: Path) -> None:
    done = command("batch", *folders, "-o", out, "--pair", "product", "--dry-run")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 9
    assert lines[1] == (
        f"{folders[0] / 'beat0.wav'} + {folders[1] / 'keys1.wav'} -> {out / 'beat0+keys1.wav'}"
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (("--workers", "0"), 2, "--workers"),
        (("--address", "x"), 2, "--engine ray"),
        (("--pair", "random"), 2, "--pair"),
        (("--format", "flac", "--subtype", "FLOAT"), 1, "cannot hold FLOAT"),
        (("--model", "nowhere.onnx"), 1, "no such model file"),
    ],
)
def test_wrong_options(
    command: Command,
    folders: tuple[Path, Path],
    out: Path,
    options: tuple[str, ...],
    code: int,
    word: str,
) -> None:
    done = command("batch", *folders, "-o", out, *options)
    assert done.returncode == code
    assert word in done.stderr and len(done.stderr.splitlines()) == 1
    assert outputs(out) == {}


def test_a_folder_that_cannot_be_written(render: Render, out: Path) -> None:
    out.write_text("a file")
    with pytest.raises(AudioFileError, match="cannot be written"):
        render()
