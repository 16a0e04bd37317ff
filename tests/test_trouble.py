"""A disk that fills up, files that change, odd names, two commands at once: one line, no ruins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from batchkit import outputs, unfinished, write_folders
from conftest import Command
from recordings import make_drums, make_piano

from creative_mix.api import Settings, render_files
from creative_mix.audio import store
from creative_mix.audio.files import AudioReader
from creative_mix.batch import BatchOptions, run_batch
from creative_mix.cli.main import main
from creative_mix.errors import AudioFileError

RATE = 44100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, standin_model: Path) -> Path:
    """Eight seconds of drums and of piano, and the model."""
    folder = tmp_path_factory.mktemp("trouble")
    sf.write(folder / "drums.wav", make_drums(RATE, 8.0).T, RATE)
    sf.write(folder / "piano.wav", make_piano(RATE, 8.0).T, RATE)
    (folder / "m.onnx").symlink_to(standin_model)
    return folder


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in this process, which saves the start of another one."""

    def run(
        *arguments: str | Path, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        if cwd is not None:
            monkeypatch.chdir(cwd)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        on_kill = signal.getsignal(signal.SIGTERM)
        capfd.readouterr()
        try:
            with pytest.raises(SystemExit) as end:
                main([str(each) for each in arguments])
        finally:
            signal.signal(signal.SIGTERM, on_kill)
        out, error = capfd.readouterr()
        return subprocess.CompletedProcess(list(arguments), int(end.value.code or 0), out, error)

    return run


def mount(place: Path, options: str) -> bool:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True
    )
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    if not mount(place, "size=300k"):
        pytest.skip("a small disk can be mounted by root only")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def check_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr


class TestFullDisk:
    @pytest.mark.parametrize(
        "name,subtype", [("o.wav", "PCM_16"), ("o.wav", "DOUBLE"), ("o.flac", "PCM_24")]
    )
    def test_of_the_output(
        self, name: str, subtype: str, folder: Path, small_disk: Path, here: Command
    ) -> None:
        done = here(
            *("drums.wav", "piano.wav", "-o", small_disk / name, "--subtype", subtype),
            *("--model", "m.onnx"),
            cwd=folder,
        )
        check_line(done, name, "is the disk full?")
        assert list(small_disk.iterdir()) == []

    @pytest.mark.parametrize("spare", [0, 1, 4096, 20_000])
    @pytest.mark.parametrize("name", ["o.wav", "o.flac"])
    def test_by_the_last_bytes(
        self, name: str, spare: int, folder: Path, small_disk: Path, tmp_path: Path
    ) -> None:
        def render(output: Path) -> None:
            render_files(
                *(folder / "drums.wav", folder / "piano.wav", output),
                settings=Settings(duration_s=1.0),
                model_path=folder / "m.onnx",
            )

        render(tmp_path / name)
        size = (tmp_path / name).stat().st_size
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        (small_disk / "filler").write_bytes(bytes(max(0, free - size + 1 + spare)))
        with pytest.raises(AudioFileError, match="is the disk full"):
            render(small_disk / name)
        assert [path.name for path in small_disk.iterdir()] == ["filler"]

    @pytest.mark.parametrize("room", [0, 150_000, 290_000])
    def test_of_the_temporary_folder(
        self,
        room: int,
        folder: Path,
        small_disk: Path,
        tmp_path: Path,
        here: Command,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (small_disk / "filler").write_bytes(bytes(290_000 - room))
        monkeypatch.setattr(store, "IN_MEMORY_BYTES", 1 << 16)
        monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
        done = here(
            *("drums.wav", "piano.wav", "-o", tmp_path / "o.wav", "--model", "m.onnx"), cwd=folder
        )
        check_line(done, "free some space or set TMPDIR")
        assert [path.name for path in tmp_path.iterdir()] == ["disk"]

    def test_of_what_comes_through_a_pipe(self, folder: Path, small_disk: Path) -> None:
        with (folder / "drums.wav").open("rb") as drums:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "creative_mix.cli.main", "-", "piano.wav"),
                    *("-o", "never.wav", "--model", "m.onnx"),
                ],
                cwd=folder,
                env={**os.environ, "TMPDIR": str(small_disk)},
                stdin=drums,
                capture_output=True,
                text=True,
            )
        check_line(done, "standard input: cannot be kept in")
        assert not (folder / "never.wav").exists()

    def test_behind_standard_output(self, folder: Path, small_disk: Path) -> None:
        with (small_disk / "o.wav").open("wb") as out:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "creative_mix.cli.main", "drums.wav", "piano.wav"),
                    *("-o", "-", "--quiet", "--model", "m.onnx"),
                ],
                cwd=folder,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
            )
        check_line(done, "standard output: cannot be written (No space left on device)")


