"""Bag: the lines of a bag's `fetch.txt`, with the digests of its payload manifest.

    with closing(Bag(path_of_fetch_txt)) as bag:
        fields = bag.of_fetch_txt(line)     # url, size, key and digest, as a JSON line has them

A bag may have a million files. So the digests are in a temporary database, by a hash of the path.

Owns: the format (RFC 8493). Does not know: where lines come from, what fields mean. Rejected: all
manifests of a bag; the strongest one says enough. A dict, which takes 400 bytes a file.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scraper.model.errors import BadTarget, ListError
from scraper.model.expected import DIGESTS
from scraper.model.scratch import Scratch
from scraper.model.urls import fingerprint
from scraper.source.keys import given_key

Fields = Mapping[str, Any]

_CODED = {"%0A": "\n", "%0D": "\r", "%25": "%"}
_CACHE_KIB = 16 * 1024
_SCHEMA = ("CREATE TABLE digests (path INTEGER PRIMARY KEY, digest TEXT)",)
_PUT = "INSERT OR REPLACE INTO digests VALUES (?, ?)"
_FIND = "SELECT digest FROM digests WHERE path = ?"


class Bag:
    """The one in which the list at `path` lies.

    Raises ListError if there is no payload manifest that can be read.
    https://www.rfc-editor.org/rfc/rfc8493#section-2.1.3
    """

    def __init__(self, path: str) -> None:
        if not path:
            raise ListError(
                "a bag's fetch.txt is held against the manifests beside it: give it as a file"
            )
        self._digests = Scratch("the digests of a bag", _SCHEMA, _CACHE_KIB)
        try:
            self._algorithm = self._read(Path(path).parent)
        except BaseException:
            self.close()
            raise

    def of_fetch_txt(self, text: str) -> Fields | None:
        """A line: URL, length or `-`, and path, which is the key. Raises BadTarget.

        The payload manifest has to name the path. A path outside the payload would replace the
        bag's own files. https://www.rfc-editor.org/rfc/rfc8493#section-2.2.3
        """
        if not text or text.isspace():
            return None
        parts = text.split(maxsplit=2)
        if len(parts) < 3 or not (parts[1] == "-" or parts[1].isdigit()):
            raise BadTarget("line is not of fetch.txt: URL, length or -, path")
        url, length, path = parts
        path = _decoded(path)
        if given_key(path) != path:  # a bag with another name in it would not be valid
            raise BadTarget(f"no key can be the path {path!r}")
        if not path.startswith("data/"):
            raise BadTarget(f"path {path!r} is not in the payload of the bag, below data/")
        if not (found := self._digests.rows(_FIND, (fingerprint(path),))):
            raise BadTarget(f"path {path!r} is not in the payload manifest of the bag")
        size = None if length == "-" else length
        return {"url": url, "key": path, "size": size, self._algorithm: found[0][0]}

    def close(self) -> None:
        """Forget the digests."""
        self._digests.close()

    def _read(self, bag: Path) -> str:
        """Read the strongest manifest. Which digests it has."""
        for name in DIGESTS:
            manifest = bag / f"manifest-{name}.txt"
            try:
                with open(manifest, encoding="utf-8") as lines:
                    self._digests.put_each(_PUT, _rows(lines))
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not UTF-8"
                raise ListError(f"can't read {str(manifest)!r}: {reason}") from None
            return name
        what = "no payload manifest (manifest-sha256.txt or the like)"
        raise ListError(f"{what} lies in {str(bag)!r}")


def _rows(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    """A hash of the path and the digest, of each line of a manifest."""
    pairs = (line.rstrip("\r\n").split(maxsplit=1) for line in lines)
    return ((fingerprint(_decoded(pair[1])), pair[0]) for pair in pairs if len(pair) == 2)


def _decoded(text: str) -> str:
    """A path of a bag, whose line breaks and `%` are encoded."""
    return re.sub("%0A|%0D|%25", lambda one: _CODED[one[0].upper()], text, flags=re.IGNORECASE)
