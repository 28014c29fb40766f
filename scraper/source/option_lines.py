"""Option lines: what lists in the form of a program's options have in common (aria2, curl).

Owns: numbered lines of a document, the headers that its options give, and the note of options that
mean nothing here. Does not know: a grammar (`aria2_input.py`, `curl_config.py`).
"""

from collections.abc import Iterable, Iterator, Mapping

from scraper.model.errors import BadTarget
from scraper.source.lines import MAX_LINE_BYTES, Note

_NAMED = 16  # options of one list, at most
_KEPT = MAX_LINE_BYTES + 2  # bytes of a line, at most
_BOM = b"\xef\xbb\xbf"


def numbered(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The number of each line, from 1 on, and the line without its end; of a long one a part."""
    number, left = 0, b""
    for piece in pieces:
        lines = (left + piece).split(b"\n")
        left = lines.pop()[:_KEPT]
        for line in lines:
            number += 1
            yield number, _without_end(line, number)
    if left:
        yield number + 1, _without_end(left, number + 1)


def _without_end(line: bytes, number: int) -> bytes:
    return (line.removeprefix(_BOM) if number == 1 else line).removesuffix(b"\r")


def text_of(line: bytes, number: int) -> str:
    """The line as text. Raises BadTarget."""
    if len(line) > MAX_LINE_BYTES:
        raise BadTarget(f"line {number} is longer than {MAX_LINE_BYTES:,} bytes")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise BadTarget(f"line {number} is not UTF-8") from None


def add_header(headers: dict[str, str], text: str, number: int) -> None:
    """Add the header `Name: value`. One that comes again is joined. Raises BadTarget.

    The message has no value, which may be a secret.
    """
    name, colon, value = text.partition(":")
    name, value = name.strip(), value.strip()
    if not (colon and name):
        raise BadTarget(f"line {number}: a header is not NAME: VALUE")
    known = next((one for one in headers if one.lower() == name.lower()), name)
    joint = "; " if name.lower() == "cookie" else ", "
    headers[known] = f"{headers[known]}{joint}{value}" if known in headers else value


def all_headers(headers: Mapping[str, str], user_agent: str, referer: str) -> dict[str, str]:
    """The headers, with those that have options of their own, unless one of them is the same."""
    known = {name.lower() for name in headers}
    named = {"User-Agent": user_agent, "Referer": referer}
    more = {name: value for name, value in named.items() if value and name.lower() not in known}
    return {**headers, **more}


class Others:
    """Options of the list `name` that mean nothing here. `note` hears of each once."""

    def __init__(self, name: str, note: Note) -> None:
        self._list = name
        self._note = note
        self._named: set[str] = set()

    def see(self, *options: str) -> None:
        """Name those that were not named before, and not too many of them."""
        left = _NAMED - len(self._named)
        fresh = [one for one in dict.fromkeys(options) if one not in self._named][:left]
        if fresh:
            self._named.update(fresh)
            names = ", ".join(repr(one[:40]) for one in fresh)
            end = "; no more are named" if len(fresh) == left else ""
            self._note(f"the list {self._list!r} has options that mean nothing here: {names}{end}")
