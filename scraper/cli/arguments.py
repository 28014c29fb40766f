"""What `fetch` is told to fetch: its arguments, and the lists of `--input-file`.

An argument that is an http(s) URL is a target. Any other argument is a list: a path, `-` for
stdin, or an s3, gs or az URL. `--input-file` always names a list, so a list at an http(s) URL is
given there.

Owns: that rule, and the words for an argument that is neither. Does not know: what a line of a
list means (`source/lists.py`); a URL here is read as such a line. Rejected: asking the server
whether a URL is a list. The same command would mean another thing tomorrow.
"""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from scraper.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scraper.source.grammar import Grammar
    from scraper.source.sources import OpenChild, OpenRemote, Source

_STORES = ("s3://", "gs://", "az://")
SOURCE = "arguments"  # the source of a target that is an argument; its line is its place there


class Inputs(NamedTuple):
    """Everything to fetch, in order: the arguments, then the lists of `--input-file`."""

    arguments: tuple[str, ...]
    input_files: tuple[str, ...]
    grammar: "Grammar | None" = None  # of the lists

    def read_by(self, options: "Mapping[str, Any]") -> "Inputs":
        """The same, with lists as these options say. Raises UsageError."""
        if not any(options.values()):
            return self
        from scraper.source.grammar import grammar_of

        return self._replace(grammar=grammar_of(**options))

    @property
    def lists(self) -> list[str]:
        """The names of all lists, in order."""
        return [word for word in self.arguments if not is_url(word)] + [*self.input_files]

    def open(
        self, open_remote: "OpenRemote", open_child: "OpenChild | None" = None
    ) -> "list[Source]":
        """The sources in order. Neighbouring URLs are one source. See `open_sources`.

        Raises ListError for a list that can't be opened.
        """
        from scraper.source.grammar import LINES
        from scraper.source.sources import from_words, open_sources

        grammar = self.grammar or LINES
        sources: list[Source] = []
        for place, urls in self._runs_of_urls():
            if urls:
                sources.append(from_words(urls, SOURCE, place))
            else:
                word = self.arguments[place - 1]
                sources += open_sources([word], open_remote, grammar, open_child)
        return sources + open_sources(self.input_files, open_remote, grammar, open_child)

    def _runs_of_urls(self) -> Iterator[tuple[int, list[str]]]:
        """Place (from 1) and URLs of each row of neighbours; no URLs for a list."""
        urls: list[str] = []
        for place, word in enumerate(self.arguments, 1):
            if is_url(word):
                urls.append(word)
                continue
            if urls:
                yield place - len(urls), urls
                urls = []
            yield place, []
        if urls:
            yield len(self.arguments) + 1 - len(urls), urls


_REMOTE = (*_STORES, "sftp://")  # lists beside those at http(s) URLs, which are URLs to fetch
NOTHING = Inputs((), ())


def is_url(word: str) -> bool:
    """Whether an argument is a target."""
    return word[:8].lower().startswith(("http://", "https://"))


def inputs_of(arguments: Sequence[str], input_files: Sequence[str], *, piped: bool) -> Inputs:
    """What is to be fetched; `piped`: stdin may be the list where nothing is named.

    Raises UsageError for nothing, for stdin twice, for a URL that is none, and for a list that
    is not there.
    """
    inputs = Inputs(tuple(arguments), tuple(input_files))
    if inputs.lists.count("-") > 1:
        raise UsageError("stdin ('-') can be read once only")
    for place, word in enumerate(arguments):
        _check_url(word) if is_url(word) else _check_list(word, place)
    for word in input_files:
        if not is_url(word):
            _check_list(word, 0)
    if arguments or input_files:
        return inputs
    if not piped:
        hint = "scraper URL..., scraper FILE..., or pipe a list into it; -h has examples"
        raise UsageError("nothing to fetch: no URL, no list", hint=hint)
    return Inputs(("-",), ())


def is_piped() -> bool:
    """Whether stdin may be the list where nothing is named."""
    return sys.stdin is not None and not sys.stdin.isatty()


def check_destination(to: str) -> None:
    """Refuse what nobody means as a directory: a file, a URL to fetch. Raises UsageError."""
    plain = to[:5] in _STORES or not ("." in to.rpartition("/")[2] or ":" in to)
    if not plain or to.startswith("/dev/"):
        from scraper.cli import mistyped

        mistyped.check_destination(to)


def _check_url(word: str) -> None:
    """Refuse a URL that could not be fetched. The user sees it before anything is written."""
    from scraper.model import urls
    from scraper.model.errors import BadTarget

    if "[" in word or " " in word:
        from scraper.cli.mistyped import check_url

        check_url(word)
    try:
        urls.parse(word.partition("\t")[0])
    except BadTarget as error:
        from scraper.cli.mistyped import no_url

        raise no_url(urls.redact_wreck(word), error.message) from None


def _check_list(word: str, place: int) -> None:
    """Refuse a list that is not there, and say what may have been meant."""
    if word == "-" or word[:7].lower().startswith(_REMOTE):
        return
    try:
        found = os.stat(word)
    except (FileNotFoundError, ValueError):
        pass
    except OSError:  # whoever opens it says why
        return
    else:
        if not stat.S_ISDIR(found.st_mode):
            return
    import click

    from scraper.cli.mistyped import no_list

    raise no_list(word, place, click.get_current_context(silent=True))
