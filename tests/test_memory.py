"""Memory does not grow with length, and an interrupted job leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from recordings import make_drums, make_piano

from creative_mix.api import render_files

RATE = 44100


def write_long(path: Path, one: np.ndarray, repeats: int) -> None:
    with sf.SoundFile(path, "w", RATE, one.shape[0], "PCM_16") as file:
        for _ in range(repeats):
            file.write(one.T)


def start(folder: Path, model: Path, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "creative_mix.cli.main", "drums.wav", "piano.wav"),
            *("-o", "out.wav", "--quiet", "--model", str(model), *options),
        ],
        cwd=folder,
    )


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs wait4 to know a process's peak")
def test_memory_is_flat(standin_model: Path, tmp_path: Path) -> None:
    peaks = []
    for minutes in (1, 4):
        write_long(tmp_path / "drums.wav", make_drums(RATE, 10.0), 6 * minutes)
        write_long(tmp_path / "piano.wav", make_piano(RATE, 10.0), 6 * minutes)
        process = start(tmp_path, standin_model, "--force")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        assert sf.info(tmp_path / "out.wav").frames == minutes * 60 * RATE
        peaks.append(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    # Four minutes hold 127 MB more of float32 than one.
    assert peaks[1] - peaks[0] < 40e6


def test_an_interrupted_job_leaves_nothing(standin_model: Path, tmp_path: Path) -> None:
    write_long(tmp_path / "drums.wav", make_drums(RATE, 1.0), 1)

    def interrupt(share: float) -> None:
        assert list(tmp_path.glob(".out.*.part"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_files(
            *(tmp_path / "drums.wav", tmp_path / "drums.wav", tmp_path / "out.wav"),
            model_path=standin_model,
            progress=interrupt,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["drums.wav"]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_a_killed_job_leaves_nothing(standin_model: Path, tmp_path: Path) -> None:
    write_long(tmp_path / "drums.wav", make_drums(RATE, 1.0), 1)
    code = (
        "import os, signal, creative_mix.intake as intake\n"
        "from creative_mix.cli.main import main\n"
        "intake.estimate_tempo = lambda audio: os.kill(os.getpid(), signal.SIGTERM)\n"
        f"main(['drums.wav', 'drums.wav', '-o', 'out.wav', '--model', {str(standin_model)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60)
    assert done.returncode == 143
    assert [path.name for path in tmp_path.iterdir()] == ["drums.wav"]