class TestReadOnly:
    def test_output_folder(self, folder: Path, tmp_path: Path, here: Command) -> None:
        place = tmp_path / "locked"
        place.mkdir()
        place.chmod(0o555)
        if os.access(place, os.W_OK) and not mount(place, "size=1m,ro"):
            pytest.skip("no folder here that cannot be written")
        try:
            done = here(
                *("drums.wav", "piano.wav", "-o", place / "o.wav", "--model", "m.onnx"), cwd=folder
            )
            check_line(done, "cannot be written", "choose another")
            done = here(
                *("batch", "drums.wav", "piano.wav", "-o", place / "out", "--model", "m.onnx"),
                cwd=folder,
            )
            check_line(done, "cannot be written", "choose another")
        finally:
            subprocess.run(["umount", "-l", str(place)], capture_output=True)

    def test_a_read_only_file_is_replaced_by_force_alone(
        self, folder: Path, tmp_path: Path, here: Command
    ) -> None:
        path = tmp_path / "o.wav"
        path.write_bytes(b"old")
        path.chmod(0o444)
        call = ("drums.wav", "piano.wav", "-o", path, "--duration", "1", "--model", "m.onnx")
        check_line(here(*call, cwd=folder), "--force")
        assert path.read_bytes() == b"old"
        assert here(*call, "--force", cwd=folder).returncode == 0
        assert sf.info(path).frames == RATE


class TestChangingFiles:
    @pytest.mark.parametrize("kind", ["wav", "flac"])
    @pytest.mark.parametrize("change", ["grows", "shrinks", "is overwritten"])
    def test_while_it_is_read(self, kind: str, change: str, tmp_path: Path) -> None:
        path = tmp_path / f"a.{kind}"
        sf.write(path, np.tile(make_piano(RATE, 10.0), 2).T, RATE)
        raw = path.read_bytes()
        with AudioReader(path) as reader:
            blocks = reader.blocks()
            next(blocks)
            os.utime(path, ns=(1, 1))
            with path.open("r+b") as file:
                if change == "grows":
                    file.seek(0, os.SEEK_END)
                    file.write(raw[-4000:])
                elif change == "shrinks":
                    file.truncate(len(raw) // 2)
                else:
                    file.write(raw[:100])
            with pytest.raises(AudioFileError, match="changed while it was read|damaged|cut short"):
                list(blocks)

    def test_one_that_is_replaced_is_read_to_its_end(self, tmp_path: Path) -> None:
        path = tmp_path / "a.wav"
        sf.write(path, make_piano(RATE, 5.0).T, RATE)
        with AudioReader(path) as reader:
            blocks = reader.blocks()
            first = next(blocks)
            sf.write(tmp_path / "b.wav", make_drums(RATE, 1.0).T, RATE)
            os.replace(tmp_path / "b.wav", path)
            rest = sum(block.shape[1] for block in blocks)
        assert first.shape[1] + rest == 5 * RATE

    def test_one_that_is_removed_too(self, tmp_path: Path) -> None:
        path = tmp_path / "a.wav"
        sf.write(path, make_piano(RATE, 5.0).T, RATE)
        with AudioReader(path) as reader:
            path.unlink()
            assert sum(block.shape[1] for block in reader.blocks()) == 5 * RATE


class TestNames:
    @pytest.mark.parametrize(
        "name",
        ["two words.wav", "été 鼓 🥁.wav", "-drums.wav", "--mix.wav", "a'b\"c$d.wav", "%s {0}.wav"],
    )
    def test_odd_ones(self, name: str, folder: Path, tmp_path: Path, here: Command) -> None:
        (tmp_path / name).write_bytes((folder / "drums.wav").read_bytes())
        (tmp_path / "out").mkdir()
        model = folder / "m.onnx"
        done = here(
            *("--duration", "1", "--model", model, "-o", f"out/{name}"),
            *("--", name, folder / "piano.wav"),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert sf.info(tmp_path / "out" / name).frames == RATE

    def test_a_leading_dash_without_help_is_told(self, folder: Path, here: Command) -> None:
        done = here("-drums.wav", "piano.wav", "-o", "o.wav", cwd=folder)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "./-NAME" in done.stderr

    def test_bytes_that_are_no_text(self, folder: Path, tmp_path: Path) -> None:
        name = os.fsencode(tmp_path) + b"/b\xff\xfe.wav"
        try:
            with open(name, "wb") as file:
                file.write((folder / "drums.wav").read_bytes())
        except OSError:
            pytest.skip("this file system takes text only")
        render_files(
            *(os.fsdecode(name), folder / "piano.wav", tmp_path / "o.wav"),
            settings=Settings(duration_s=0.5),
            model_path=folder / "m.onnx",
        )
        missing = subprocess.run(
            [
                *(sys.executable, "-m", "creative_mix.cli.main", b"\xff.wav", "piano.wav"),
                *("-o", str(tmp_path / "p.wav"), "--model", "m.onnx"),
            ],
            cwd=folder,
            capture_output=True,
        )
        assert missing.returncode == 1 and missing.stderr.count(b"\n") == 1
        assert b"no such file" in missing.stderr


def test_two_commands_at_one_place(folder: Path, tmp_path: Path) -> None:
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "creative_mix.cli.main", "drums.wav", "piano.wav"),
                *("-o", str(tmp_path / "o.wav"), "--model", "m.onnx"),
            ],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    both = [start(), start()]
    ends = [(process.communicate(timeout=120)[1], process.returncode) for process in both]
    assert sorted(code for _, code in ends) == [0, 1]
    (error,) = [line for line, code in ends if code]
    assert error.count("\n") == 1 and "--force" in error
    assert [path.name for path in tmp_path.iterdir()] == ["o.wav"]
    assert sf.info(tmp_path / "o.wav").frames == 8 * RATE


