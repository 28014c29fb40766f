"""The config file of curl (`curl -K`), as a list.

Each line is an option, with or without dashes, and perhaps a value, with or without quotes. `url`
and `output` (or `remote-name`, which takes the usual key) are paired in their order. `header`,
`user-agent` and `referer` are for every URL up to `next`. Options that make another body come, such
as `data`, make failures of these URLs. https://curl.se/docs/manpage.html#-K

Owns: that grammar. Does not know: what fields mean (`fields.py`). Rejected: curl's globs
(`[1-9]`, `{a,b}`); such a URL is a failure, as another one would be fetched otherwise.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

from scraper.model.errors import BadTarget, ListBroken
from scraper.source.documents import Entry
from scraper.source.grammar import with_scheme
from scraper.source.lines import Note
from scraper.source.option_lines import Others, add_header, all_headers, numbered, text_of

_MOST_URLS = 50_000  # that wait for `next`, or for the end
_MOST_CHARS = 64 << 20  # of them and their outputs
_FEWEST_URLS = 1_000  # given away at once: each time all outputs are looked at
_MOST_HEADER_CHARS = 1 << 20
_BLANKS = " \t\v\f\r"
_SHORT = {
    ":": "next",
    "A": "user-agent",
    "F": "form",
    "G": "get",
    "H": "header",
    "I": "head",
    "K": "config",
    "O": "remote-name",
    "T": "upload-file",
    "X": "request",
    "b": "cookie",
    "d": "data",
    "e": "referer",
    "o": "output",
    "r": "range",
    "u": "user",
    "z": "time-cond",
}
_OPTION = r"[a-z][a-z0-9-]*(?:\.\d)?"  # `tlsv1.2`
_OTHER_BODY = (
    r"data(?:-.*)?|form(?:-.*)?|json|upload-file|request(?:-target)?|range|time-cond|head|get|cookie"
    r"|user|oauth2-bearer|aws-sigv4|url-query|resolve|connect-to|(?:abstract-)?unix-socket|expand-.*"
)
_WITH_VALUE = frozenset("AbcCdDeEFHKmoPQrtTuUwxXyYz")  # letters; others can stand together
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_WITH_GLOB = r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?+[^/?#]*+[^\[\]{}]*+[\[\]{}]"  # behind the host


class Option(NamedTuple):
    """One option. `name` is the long one where it means something here."""

    name: str
    value: str


class _Operation:
    """The URLs and options up to `next`. The first output belongs to the first URL, and so on."""

    def __init__(self) -> None:
        self._urls: list[tuple[int, str]] = []  # each with its line
        self._outputs: list[tuple[int, str]] = []
        self._chars = 0  # of both
        self._late = 0  # outputs that are still to come, of URLs that were given away
        self._headers: dict[str, str] = {}
        self._header_chars = 0
        self.user_agent = self.referer = ""
        self.wrong: BadTarget | None = None  # why none of its URLs is a target

    @property
    def is_full(self) -> bool:
        """Whether its URLs have to be given away before another one is added."""
        has_many = self._chars >= _MOST_CHARS and len(self._urls) >= _FEWEST_URLS
        return has_many or len(self._urls) >= _MOST_URLS

    def add_url(self, number: int, url: str) -> None:
        """Take the URL of line `number`."""
        self._urls.append((number, url))
        self._chars += len(url)

    def add_output(self, number: int, output: str) -> None:
        """Take an output; "": the usual key. Raises BadTarget, and ListBroken for too many."""
        if self._late:
            self._late -= 1
            if output:
                raise BadTarget(
                    f"line {number}: output comes too late: {_MOST_URLS:,} other URLs, or very long"
                    " ones, stand between it and its URL"
                )
        elif len(self._outputs) >= 2 * _MOST_URLS or self._chars >= 2 * _MOST_CHARS:
            raise ListBroken(f"the list broke off: line {number}: too many outputs without URLs")
        else:
            self._outputs.append((number, output))
            self._chars += len(output)

    def add_header(self, text: str, number: int) -> None:
        """Take a header. What can't be sent makes the operation wrong: another body might come."""
        self._header_chars += len(text)
        try:
            if text.startswith("@"):
                raise BadTarget(f"line {number}: headers in another file are not read")  # noqa: TRY301
            if self._header_chars > _MOST_HEADER_CHARS:
                raise BadTarget(  # noqa: TRY301
                    f"line {number}: more than {_MOST_HEADER_CHARS:,} bytes of headers"
                )
            if re.match(r"[^:;]+;\s*$", text):  # an empty value
                self._headers[text.partition(";")[0].strip()] = ""
            elif not re.match(r"[^:]+:\s*$", text):  # that one takes a header of curl away
                add_header(self._headers, text, number)
        except BadTarget as error:
            self.wrong = self.wrong or error

    def entries(self) -> Iterator[Entry]:
        """What its URLs so far say. Outputs that came before their URLs stay."""
        urls, self._urls = self._urls, []
        outputs, self._outputs = self._outputs[: len(urls)], self._outputs[len(urls) :]
        self._chars = sum(len(output) for _, output in self._outputs)
        self._late += len(urls) - len(outputs)
        headers = all_headers(self._headers, self.user_agent, self.referer)
        for (number, url), (line, output) in zip_longest(urls, outputs, fillvalue=(0, "")):
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

    def ended(self) -> Iterator[Entry]:
        """What it says, at its end."""
        yield from self.entries()
        for number, output in self._outputs:
            if output:
                yield BadTarget(f"line {number}: output without a URL")


