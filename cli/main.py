"""The command `creative-mix`: the main job in its bare form, and subcommands beside it."""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from .. import __version__
from ..errors import CreativeMixError

DEFAULT = "render"

COMMANDS = {
    "render": "Render drums and piano to a file; what is done when no command is named.",
    "batch": "Render folders of drums and pianos, on one machine or many.",
    "weights": "Write what is selected and struck over time as CSV, without the audio.",
    "pairs": "Make pairs of drums and piano of which the answer is known.",
    "train": "Train a model on such pairs.",
    "serve": "Serve a page that renders, for a browser or, through HARP, a DAW.",
    "info": "Print what a model file is and how to feed it.",
    "export": "Write a trained model as the ONNX file that renders.",
    "evaluate": "Score renders, beside fixed baselines.",
    "ablate": "Score a model with each of its parts taken out.",
    "completion": "Print the script by which bash, zsh or fish completes this command.",
}

EXTRAS = {
    "render": "cpu",
    "batch": "cpu",
    "weights": "cpu",
    "serve": "app",
    "info": "cpu",
    "export": "export",
}
"""The extra that a command needs; "train" where none is named here."""


class LazyGroup(click.Group):
    """Imports a subcommand when it is called, and takes the main job where none is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        try:
            module = importlib.import_module(f"creative_mix.cli.{cmd_name}")
        except ModuleNotFoundError as error:
            raise click.ClickException(_missing(cmd_name, error)) from error
        command: click.Command = getattr(module, cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if args and args[0] not in COMMANDS and args[0] not in own:
            if not os.path.exists(args[0]):
                for command in difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.75):
                    raise click.UsageError(
                        f"{args[0]}: no such command or file; did you mean {command}?"
                    )
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage("creative-mix", "DRUMS PIANO -o OUTPUT [OPTIONS]")
        formatter.write_usage("creative-mix", "COMMAND --help", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        main_job = self.get_command(ctx, DEFAULT)
        if main_job is not None:
            main_job.format_options(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        main_job = self.get_command(ctx, DEFAULT)
        lines = (main_job.help or "").split("\b\n")[1:] if main_job is not None else []
        with formatter.section("Examples"):
            for line in "".join(lines).strip().splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # The first word is a command, or the drums of the main job, or an option of either.
        main_job = self.get_command(ctx, DEFAULT)
        found = super().shell_complete(ctx, incomplete)
        if main_job is None:
            return found
        if incomplete.startswith("-"):
            with main_job.make_context(DEFAULT, [], parent=ctx, resilient_parsing=True) as inner:
                own = {item.value for item in found}
                more = main_job.shell_complete(inner, incomplete)
            return found + [item for item in more if item.value not in own]
        # The file comes first: in bash's script it would undo the names that stand before it.
        return [CompletionItem(incomplete, type="file"), *found]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CreativeMixError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            raise click.ClickException(_missing(ctx.invoked_subcommand, error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE or error.strerror is None:
                raise  # whoever reads our output has gone, or this is a fault of our own
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(
                f"{where}{error.strerror}; check the path, its rights, and the room on its disk"
            ) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command; an error is one line on stderr, without a traceback."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        # A kill, too, takes the unfinished output away.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            code = super().main(args, prog_name, complete_var, False, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            hint = "; see creative-mix --help" if isinstance(error, click.UsageError) else ""
            if isinstance(error, click.NoSuchOption):
                hint += ", and write a file of such a name as ./-NAME"
            line = " ".join(error.format_message().split())
            click.echo(f"creative-mix: {line.rstrip('.')}{hint}", err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo("creative-mix: stopped", err=True)
            sys.exit(130)
        sys.exit(code if isinstance(code, int) else 0)


def _missing(command: str | None, error: ModuleNotFoundError) -> str:
    """Return the line for a package that is not installed; a fault of our own stays one."""
    name = error.name or ""
    if name == "creative_mix" or name.startswith("creative_mix."):
        raise error
    extra = EXTRAS.get(command or "", "train")
    return f"{command} needs {name}, which is missing: pip install 'creative-mix[{extra}]'"


@click.group(
    cls=LazyGroup, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="creative-mix", message="%(prog)s %(version)s")
def main() -> None:
    """Let a piano recording play the rhythm of a drum recording."""


if __name__ == "__main__":
    main()
