"""`scraper -h`: what a newcomer needs, on one screen. `--help` has every option.

Owns: the examples, the words for exit statuses, which options are shown. Does not know: what an
option says of itself; it asks Click, as `--help` does.
"""

import click

from scraper.cli.commands import COMMANDS

_SHOWN = (
    *("to", "input_files", "max_concurrency", "per_host", "delay", "robots"),
    *("resume", "retry_failed", "dry_run", "quiet"),
)
_HEAD = """\
Usage: scraper [OPTIONS] [URL|FILE]...

Fetch URLs into a directory or S3: one object per URL, named after it, and a
record of every URL in DEST/.scraper/manifest.jsonl. A FILE is a list of URLs.

Examples:
  scraper https://example.com/a.html https://example.com/b.pdf --to out
  scraper urls.txt --to s3://bucket/pages --per-host 4 --resume
  printf '%s\\t%s\\n' https://example.com/ start.html | scraper --to out
  15 3 * * *  /usr/local/bin/scraper -q /srv/urls.txt --to /srv/out    # crontab
"""
STATUSES = (
    ("0", "everything is there, or no more failed than --max-failures"),
    ("1", "some URLs failed"),
    ("2", "wrong usage: nothing was done"),
    ("3", "the destination can't be used"),
    ("75", "another run holds the destination"),
    ("130, 143", "stopped by Ctrl-C or SIGTERM, 129 by SIGHUP (to go on: --resume)"),
)
_TAIL = """\

From Python: for result in scraper.run(urls, to="out"): print(result)
Every option: scraper --help. Of a command: scraper COMMAND --help
"""


def show(context: click.Context, _param: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - Click's
    """Print the short help and end, if it is wanted."""
    if wanted and not context.resilient_parsing:
        click.echo(text(context.find_root()), nl=False)
        context.exit()


def text(context: click.Context) -> str:
    """The short help of the whole program; `context` is that of the group."""
    group = context.command
    assert isinstance(group, click.Group)
    fetch = group.get_command(context, "fetch")
    assert fetch is not None
    formatter = click.HelpFormatter(width=80)
    with formatter.section("Most used options"):
        by_name = {param.name: param for param in fetch.params}
        records = [by_name[name].get_help_record(context) for name in _SHOWN]
        formatter.write_dl([_without_default(*record) for record in records if record])
    with formatter.section("Commands"):
        formatter.write_dl([row for row in COMMANDS.items() if row[0] != "fetch"])
    with formatter.section("Exit status"):
        formatter.write_dl(STATUSES)
    return f"{_HEAD}\n{formatter.getvalue()}{_TAIL}"


def _without_default(names: str, said: str) -> tuple[str, str]:
    return names, said.partition("  [default")[0]
