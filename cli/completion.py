"""`creative-mix completion SHELL`: the script by which a shell completes the command."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_CREATIVE_MIX_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete commands, options and file names.

    \b
    creative-mix completion bash >> ~/.bashrc
    creative-mix completion zsh >> ~/.zshrc
    creative-mix completion fish > ~/.config/fish/completions/creative-mix.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # all of SHELLS are click's own
    click.echo(kind(context.find_root().command, {}, "creative-mix", _VARIABLE).source())
