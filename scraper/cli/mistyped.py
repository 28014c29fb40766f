"""Words that are no list: what was meant by an argument, a list of `-i` or a destination.

Owns: these errors and their hints. Does not know: options and their values (`words.py`), lists
that exist and can't be read (`source/sources.py`). It is imported when a list is not there, and
to look at a destination that was named.
"""

import os
import re
from collections.abc import Iterator
from shlex import quote

import click

from scraper.cli.words import for_command, for_option, near
from scraper.model.errors import UsageError
from scraper.model.urls import redact_wreck, scheme_in
from scraper.sinks.base import scheme_of

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"  # what editors make of "-"
_ENDINGS = {
    *("txt", "list", "lst", "csv", "tsv", "json", "jsonl", "gz", "zip", "html", "htm", "xml"),
    *("pdf", "md", "toml", "yaml", "yml", "ini", "conf", "log", "py", "sh", "bak", "urls"),
}
# Documents and archives: nobody calls a directory so. A later sink may have archives.
_FILES = r"\.(html?|pdf|txt|json|csv|xml|jpe?g|png|gif|svg|webp|mp[34]|zip|tgz|tar|gz|bz2|docx?)"
# What people call stores, and what they are here.
_REMOTES = {"s3": "s3", "aws": "s3", "gs": "gs", "gcs": "gs", "az": "az", "azure": "az"}
_WHERE = "lists are read from files, http(s), s3, gs, az and sftp URLs"
_STORED_ONLY = {"ftp", "webdav", "webdavs", "smb", "hdfs"}  # --to may be there, and no list
_NOT_FETCHED = {*_STORED_ONLY, "ftps", "scp", "ws", "wss", "data", "magnet", "git"}
_LISTS = {"gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az"}
_HOST = re.compile(
    r"(localhost|\d+(?:\.\d+){3}|\[[0-9a-fA-F:.]+\]|[\w-]+(?:\.[\w-]+)*\.([a-zA-Z]{2,24}))"
    r"(:\d+)?([/?#].*)?"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z+.-]{1,8})(:/*|;/+|//+|:\\+)(?=[^/\\])")
_GLOB = re.compile(r"\[(\d+-\d+|[a-zA-Z]-[a-zA-Z])(:\d+)?\]")


def no_list(word: str, others: int, context: click.Context | None) -> UsageError:
    """The error for a list that can't be read; `others`: how many arguments stand before it."""
    why = "Is a directory" if os.path.isdir(word) else "No such file or directory"
    if (scheme := scheme_in(word)) in _STORED_ONLY:
        why = f"no list is read from {scheme}://"
    return UsageError(
        f"can't open the list {redact_wreck(word)!r}: {why}",
        hint=_first(_for_list(word, others, context)),
    )


def no_url(word: str, reason: str) -> UsageError:
    """The error for an argument that begins as a URL and is none; `word` has no secrets."""
    several = re.search(r"\s+https?://", word)
    hint = "quote each URL by itself" if several else ""
    if not several and " " in word:
        hint = "a blank in a URL is %20"
    return UsageError(f"{word!r}: {reason}", hint=hint)


def check_url(word: str) -> None:
    """Raise UsageError for two URLs in one argument, and for a range as curl has it."""
    if re.search(r"\s+https?://", word):
        raise no_url(word, "two URLs in one argument")
    if found := _GLOB.search(word):
        low, _, high = found[1].partition("-")
        hint = f"seq -f '{word[: found.start()]}%g{word[found.end() :]}' {low} {high} | scraper"
        if not low.isdigit():
            hint = f"the shell can: {word[: found.start()]}{{{low}..{high}}}{word[found.end() :]}"
        raise UsageError(
            f"{word!r}: {found[0]} is no range here", hint=f"{hint} (a real bracket is %5B)"
        )


def check_destination(to: str) -> None:
    """Raise UsageError for a destination that is none, though a directory could be called so."""
    if to in {"/dev/stdout", "/dev/null", "/dev/stderr"}:
        hint = "--to - prints bodies, --results - their records; --dry-run stores nothing"
        raise UsageError(f"--to {to!r} is no place for objects", hint=hint)
    if to.lower().startswith(("http://", "https://")):
        hint = "a URL to fetch is an argument; --to is a directory, or s3://bucket (gs://, az://)"
        raise UsageError(f"--to {to!r}: objects can't be sent there", hint=hint)
    if slip := re.match(r"(warc|tar|zip):(\w+)://", to, re.IGNORECASE):
        hint = f"an archive is made on this machine: --to {slip[1]}:PATH, then put it there"
        if slip[1].lower() == "warc" and slip[2].lower() in {"s3", "gs", "az"}:
            hint = f"--to {slip[1]}+{to.partition(':')[2]}"
        raise UsageError(f"--to {to!r} is no file and no directory", hint=hint)
    if "://" in to or scheme_of(to) != "file":
        return
    if packed := re.match(r"(?:tar\.?|t)(gz|bz2|xz|zst):-$", to, re.IGNORECASE):
        tool = {"gz": "gzip", "bz2": "bzip2", "zst": "zstd"}.get(packed[1].lower(), "xz")
        raise UsageError(f"--to {to!r} is no destination", hint=f"--to tar:- | {tool}")
    remote = re.match(r"([A-Za-z][\w-]+):(?=[^/]|/[^/])/?", to)
    if remote and not os.path.exists(to):
        rest = to[remote.end() :]
        scheme = _REMOTES.get(remote[1].lower())
        hint = f"--to {scheme}://{rest}" if scheme else ""
        hint = hint or f"--to ./{quote(to)} is a directory of this name"
        raise UsageError(f"--to {to!r} is no directory and no URL", hint=hint)
    ending = re.search(_FILES + "$", to, re.IGNORECASE)
    if ending and not os.path.exists(to):
        hint = f"--to DIR --key NAME; --to {quote(to + '/')} if it is a directory"
        if archive := re.search(r"\.(tar(?:\.gz)?|tgz|zip)$", to, re.IGNORECASE):
            form = "zip" if archive[1].lower() == "zip" else "tar"
            hint = f"--to {form}:{quote(to)} makes an archive of this name"
        raise UsageError(f"--to {to!r}: objects go into a directory, not a file", hint=hint)


def _for_list(word: str, others: int, context: click.Context | None) -> Iterator[str]:
    """What may have been meant by a list that is not there, the likeliest first."""
    if word[:1] and word[0] in _DASHES:
        bare = word.lstrip(_DASHES + "-").partition("=")[0]
        plain = ("-" if len(bare) == 1 else "--") + bare
        meant = plain if plain in _names(context) else for_option(plain, context)
        yield f"{word[0]} is no '-': {meant}"
    if os.path.isdir(word):
        yield f"a directory is a destination: --to {quote(word)}"
    if "//" not in word and (beside := _near_file(word)):
        yield f"did you mean {beside}?"
    yield from _for_url(word.strip(), word)
    if not others:
        yield for_command(word, context)
    name, equals, value = word.partition("=")
    if equals and (found := near(f"--{name}", _names(context))):
        yield f"did you mean {found[0]} {quote(value)}?"
    if others:
        yield f"where objects go is --to {quote(word)}"
    yield "scraper URL... fetches URLs, scraper FILE... reads lists of them"


def _for_url(word: str, typed: str) -> Iterator[str]:
    """What may have been meant if it is nearly a URL; `word` has no blanks around it."""
    if re.search(r"\s+https?://", word):
        yield "quote each URL by itself"
    if typed != word and word.lower().startswith(("http://", "https://")):
        yield f"without the blanks around it: {quote(word)}"
    if word.lower().startswith("file:"):
        yield f"a list is named by its path: {quote(re.sub('^file:/+', '/', word))}"
    if found := _SCHEME.match(word):
        yield from _for_scheme(found[1].lower(), word[found.end() :])
    if word.startswith("//"):
        yield f"a URL has a scheme: https:{word}"
    host = _HOST.fullmatch(word)
    has_host = host is not None and (host[2] or "").lower() not in _ENDINGS
    if has_host and not os.path.isdir(word.partition("/")[0]):
        scheme = "http" if word.startswith(("localhost", "127.", "[::1]")) else "https"
        yield f"a URL has a scheme: {scheme}://{word}"


def _for_scheme(scheme: str, rest: str) -> Iterator[str]:
    if meant := _LISTS.get(scheme):
        yield f"{meant}://{rest} is a list that is stored there"
    if scheme in {"r2", "b2"}:
        yield _WHERE
    if scheme in _NOT_FETCHED:
        yield f"only http and https URLs are fetched; {_WHERE}"
    if likely := near(scheme, ("https", "http"), close=0.6):
        yield f"did you mean {likely[0]}://{rest}?"


def _near_file(word: str) -> str:
    """A file with nearly this name beside it, or ""."""
    directory, name = os.path.split(word)
    try:
        beside = os.listdir(directory or ".")
    except OSError:
        return ""
    found = [os.path.join(directory, one) for one in near(name, beside[:10_000], close=0.75)]
    return quote(found[0]) if found and not os.path.isdir(found[0]) else ""


def _first(hints: Iterator[str]) -> str:
    return next(filter(None, hints), "")


def _names(context: click.Context | None) -> list[str]:
    if context is None:
        return []
    return [opt for param in context.command.params for opt in param.opts if opt[:2] == "--"]
