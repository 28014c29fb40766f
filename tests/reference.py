"""The pages that are made from the program: docs/options.md and the man pages.

`python -m tests.reference` writes them; `make docs` calls it. A test holds the files in the
repository equal to what is made here. Does not know: how an option is declared; it asks Click, as
`--help` does. Rejected: a plug-in that makes the page while the site is built, because then the
repository has no page to read.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from scraper.cli.command import group

DOCS = Path(__file__).parent.parent / "docs"
_OPTIONS_HEAD = """\
# Options

Each option of `scraper fetch` is also a variable (`SCRAPER_MAX_CONCURRENCY=64` for
`--max-concurrency 64`) and a key of a TOML file (`max-concurrency = 64`, with `--config`).
Flags win over variables, variables over the file.

Sizes are bytes: `500k`, `10M`, `2G` are powers of 1000, `64KiB`, `1GiB` powers of 1024.
Times are seconds.
"""


def pages() -> dict[Path, str]:
    """The text of each page, by its file."""
    return {DOCS / "options.md": options_page()}


def options_page() -> str:
    """A table for each section of the options of `fetch`, then one for each other command."""
    fetch = group.commands["fetch"]
    parts = [_OPTIONS_HEAD]
    for title, records in sections(fetch).items():
        parts += [f"\n## {title}\n\n", *_table(records)]
    for name, command in sorted(group.commands.items()):
        if name != "fetch":
            (records,) = sections(command).values()
            parts += [f"\n## `scraper {name}`\n\n", *_table(records)]
    return "".join(parts)


def sections(command: click.Command) -> dict[str, list[tuple[str, str]]]:
    """Names and help of the options of `command`, by section, as its `--help` has them."""
    parent = click.Context(group, info_name="scraper", **group.context_settings)
    context = click.Context(command, parent, command.name, **command.context_settings)
    found: dict[str, list[tuple[str, str]]] = {}
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if isinstance(param, click.Option) and record:
            found.setdefault(getattr(param, "section", "Other"), []).append(record)
    return found


def _table(records: list[tuple[str, str]]) -> Iterator[str]:
    yield "| option | meaning | default |\n| --- | --- | --- |\n"
    for names, text in records:
        meaning, default = re.fullmatch(r"(.*?)(?: *\[default: (.*)\])?", text, re.DOTALL).groups()  # type: ignore[union-attr]
        words = (
            re.sub(r"([|<*])", r"\\\1", " ".join((text or "").split()))
            for text in (meaning, default)
        )
        yield f"| `{names.replace('|', chr(92) + '|')}` | {' | '.join(words)} |\n"


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
