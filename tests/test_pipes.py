"""Standard input, standard output and named pipes, through the real command."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from recordings import make_drums, make_piano

from creative_mix.audio import FloatArray

RATE = 44100
COMMAND = (sys.executable, "-m", "creative_mix.cli.main")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, standin_model: Path) -> Path:
    """Drums, a piano, the model, and what the command makes of them in files."""
    folder = tmp_path_factory.mktemp("pipes")
    sf.write(folder / "drums.wav", make_drums(RATE, 1.0).T, RATE)
    sf.write(folder / "piano.wav", make_piano(RATE, 1.0).T, RATE)
    (folder / "m.onnx").symlink_to(standin_model)
    done = run(folder, "drums.wav", "piano.wav", "-o", "whole.wav")
    assert done.returncode == 0, done.stderr
    return folder


def run(
    folder: Path, *arguments: str, given: bytes | None = b"", **more: object
) -> subprocess.CompletedProcess[bytes]:
    more.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        [*COMMAND, *arguments, "--model", "m.onnx"],
        input=given,
        stderr=subprocess.PIPE,
        cwd=folder,
        timeout=120,
        **more,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("part", ["drums", "piano"])
def test_through_pipes_it_is_the_same(part: str, folder: Path) -> None:
    names = ["-" if part == name else f"{name}.wav" for name in ("drums", "piano")]
    given = (folder / f"{part}.wav").read_bytes()
    done = run(folder, *names, "-o", "-", given=given)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (folder / "whole.wav").read_bytes()
    assert b"device: " in done.stderr and b"standard output: 1.00 s" in done.stderr
    quiet = run(folder, *names, "-o", "-", "--quiet", given=given)
    assert (quiet.stdout, quiet.stderr) == (done.stdout, b"")


def unsized(samples: FloatArray, data: int, riff: int = 0xFFFFFFFF) -> bytes:
    """A WAV as a program writes it that cannot go back and fill in the lengths."""
    numbers = (samples.T * 32767).astype("<i2").tobytes()
    described = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    return b"".join(
        [
            struct.pack("<4sI4s", b"RIFF", riff, b"WAVE"),
            struct.pack("<4sI", b"fmt ", len(described)) + described,
            struct.pack("<4sI", b"data", data) + numbers,
        ]
    )


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFEFFC], ids=hex)
def test_lengths_that_other_programs_leave_unsaid(length: int, folder: Path) -> None:
    drums = make_drums(RATE, 1.0)
    done = run(folder, "-", "piano.wav", "-o", "-", "--quiet", given=unsized(drums, length, length))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == (folder / "whole.wav").stat().st_size


@pytest.mark.parametrize(
    "arguments,given,message,code",
    [
        (("-", "-", "-o", "-"), b"", "cannot both come from standard input", 2),
        (("-", "piano.wav", "-o", "-"), b"", "standard input: the file is empty", 1),
        (("drums.wav", "-", "-o", "-"), b"hello", "standard input: not a recording", 1),
        (("-", "piano.wav", "-o", "-"), b"cut", "standard input: cut short", 1),
        (("drums.wav", "piano.wav", "-o", "-", "--subtype", "PCM_S8"), b"", "cannot hold", 1),
    ],
)
def test_what_is_refused(
    arguments: tuple[str, ...], given: bytes, message: str, code: int, folder: Path
) -> None:
    if given == b"cut":
        given = (folder / "drums.wav").read_bytes()[:30_000]
    done = run(folder, *arguments, given=given)
    assert done.returncode == code and done.stdout == b""
    assert done.stderr.count(b"\n") == 1 and message in done.stderr.decode()


def test_a_reader_that_goes_away(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run(folder, "drums.wav", "piano.wav", "-o", "-", "--quiet", stdout=writing)
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == (
        b"creative-mix: standard output: was closed before everything was written\n"
    )


@pytest.mark.parametrize("side", ["in", "out"])
def test_a_terminal_is_no_pipe(side: str, folder: Path) -> None:
    ours, theirs = pytest.importorskip("pty").openpty()
    names = ("-" if side == "in" else "drums.wav", "piano.wav")
    given = {"given": None, "stdin": theirs} if side == "in" else {"stdout": theirs}
    done = run(folder, *names, "-o", "-" if side == "out" else "out.wav", **given)  # type: ignore[arg-type]
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1
    assert (b"nothing comes in" if side == "in" else b"is a terminal") in done.stderr


def test_a_named_pipe_is_read(folder: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "drums.pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(["sh", "-c", 'cat "$0" > "$1"', str(folder / "drums.wav"), str(pipe)])
    done = run(folder, str(pipe), "piano.wav", "-o", "-", "--quiet")
    assert writer.wait(60) == 0
    assert done.stdout == (folder / "whole.wav").read_bytes()


def test_a_file_whose_name_is_a_dash(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "-").write_bytes((folder / "drums.wav").read_bytes())
    (tmp_path / "m.onnx").symlink_to(folder / "m.onnx")
    done = run(tmp_path, "./-", str(folder / "piano.wav"), "-o", "-", "--quiet")
    assert done.stdout == (folder / "whole.wav").read_bytes()


def test_samples_of_a_pipe_are_those_of_the_file(folder: Path, tmp_path: Path) -> None:
    done = run(folder, "drums.wav", "piano.wav", "-o", "-", "--subtype", "FLOAT")
    (tmp_path / "out.wav").write_bytes(done.stdout)
    piped, rate = sf.read(tmp_path / "out.wav")
    whole, _ = sf.read(folder / "whole.wav")
    assert rate == RATE and piped.shape == whole.shape
    assert np.abs(piped - whole).max() < 2 / 32768
