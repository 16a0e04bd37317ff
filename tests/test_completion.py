"""Shell completion, and examples in every command's help that are right."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete

from creative_mix.cli.main import COMMANDS, main


def complete(words: str) -> list[tuple[str, str]]:
    """What a shell is told for a line: (type, value)."""
    *args, incomplete = words.split(" ")
    found = BashComplete(main, {}, "creative-mix", "X").get_completions(args, incomplete)
    return [(item.type, item.value) for item in found]


def test_the_first_word_is_a_command_or_a_file() -> None:
    found = complete("")
    assert {value for kind, value in found if kind == "plain"} == set(COMMANDS)
    assert ("file", "") in found
    assert complete("ba") == [("file", "ba"), ("plain", "batch")]


def test_the_main_job_completes_without_its_name() -> None:
    assert ("plain", "--density") in complete("--den")
    assert complete("drums.wav pi") == [("file", "pi")]
    assert complete("drums.wav piano.wav -o ") == [("file", "")]
    assert [value for _, value in complete("drums.wav piano.wav --fit ")] == [
        "loop",
        "stretch",
        "none",
    ]


def test_commands_complete_their_options() -> None:
    assert ("plain", "--pair") in complete("batch drums --p")
    assert [value for _, value in complete("batch --pair n")] == ["name"]
    assert [value for _, value in complete("d.wav p.wav --bias target_")] == [
        "target_rhythm=",
        "target_harmony=",
        "target_timbre=",
    ]
    assert [value for _, value in complete("completion ")] == ["bash", "zsh", "fish"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_the_shells(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "creative_mix.cli.main", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"_CREATIVE_MIX_COMPLETE={shell}_complete" in done.stdout
    assert "creative-mix" in done.stdout


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_completes_with_it(tmp_path: Path) -> None:
    """The script, in a real shell, with the real command."""
    launcher = tmp_path / "creative-mix"
    # What names the variable is the name that the command is called by.
    launcher.write_text(
        f"#!{sys.executable}\nimport sys\nsys.argv[0] = 'creative-mix'\n"
        "from creative_mix.cli.main import main\nmain()\n"
    )
    launcher.chmod(0o755)
    script = (
        f'PATH="{tmp_path}:$PATH"; eval "$(creative-mix completion bash)"; '
        "compopt() { :; }; "
        "COMP_WORDS=(creative-mix batch --pa); COMP_CWORD=2; "
        '_creative_mix_completion creative-mix; printf "%s\\n" "${COMPREPLY[@]}"; COMPREPLY=(); '
        "COMP_WORDS=(creative-mix we); COMP_CWORD=1; "
        '_creative_mix_completion creative-mix; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["--pair", "weights"]


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def examples(name: str) -> list[str]:
    """The lines of a command's help that show how it is called."""
    text = command(name).help or ""
    return [line.strip() for line in text.splitlines() if line.strip().startswith("creative-mix ")]


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_help_shows_examples_that_parse(name: str) -> None:
    shown = examples(name)
    assert len(shown) >= 2 or name == "completion"
    assert shown
    for line in shown:
        words = shlex.split(line.split(" | ")[0].split(" > ")[0].split(" >> ")[0].split(" < ")[0])
        assert words[1] in COMMANDS or name == "render"
        if name != "render":
            assert words[1] == name
        for word in words:
            if word.startswith("--"):
                known = {opt for each in command(name).params for opt in each.opts}
                assert word in known, f"{word} in {line}"


def test_the_help_of_the_whole_shows_them_too() -> None:
    text = main.get_help(click.Context(main, info_name="creative-mix"))
    for line in examples("render"):
        assert line in text
    for name in COMMANDS:
        assert f"\n  {name} " in text
