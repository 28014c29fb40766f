"""Mirrors: the other URLs of one body, as a line of a list gives them.

Lists of other programs name mirrors that are no http(s) URLs (`ftp:`, `magnet:`). Those are left
out, and one of each list is told. The first URL that is left makes the target.

Owns: that choice. Does not know: lines (`lists.py`), which mirror is asked when (`run/mirrors.py`).
Rejected: a failure for such a line, since its body can be fetched.
"""

from collections.abc import Callable, Iterator, Sequence

from scraper.model import urls
from scraper.model.errors import BadTarget
from scraper.model.records import Mirror
from scraper.source.lines import Note, check_length, in_one_line

_MOST = 100  # of one target


class Mirrors:
    """The mirrors of the list `source`. `note` hears of the first one that is left out."""

    def __init__(self, source: str, note: Note) -> None:
        self._source = source
        self._note = note
        self._told = False

    def of(self, given: Sequence[str]) -> tuple[str, tuple[Mirror, ...]]:
        """The first of the URLs `given` that is one, and the others. Raises BadTarget if none is.

        A URL that comes again is left out.
        """
        found: dict[tuple[str, str], Mirror] = {}
        wrong: BadTarget | None = None
        for text in given:
            try:
                listed = in_one_line(text)
                check_length(listed.encode("utf-8", "replace"))
                if "\0" in listed:
                    raise BadTarget("line has a NUL byte")  # noqa: TRY301
                href, origin, userinfo = urls.parse(listed)
            except BadTarget as error:
                wrong = wrong or error
                self._tell(text, error)
            else:
                found.setdefault((href, userinfo), Mirror(listed, href, origin.host, userinfo))
        if not found:
            raise wrong or BadTarget("no URL")
        first, *others = found.values()
        return first.listed, tuple(others[: _MOST - 1])

    def _tell(self, text: str, error: BadTarget) -> None:
        if not self._told:
            self._told = True
            shown = urls.redact_wreck(text)[:100]
            self._note(
                f"the list {self._source!r} has mirrors that are left out, such as {shown!r}:"
                f" {error.message}"
            )


def each_completed(given: Sequence[str], complete: Callable[[str], str]) -> Iterator[str]:
    """What `complete` makes of each URL. One that is wrong stays as it is: `of` leaves it out."""
    for url in given:
        try:
            whole = complete(in_one_line(url))
        except BadTarget:
            whole = url
        yield whole
