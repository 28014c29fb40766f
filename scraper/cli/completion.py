"""`scraper completion SHELL`: the script that makes a shell complete commands, options and files.

Owns: the command. Does not know: what the scripts do; those for zsh and fish are Click's, that for
bash is in `shells.py`.
"""

import click

from scraper.cli.options import COMPLETION


@click.command(short_help="Print the script that completes commands and options.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script for SHELL: bash, zsh or fish.

    Save it as ~/.local/share/bash-completion/completions/scraper for bash, as _scraper in a
    directory of fpath for zsh, as ~/.config/fish/completions/scraper.fish for fish.

    For this shell alone: eval "$(scraper completion bash)".
    """
    from click.shell_completion import get_completion_class

    from scraper.cli.shells import register

    register()
    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, "scraper", COMPLETION).source(), nl=False)
