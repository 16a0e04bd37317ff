"""The tutorial's commands, run as they stand: from the first to the last, in one folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mido
import pytest
import soundfile as sf

from creative_mix.constants import COMPONENT_NAMES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SECONDS = 1.6

WRITES = """
funk.wav part.wav loud.wav half.wav funk.html funk.json sparse.wav even.wav own.wav drummy.wav
build.csv build.wav funk.mid weights.csv out/funk.wav out/waltz.wav out/breakbeat.wav python.wav
completion.bash
""".split()


def blocks(path: Path) -> list[str]:
    """The bash blocks of a page, without those that say that they are not run."""
    found = re.findall(r"(<!-- not run[^>]*>\n)?```bash\n(.*?)```", path.read_text(), re.S)
    return [code for skipped, code in found if not skipped]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, new_model: Path) -> Path:
    """A folder with short samples, and with commands that find the stand-in as their model."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "samples").mkdir()
    for path in sorted((ROOT / "samples").glob("*.flac")):
        samples, rate = sf.read(path, always_2d=True)
        sf.write(folder / "samples" / path.name, samples[: int(SECONDS * rate)], rate)
    programs = folder / "programs"
    programs.mkdir()
    (programs / "sitecustomize.py").write_text(
        "from pathlib import Path\nfrom creative_mix import renderer\n"
        f"renderer.WEIGHTS_PATH = Path({str(new_model)!r})\n"
    )
    starters = {"creative-mix": "-m creative_mix.cli.main", "python": ""}
    for name, module in starters.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        (programs / name).chmod(0o755)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_every_command_of_the_tutorial_works(place: Path) -> None:
    code = blocks(DOCS / "tutorial.md")
    assert len(code) >= 12
    environment = {
        **os.environ,
        "PATH": f"{place / 'programs'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(place / "programs"),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(code)],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name in WRITES:
        assert (place / name).stat().st_size > 50, name
    assert sf.info(place / "part.wav").duration == pytest.approx(3.0)
    assert sf.info(place / "funk.wav").duration == pytest.approx(SECONDS, abs=1e-3)
    assert len(mido.MidiFile(str(place / "funk.mid")).tracks) == 2
    assert (place / "weights.csv").read_text().count("\n") > SECONDS * 86
    assert "3 rendered, 0 there already" in done.stdout
    assert "0 rendered, 3 there already" in done.stdout
    assert re.search(r"\d+ notes, the first one (36|72) at 0\.\d+ s", done.stdout)


@pytest.mark.parametrize("name", ["tutorial.md", "control.md"])
def test_the_docs_name_what_there_is(name: str) -> None:
    from click import Context

    from creative_mix.cli.main import COMMANDS, main

    text = (DOCS / name).read_text()
    options = {"--help", "--version"}
    for command in COMMANDS:
        found = main.get_command(Context(main), command)
        assert found is not None
        options |= {opt for each in found.params for opt in [*each.opts, *each.secondary_opts]}
    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
        assert option in options, option
    for component in re.findall(r"\b(?:input|target)_[a-z]+", text):
        assert component in COMPONENT_NAMES, component
    for path in re.findall(r"`((?:docs|samples|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


def test_the_table_of_scores_is_the_reports() -> None:
    from creative_mix.report import scoring

    text = (DOCS / "control.md").read_text()
    for key in scoring._WORDS:
        assert f"`{key}`" in text, key
