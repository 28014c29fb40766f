"""The pages that are made from the program: docs/options.md and the man pages.

`python -m tests.reference` writes them; `make docs` calls it. A test holds the files in the
repository equal to what is made here. Does not know: how an option is declared; it asks Click, as
`--help` does. Rejected: a plug-in that makes the page while the site is built, because then the
repository has no page to read.
"""

import inspect
import re
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import click
from click_man.man import ManPage

from scraper.cli.command import group
from scraper.cli.options import SectionedCommand
from scraper.model.version import __version__
from tests.commands import every_command

DOCS = Path(__file__).parent.parent / "docs"
_OPTIONS_HEAD = """\
# Options

Each option of `scraper fetch` is also a variable (`SCRAPER_MAX_CONCURRENCY=64` for
`--max-concurrency 64`) and a key of a TOML file (`max-concurrency = 64`, with `--config`).
Flags win over variables, variables over the file.

Sizes are bytes: `500k`, `10M`, `2G` are powers of 1000, `64KiB`, `1GiB` powers of 1024.
Times are seconds.
"""

_MAN_TAIL = """\
.SH EXIT STATUS
{statuses}\
.SH ENVIRONMENT
Each option is also a variable: \\fBSCRAPER_MAX_CONCURRENCY\\fP for \\fB\\-\\-max\\-concurrency\\fP.
S3's credentials, region and endpoint are found as by the aws command.
.SH FILES
.TP
\\fIDEST\\fP/.scraper/manifest.jsonl
The record of every target, one JSON object a line.
.SH EXAMPLES
.nf
scraper urls.txt \\-\\-to out
cat urls.txt | scraper \\-\\-to s3://bucket/pages \\-\\-max\\-concurrency 64
scraper urls.txt \\-\\-to out \\-\\-resume
.fi
"""


def pages() -> dict[Path, str]:
    """The text of each page, by its file."""
    manual = {DOCS / "man" / name: text for name, text in man_pages()}
    return {DOCS / "options.md": options_page(), **manual}


def options_page() -> str:
    """A table for each section of the options of `fetch`, then one for each other command."""
    fetch = every_command()["fetch"]
    parts = [_OPTIONS_HEAD]
    for title, records in sections(fetch).items():
        parts += [f"\n## {title}\n\n", *_table(records)]
    for name, command in sorted(every_command().items()):
        if name != "fetch":
            (records,) = sections(command).values()
            parts += [f"\n## `scraper {name}`\n\n", *_table(records)]
    return "".join(parts)


def man_pages() -> Iterator[tuple[str, str]]:
    """Name and text (roff) of each manual page. The first is that of `fetch` and of the whole."""
    commands = every_command()
    fetch = commands.pop("fetch")
    whole = _man_page(
        "scraper", fetch, {name: one.get_short_help_str(200) for name, one in commands.items()}
    )
    yield "scraper.1", whole + _MAN_TAIL.format(statuses="".join(_statuses()))
    yield "scraper-fetch.1", ".so man1/scraper.1\n"
    for name, command in commands.items():
        tail = ".SH SEE ALSO\n\\fBscraper\\fP(1)\n"
        yield f"scraper-{name}.1", _man_page(f"scraper {name}", command, {}) + tail


def _man_page(title: str, command: click.Command, commands: dict[str, str]) -> str:
    page = ManPage(title)
    page.version, page.date = __version__, ""  # a date would be another each day
    page.short_help = _roff(command.get_short_help_str(200)).rstrip(".")
    page.description = _roff(inspect.cleandoc(command.help or ""))
    page.synopsis = " ".join(command.collect_usage_pieces(_context(command)))
    by_section = sections(command)
    page.options = [(n, _roff(h)) for records in by_section.values() for n, h in records]
    page.commands = [(name, _roff(text)) for name, text in commands.items()]
    parts = str(page).split("\n.TP\n")  # what is before the options, then one part an option
    if len(by_section) > 1:
        before = accumulate(map(len, by_section.values()), initial=0)
        for index, section in zip(before, by_section, strict=False):
            parts[index] += f'\n.SS "{_roff(section)}"'
    return "\n.TP\n".join(parts)


def _roff(text: str) -> str:
    """The text as roff has it: hyphens that can be copied, and no line that is a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", "\\\\&", text, flags=re.MULTILINE)


def _statuses() -> Iterator[str]:
    """The rows of the table in docs/exit-status.md."""
    text = (DOCS / "exit-status.md").read_text(encoding="utf-8")
    for status, meaning in re.findall(r"^\| (\d[\d, ]*) \| (.*) \|$", text, re.MULTILINE):
        yield f".TP\n{status}\n{_roff(meaning.replace('`', ''))}\n"


def sections(command: click.Command) -> dict[str, list[tuple[str, str]]]:
    """Names and help of the options of `command`, by section, as its `--help` has them."""
    context, has_sections = _context(command), isinstance(command, SectionedCommand)
    found: dict[str, list[tuple[str, str]]] = {}
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if isinstance(param, click.Option) and record:
            section = getattr(param, "section", "Other") if has_sections else "Other"
            found.setdefault(section, []).append(record)
    return found


def _context(command: click.Command) -> click.Context:
    parent = click.Context(group, info_name="scraper", **group.context_settings)
    return click.Context(command, parent, command.name, **command.context_settings)


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