def read_curl(pieces: Iterable[bytes], name: str, note: Note) -> Iterator[Entry]:
    """What the list `name` says. See `read_entries`."""
    others, operation = Others(name, note), _Operation()
    for number, line in numbered(pieces):
        try:
            for option in options_of(text_of(line, number), number):
                if option.name == "next":
                    yield from operation.ended()
                    operation = _Operation()
                    continue
                if option.name == "url" and operation.is_full:
                    yield from operation.entries()
                _take(operation, option, number, others)
        except BadTarget as error:
            yield error
    yield from operation.ended()


def _take(operation: _Operation, option: Option, number: int, others: Others) -> None:
    """Take one option. Raises BadTarget where a URL would be lost."""
    name, value = option
    if name == "url" and value:
        operation.add_url(number, value)
    elif name == "output" and value:
        operation.add_output(number, value)
    elif name == "remote-name":
        operation.add_output(number, "")
    elif name == "user-agent" and value:
        operation.user_agent = value
    elif name == "referer" and value:
        operation.referer = value.removesuffix(";auto")
    elif name == "header":
        operation.add_header(value, number)
    elif name in {"url", "expand-url", "config"}:
        raise BadTarget(f"line {number}: {name!r} names no URL that could be read here")
    elif re.fullmatch(_OTHER_BODY, name) and (name, value) != ("request", "GET"):
        what = f"line {number}: the option {name!r} makes another body come"
        operation.wrong = operation.wrong or BadTarget(what)
    elif name != "remote-name-all":  # without it the usual keys are taken too
        others.see(name)


def options_of(line: str, number: int) -> list[Option]:
    """The options of a line: one, or several letters together (`-sSo name`). Raises BadTarget."""
    line = line.lstrip(_BLANKS)
    if not line or line[0] in "#/*":
        return []
    dashed = line.startswith("-")
    separators = _BLANKS if dashed else _BLANKS + "=:"
    found = re.match(rf"[^{re.escape(separators)}]+", line)
    word, end = (found[0], found.end()) if found else ("", 0)
    name = word.removeprefix("--").lower()
    is_long = not dashed or word.startswith("--")
    if is_long and (not re.fullmatch(_OPTION, name) or line[end:].startswith("://")):
        raise BadTarget(f"line {number}: no option of curl: a URL is url = URL")
    rest = line[end:].lstrip(separators)
    value = _unquoted(rest) if rest.startswith('"') else re.split(r"\s", rest, maxsplit=1)[0]
    return [Option(name, value)] if is_long else list(_letters(word[1:], value))


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
