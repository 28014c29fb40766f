"""Fields: what a JSON line says, or a dict of a program.

The fields are `url`, `urls` (several URLs of one body), `key`, `headers`, and what is expected of
the body: `size`, `md5`, `sha1`, `sha256`, `sha512` (`model/expected.py`); in small letters or
capitals. Another field means nothing here, and each is named once in a list. One that is nearly
one of ours is a mistake. In a record of ours, which has a `status`, the size and the digest tell
what was stored then, so nothing is expected, and its other fields are not named.

A program's texts may be of a class of its own (a member of a StrEnum); here they become plain ones.

Owns: these rules. Does not know: lines (`lists.py`), what a URL or a key is. Rejected: a note for
each line with such a field; a list of a million records would have a million notes.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from scraper.model.errors import BadTarget
from scraper.model.headers import (
    announces_a_body,
    beginning_of_name,
    is_field_name,
    is_field_value,
)
from scraper.model.records import NO_HEADERS
from scraper.source.lines import Note, in_one_line, nobody

if TYPE_CHECKING:
    from scraper.model.expected import Expected

# The URL, the key or "", the headers, what is expected of the body, and other URLs of it.
Parts = tuple[str, str, Mapping[str, str], "Expected | None", Sequence[str]]

EXPECTED = frozenset({"size", "sha512", "sha256", "sha1", "md5"})
_REDACTED = "REDACTED"  # in records, see `urls.redact`
_FIELDS = ("headers", "key", "md5", "sha1", "sha256", "sha512", "size", "url", "urls")
_NAMED = 16  # fields that mean nothing, of one list, at most
_REMEMBERED = 1_000  # fields of one list, at most


class Fields:
    """The fields of one list. `url` and `key`: how these two are called in it.

    `note` hears of fields that mean nothing.
    """

    def __init__(
        self, source: str, note: Note = nobody, url: str | None = None, key: str | None = None
    ) -> None:
        self._source = source
        self._note = note
        self._url, self._key = url or "url", key or "key"
        ours = {*EXPECTED, "headers", "urls", self._key, self._url}
        self._ours = {name.lower(): name for name in ours}
        self._known = ours  # and those that mean nothing
        self._named: set[str] = set()

    def parts(self, given: Mapping[str, Any], what: str) -> Parts:
        """What `given` says, which is `what`: "a JSON line" or the like. Raises BadTarget."""
        is_record = "status" in given  # one of ours
        if not given.keys() <= self._known:
            given = self._by_our_names(given, what.removeprefix("a "))
        url, key, headers = given.get(self._url), given.get(self._key), given.get("headers")
        mirrors: Sequence[str] = ()
        if (several := given.get("urls")) is not None:
            url, *mirrors = _several(url, several, what)
        if not isinstance(url, str):
            raise BadTarget(f'{what.removeprefix("a ")} has no "{self._url}"')
        if is_record and any(_REDACTED in one for one in (url, *mirrors)):
            raise BadTarget("a record does not have the secrets of its URLs: take the list itself")
        if type(key) is int and self._key != "key":  # ids are numbers in many lists
            key = str(key)
        if key is not None and not isinstance(key, str):
            raise BadTarget(f'"{self._key}" of {what} is not a string')
        if headers is not None:
            headers = _checked(headers, what)
        url, key = str.__str__(url), str.__str__(key or "")
        expected = None
        if not (is_record or EXPECTED.isdisjoint(given)):
            from scraper.model.expected import expected_of  # few lists tell digests

            expected = expected_of(given)
        if not mirrors:  # a mirror that is wrong is left out (`mirrors.py`)
            url = in_one_line(url)
        return url, key.strip(), headers or NO_HEADERS, expected, mirrors

    def _by_our_names(self, given: Mapping[str, Any], what: str) -> Mapping[str, Any]:
        """The fields that mean something, as they are called in this list. Raises BadTarget."""
        found: dict[str, Any] = {}
        others: list[str] = []
        for field, value in given.items():
            ours = self._ours.get(str(field).lower())
            if ours is None or (field != ours and ours in given):  # the exact name wins
                if field not in self._known:
                    others.append(str(field))
            elif ours in found:
                raise BadTarget(f'{what} has "{ours}" twice, in small letters and capitals')
            else:
                found[ours] = value
        for field in others:
            meant = _meant(field)
            if meant in self._ours and meant not in found:
                raise BadTarget(f'{what} has "{field}": did you mean "{meant}"?')
        if len(self._known) < _REMEMBERED:
            self._known.update(field for field in others if not _meant(field))
        if "status" not in given:
            self._name(others)
        return found

    def _name(self, others: Iterable[str]) -> None:
        """Name the fields that mean nothing, each once, and not too many of them."""
        left = _NAMED - len(self._named)
        fresh = [field for field in others if field not in self._named][:left]
        if fresh:
            self._named.update(fresh)
            what = "a field that means" if len(fresh) == 1 else "fields that mean"
            names = ", ".join(repr(field[:40]) for field in fresh)
            end = "; no more are named" if len(fresh) == left else ""
            self._note(f"the list {self._source!r} has {what} nothing here: {names}{end}")


def _several(first: object, given: object, what: str) -> list[str]:
    """The URL and the mirrors of a target whose field `urls` is `given`. Raises BadTarget."""
    texts = isinstance(given, list | tuple) and all(isinstance(one, str) for one in given)
    if not texts or not isinstance(given, list | tuple):
        raise BadTarget(f'"urls" of {what} is not a list of strings')
    found = [str.__str__(one) for one in given]
    if isinstance(first, str):
        return [first, *found]
    if first is not None or not found:
        raise BadTarget(f'{what.removeprefix("a ")} has no "url"')
    return found


def _checked(headers: object, what: str) -> Mapping[str, str]:
    """The headers of a target. Raises BadTarget for what HTTP does not allow."""
    if not isinstance(headers, Mapping):
        raise BadTarget(f'"headers" of {what} is not an object')
    for name, value in headers.items():
        if not isinstance(name, str):
            raise BadTarget(f'"headers" of {what} has a name that is not a string')
        if not isinstance(value, str) or not is_field_name(name) or not is_field_value(value):
            shown = beginning_of_name(name)
            raise BadTarget(f"header {shown!r} of {what} is not allowed in HTTP")
        if announces_a_body(name):
            raise BadTarget(f"header {name!r} of {what} announces a body, and there is none")
    return {str.__str__(name): str.__str__(value) for name, value in headers.items()}


@lru_cache(256)
def _meant(field: str) -> str:
    from difflib import get_close_matches  # few lists have other fields than ours

    if field.lower() in {"uri", "link", "href"}:
        return "url"
    return next(iter(get_close_matches(field.lower(), _FIELDS, 1, 0.8)), "")
