"""The config file of curl (`curl -K`), as a list.

Each line is an option, with or without dashes, and perhaps a value, with or without quotes. `url`
and `output` are paired in their order. `header`, `user-agent` and `referer` are for every URL up to
`next`. https://curl.se/docs/manpage.html#-K

Owns: that grammar. Does not know: what fields mean (`fields.py`). Rejected: curl's globs
(`[1-9]`, `{a,b}`); such a URL is a failure, as another one would be fetched otherwise.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from scraper.model.errors import BadTarget
from scraper.source.documents import Entry
from scraper.source.grammar import with_scheme
from scraper.source.lines import Note
from scraper.source.option_lines import Others, add_header, all_headers, numbered, text_of

_MOST_URLS = 50_000  # that wait for `next`, or for the end
_BLANKS = " \t\v\f\r"
_SHORT = {"o": "output", "H": "header", "A": "user-agent", "e": "referer", ":": "next"}
_WITH_VALUE = frozenset("AbcCdDeEFHKmoPQrtTuUwxXyYz")  # letters; others can stand together
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_WITH_GLOB = r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?+[^/?#]*+[^\[\]{}]*+[\[\]{}]"  # behind the host


class Option(NamedTuple):
    """One option. `name` is the long one where it means something here."""

    name: str
    value: str


class _Operation:
    """The URLs and options up to `next`."""

    def __init__(self) -> None:
        self.urls: list[tuple[int, str]] = []  # each with its line
        self.outputs: list[tuple[int, str]] = []
        self.headers: dict[str, str] = {}
        self.user_agent = self.referer = ""
        self.wrong: BadTarget | None = None

    def entries(self) -> Iterator[Entry]:
        """What it says."""
        headers = all_headers(self.headers, self.user_agent, self.referer)
        outputs = iter(self.outputs)
        for number, url in self.urls:
            line, output = next(outputs, (0, ""))
            if self.wrong is not None:
                yield BadTarget(f"line {number}: {self.wrong.message}")
            elif output == "-":
                yield BadTarget(f"line {line}: output is stdout")
            elif re.match(_WITH_GLOB, url):
                yield BadTarget(
                    f"line {number}: the URL has a glob of curl: give each URL by itself"
                )
            else:
                fields: dict[str, Any] = {"url": with_scheme(url, "http"), "key": output}
                yield fields | ({"headers": headers} if headers else {})
        for number, _ in outputs:
            yield BadTarget(f"line {number}: output without a URL")


def read_curl(pieces: Iterable[bytes], name: str, note: Note) -> Iterator[Entry]:
    """What the list `name` says. See `read_entries`."""
    others, operation = Others(name, note), _Operation()
    for number, line in numbered(pieces):
        try:
            options = options_of(text_of(line, number))
        except BadTarget as error:
            yield error
            continue
        for option in options:
            if option.name == "next":
                yield from operation.entries()
                operation = _Operation()
            else:
                _take(operation, option, number, others)
        if len(operation.urls) >= _MOST_URLS:
            yield from operation.entries()
            operation.urls, operation.outputs = [], []
    yield from operation.entries()


def _take(operation: _Operation, option: Option, number: int, others: Others) -> None:
    name, value = option
    if name == "url" and value:
        operation.urls.append((number, value))
    elif name == "output" and value:
        operation.outputs.append((number, value))
    elif name == "user-agent" and value:
        operation.user_agent = value
    elif name == "referer" and value:
        operation.referer = value.removesuffix(";auto")
    elif name == "header" and re.match(r"[^:;@]+;\s*$", value):  # an empty value
        operation.headers[value.partition(";")[0].strip()] = ""
    elif name == "header" and not re.match(r"@|[^:]+:\s*$", value):
        try:
            add_header(operation.headers, value, number)
        except BadTarget as error:  # without it another body might come
            operation.wrong = operation.wrong or error
    else:
        others.see(name)


def options_of(line: str) -> list[Option]:
    """The options of a line: one, or several letters together (`-sSo name`)."""
    line = line.lstrip(_BLANKS)
    if not line or line[0] in "#/*":
        return []
    dashed = line.startswith("-")
    separators = _BLANKS if dashed else _BLANKS + "=:"
    found = re.match(rf"[^{re.escape(separators)}]+", line)
    if found is None:  # it begins with a separator
        return [Option(line[:1], "")]
    word, rest = found[0], line[found.end() :].lstrip(separators)
    value = _unquoted(rest) if rest.startswith('"') else re.split(r"\s", rest, maxsplit=1)[0]
    if not dashed or word.startswith("--"):
        return [Option(word.removeprefix("--"), value)]
    return list(_letters(word[1:], value))


def _letters(letters: str, value: str) -> Iterator[Option]:
    for at, letter in enumerate(letters):
        if letter in _WITH_VALUE:
            yield Option(_SHORT.get(letter, f"-{letter}"), letters[at + 1 :] or value)
            return
        yield Option(_SHORT.get(letter, f"-{letter}"), "")


def _unquoted(text: str) -> str:
    """The value in quotes that `text` begins with. A quote that is missing at the end is given."""
    found = re.match(r'"((?:[^"\\]|\\.)*+)', text, re.DOTALL)
    inner = found[1] if found else ""
    return re.sub(r"\\(.)", lambda one: _ESCAPES.get(one[1], one[1]), inner, flags=re.DOTALL)
