"""What a list says of a body: its size and digests, as its publisher tells them.

Owns: how such a value is written, the record of those of one target, and how bytes differ from it.
Does not know: which bytes of a body are meant (`transfer/integrity.py`), the grammar of lists
(`source/lists.py`).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from scraper.model.errors import BadTarget

# Names of digests as fields and columns have them, with their bytes. The strongest is the first.
DIGESTS: Mapping[str, int] = {"sha512": 64, "sha256": 32, "sha1": 20, "md5": 16}
FIELDS = frozenset({"size", *DIGESTS})
RANGE_START = "range_start"  # the name of `Expected.first` in a record
_LARGEST = 2**63  # bytes


class Expected(NamedTuple):
    """The body that a target should have.

    `size` is in bytes, None if it is not told. `digests` are pairs of a name of DIGESTS and the
    digest in lower-case hexadecimal, in the order of DIGESTS. `first`: the body is the part of a
    file that begins with this byte, from 0 on; None: it is the whole file.
    """

    size: int | None = None
    digests: tuple[tuple[str, str], ...] = ()
    first: int | None = None

    def as_fields(self) -> dict[str, int | str]:
        """The same as fields of a record, or of a JSON line."""
        size: dict[str, int | str] = {} if self.size is None else {"size": self.size}
        if self.first is not None:
            size[RANGE_START] = self.first
        return {**size, **dict(self.digests)}

    def __str__(self) -> str:
        """A text that no other expectation has."""
        return " ".join(f"{name}={value}" for name, value in self.as_fields().items())


def expected_of(given: Mapping[str, Any]) -> Expected | None:
    """What `given` says under the names of FIELDS; None if that is nothing.

    A size is an integer, also as a text. A digest is hexadecimal, base64, or as Subresource
    Integrity has it (`sha256-...`, https://www.w3.org/TR/SRI/). An empty text and null say nothing.
    Raises BadTarget.
    """
    digests = []
    for name in DIGESTS:
        value = given.get(name)
        if value is None or value == "":
            continue
        found = digest_in_hex(name, value) if isinstance(value, str) else None
        if found is None:
            raise BadTarget(f'"{name}" is no {name} in hexadecimal or base64')
        digests.append((name, found))
    size = _size_of(given.get("size"))
    return Expected(size, tuple(digests)) if digests or size is not None else None


def expected_in_record(given: Mapping[str, Any]) -> Expected | None:
    """What a record says was expected. Raises BadTarget."""
    expected, first = expected_of(given), given.get(RANGE_START)
    return expected._replace(first=first) if expected and type(first) is int else expected


def _size_of(value: object) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise BadTarget('"size" is no number of bytes')
    return value


@lru_cache(8)
def _forms(name: str) -> tuple["re.Pattern[str]", "re.Pattern[str]"]:
    count = DIGESTS[name]
    prefix, sextets = rf"(?i:{name}[-:])?", -(-count * 8 // 6)
    in_hex = re.compile(rf"{prefix}([0-9A-Fa-f]{{{2 * count}}})")
    in_base64 = re.compile(rf"{prefix}([A-Za-z0-9+/_-]{{{sextets}}})={{0,2}}(?:\?.*)?")
    return in_hex, in_base64


def digest_in_hex(name: str, text: str) -> str | None:
    """The digest `name` that `text` is, in lower-case hexadecimal. None if it is none."""
    text = text.strip()
    in_hex, in_base64 = _forms(name)
    if found := in_hex.fullmatch(text):
        return found[1].lower()
    if not (found := in_base64.fullmatch(text)):
        return None
    plain = found[1].replace("-", "+").replace("_", "/")
    with_padding = plain + "=" * (-len(plain) % 4)
    try:
        return base64.b64decode(with_padding, validate=True).hex()
    except binascii.Error:
        return None


class Digests:
    """The digests that `expected` names, and always SHA-256, of bytes that come one by one.

    It is used as an object of hashlib's. `size` is the bytes so far.
    """

    __slots__ = ("_all", "hexdigest", "size")

    def __init__(self, expected: Expected) -> None:
        names = {"sha256", *(name for name, _ in expected.digests)}
        self._all = {name: hashlib.new(name, usedforsecurity=False) for name in names}
        self.hexdigest = self._all["sha256"].hexdigest
        self.size = 0

    def update(self, data: bytes) -> None:
        """Take the bytes that follow."""
        self.size += len(data)
        for one in self._all.values():
            one.update(data)

    def difference(self, expected: Expected) -> str | None:
        """How the bytes so far differ from `expected`, None if they do not."""
        if expected.size not in {None, self.size}:
            return size_differs(self.size, expected)
        for name, value in expected.digests:
            if (found := self._all[name].hexdigest()) != value:
                return f"{name} of the body is {found}, {value} was expected"
        return None


def size_differs(size: int, expected: Expected) -> str:
    """What to say of a body of `size` bytes, which are not as many as expected."""
    return f"body has {size:,} bytes, {expected.size:,} were expected"