class TestBatch:
    def test_a_disk_that_fills_up_costs_the_pairs_that_do_not_fit(
        self, small_disk: Path, tmp_path: Path, standin_model: Path
    ) -> None:
        places = write_folders(tmp_path, 5, 5, duration_s=1.0)
        options = BatchOptions(model_path=standin_model, workers=1)
        # Each takes 88 kB, and two megabytes hold all of them.
        done = run_batch(*places, small_disk, options)
        assert done.count("rendered") in (2, 3)
        failed = [each for each in done.pairs if each.status == "failed"]
        assert len(failed) == 5 - done.count("rendered")
        for each in failed:
            assert "is the disk full?" in (each.error or "")
        before = outputs(small_disk)
        assert len(before) == done.count("rendered") and not unfinished(small_disk)
        assert mount(small_disk, "remount,size=2m")
        again = run_batch(*places, small_disk, options)
        assert again.count("skipped") == len(before) and not again.count("failed")
        after = outputs(small_disk)
        assert len(after) == 5 and not unfinished(small_disk)
        assert before.items() <= after.items()

    def test_a_full_disk_from_the_start_is_one_line(
        self, small_disk: Path, folder: Path, here: Command
    ) -> None:
        with (small_disk / "filler").open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    break
        done = here(
            *("batch", "drums.wav", "piano.wav", "-o", small_disk / "out", "--workers", "1"),
            *("--quiet", "--model", "m.onnx"),
            cwd=folder,
        )
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "No space left" in done.stderr or "is the disk full?" in done.stderr

    def test_a_render_into_a_batch_at_work(
        self, folder: Path, tmp_path: Path, here: Command
    ) -> None:
        call = ("batch", "drums.wav", "piano.wav", "-o", tmp_path, "--model", "m.onnx", "--quiet")
        assert here(*call, "--workers", "1", cwd=folder).returncode == 0
        (output,) = outputs(tmp_path)
        call = ("drums.wav", "piano.wav", "-o", tmp_path / output, "--model", "m.onnx")
        check_line(here(*call, cwd=folder), output, "--force")


@pytest.mark.parametrize(
    "call", [("pairs", "OUT", "--material", "."), ("evaluate", "--pairs", ".", "--json", "OUT")]
)
def test_a_place_that_cannot_be_written_is_one_line(
    call: tuple[str, ...], folder: Path, here: Command
) -> None:
    place = folder / "drums.wav" / "inside"
    check_line(
        here(*(str(place) if part == "OUT" else part for part in call), cwd=folder), "inside"
    )
