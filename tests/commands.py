"""Every command of the program, imported: the program imports one when it is called."""

import click

from scraper.cli.command import group
from scraper.cli.commands import COMMANDS


def every_command() -> dict[str, click.Command]:
    """The commands by name, in the order of the short help."""
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in COMMANDS}
    assert group.list_commands(context) == sorted(found)
    return {name: command for name, command in found.items() if command is not None}
