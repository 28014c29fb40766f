"""The commands by name, in the order of the short help: where each is, and its one line.

    command = load("status")

A command is imported when it is called, so that no command pays for another.

Owns: this table, which a test holds equal to the commands. Does not know: what a command does.
Rejected: to import all of them for their one line. `--help` took a fifth longer.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

# The module and the command in it have one name.
_MODULES = {"list": "listing"}
COMMANDS = {
    "fetch": "Fetch every URL into a directory or S3, one object per URL.",
    "export": "Write the last state of each target: CSV, Parquet, checksums.",
    "failed": "Tell which targets are not done; why: --format tsv.",
    "list": "Tell what is stored: key, size, URL; of URLs, if any are given.",
    "plan": "Divide a list into shards by its hosts; tell what bounds the run.",
    "report": "Write a page about the last run, for people.",
    "status": "Tell what is there, on one screen.",
    "verify": "Compare a manifest with the objects that are really there.",
    "demo": "Serve a small site and an S3 endpoint on loopback.",
    "man": "Show the manual page, of the whole or of COMMAND.",
    "completion": "Print the script that completes commands and options.",
}


def load(name: str) -> "click.Command":
    """The command; `name` is one of COMMANDS."""
    from importlib import import_module

    module = _MODULES.get(name, name)
    command: click.Command = getattr(import_module(f"scraper.cli.{module}"), module)
    return command
