"""What ships, and what importing it costs."""

from __future__ import annotations

import configparser
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

import pytest
import soundfile as sf
from conftest import Command
from recordings import make_drums, make_piano

import creative_mix

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "librosa", "scipy", "mir_eval", "onnx")


HELPERS = {"__init__", "main", "batch_display", "mixing_options", "session_options"}
"""Modules of the command line that are no commands."""


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_every_package_folder_is_listed() -> None:
    listed = set(setup_cfg()["options"]["packages"].split())
    found = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for top in ("creative_mix", "cli", "export")
        for path in (ROOT / top).rglob("__init__.py")
    }
    mapped = {name if name.startswith("creative_mix") else f"creative_mix.{name}" for name in found}
    assert listed == mapped


def test_every_file_that_is_no_module_ships() -> None:
    patterns = setup_cfg()["options.package_data"]
    found = 0
    for path in (ROOT / "creative_mix").rglob("*"):
        if path.is_dir() or path.suffix == ".py" or "__pycache__" in path.parts:
            continue
        package = path.parent
        while not (package / "__init__.py").exists():
            package = package.parent
        name = ".".join(package.relative_to(ROOT).parts)
        inside = path.relative_to(package).as_posix()
        assert any(fnmatch(inside, each) for each in patterns.get(name, "").split()), path
        found += 1
    assert found > 3


def test_version_is_one() -> None:
    assert creative_mix.__version__ in (ROOT / "CHANGELOG.md").read_text()


def test_every_command_is_there() -> None:
    from creative_mix.cli.main import COMMANDS

    modules = {path.stem for path in (ROOT / "cli").glob("*.py")} - HELPERS
    assert set(COMMANDS) == modules


@pytest.mark.parametrize(
    "code",
    [
        "import creative_mix",
        "import creative_mix.api",
        "import creative_mix.batch",
        "from creative_mix.cli.main import main; main(['--help'], standalone_mode=False)",
        "from creative_mix.cli.main import main; main(['render', '--help'], standalone_mode=False)",
        "from creative_mix.cli.main import main; main(['batch', '--help'], standalone_mode=False)",
        "import creative_mix.report.writing",
    ],
)
def test_light_imports(code: str) -> None:
    heavy = (*HEAVY, "onnxruntime", "ray", "mido")
    probe = f"{code}\nimport sys\nprint('HEAVY', [n for n in {heavy!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_a_render_is_light(model_path: Path, tmp_path: Path) -> None:
    sf.write(tmp_path / "d.wav", make_drums(44100, 1.0).T, 44100)
    sf.write(tmp_path / "p.wav", make_piano(44100, 1.0).T, 44100)
    probe = (
        "from creative_mix.cli.main import main\n"
        f"main(['d.wav', 'p.wav', '-o', 'o.wav', '--model', {str(model_path)!r}],"
        " standalone_mode=False)\n"
        f"import sys\nprint('HEAVY', [n for n in {HEAVY!r} if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_help_is_quick(command: Command) -> None:
    best = 9.0
    for _ in range(3):
        start = time.perf_counter()
        assert command("--help").returncode == 0
        best = min(best, time.perf_counter() - start)
    assert best < 0.4


def test_version(command: Command) -> None:
    done = command("--version")
    assert done.stdout == f"creative-mix {creative_mix.__version__}\n"


def test_a_missing_package_names_its_extra(command: Command, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')\n")
    done = command(
        "export", "any.safetensors", "-o", "any.onnx", cwd=tmp_path, PYTHONPATH=str(tmp_path)
    )
    assert done.returncode == 1
    assert done.stderr == (
        "creative-mix: export needs torch, which is missing: pip install 'creative-mix[export]'\n"
    )


def test_nothing_to_do_shows_the_help(command: Command) -> None:
    done = command()
    assert done.returncode == 2
    assert "DRUMS PIANO -o OUTPUT" in done.stderr
