"""Which members of an archive a manifest tells of.

A record has the name, size, time and digest of a body. The first three stand in the header of a
member. They do not tell two bodies of one page apart if they are as long, and the server gives both
the same Last-Modified. So where an earlier member has the same three, the member is read.

The last record of a name is that of the member that counts. A page may be again what it was two
runs ago: so a member that an older record fits has none if an earlier one is that of the last.

Owns: that comparison. Does not know: what is done about the others (`sink.py`).
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple, Protocol

from scraper.sinks.archives.journal import second_of
from scraper.sinks.archives.members import Member, Members


class StoredFacts(NamedTuple):
    """What a record says of an object: key, size in bytes, time and SHA-256 if they are known."""

    key: str
    size: int
    modified_ms: int | None
    sha256: str | None = None


class Readable(Protocol):
    """What is needed of an archive. `content` raises OSError."""

    members: Members

    def content(self, member: Member) -> Iterator[bytes]:
        """The content of a member, in pieces."""


class Recorded:
    """What `stored`, the records of a manifest, says of the members that have one of `names`."""

    def __init__(self, names: Container[str], stored: Iterable[StoredFacts]) -> None:
        self._last: dict[str, StoredFacts] = {}
        self._earlier: dict[str, list[StoredFacts]] = {}
        for one in stored:
            if one.key in names:
                if (before := self._last.get(one.key)) is not None:
                    self._earlier.setdefault(one.key, []).append(before)
                self._last[one.key] = one

    def may_have(self, member: Member) -> bool:
        """Whether a record has its name, size and second."""
        earlier = self._earlier.get(member.name, [])
        return self._is_like_last(member) or any(_is_like(member, one) for one in earlier)

    def has(self, member: Member, archive: Readable) -> bool:
        """Whether a record tells of it. One that can't be read is taken for the recorded one."""
        if self._is_like_last(member):
            digest, found = self._last[member.name].sha256, None
            if digest is not None and _has_twin(member, archive):
                found = _digest(member, archive)
            if found is None or found == digest:
                return True
        return self.may_have(member) and self.last_before(member, archive) is None

    def last_before(self, member: Member, archive: Readable) -> Member | None:
        """An earlier one of its name, which was read and is what the last record tells of."""
        for one in archive.members.before(member):
            if self._is_like_last(one):
                found, digest = _digest(one, archive), self._last[one.name].sha256
                if found is not None and digest in {found, None}:
                    return one
        return None

    def _is_like_last(self, member: Member) -> bool:
        last = self._last.get(member.name)
        return last is not None and _is_like(member, last)


def unrecorded_from(members: Sequence[Member], recorded: Recorded, archive: Readable) -> int | None:
    """Where those of `members` begin, which stand at the end, that no record tells of.

    None: the last one is recorded. `members` are in the order they stand.
    """
    cut = None
    for member in reversed(members):
        if recorded.has(member, archive):
            break
        cut = member.offset
    return cut


def to_restore(
    members: Iterable[Member], recorded: Recorded, archive: Readable
) -> Iterator[Member]:
    """What the last records tell of, where one of `members` counts instead and has no record."""
    for member in members:
        if archive.members.find(member.name) == member and not recorded.has(member, archive):
            earlier = recorded.last_before(member, archive)
            if earlier is not None:
                yield earlier


def _is_like(member: Member, record: StoredFacts) -> bool:
    """Whether size and second are the same, as far as they are known."""
    if member.size != record.size or record.modified_ms is None:
        return member.size == record.size
    return second_of(member.modified_s) == second_of(record.modified_ms // 1000)


def _has_twin(member: Member, archive: Readable) -> bool:
    """Whether an earlier member can't be told from it without reading."""
    facts = member.size, member.modified_s
    return any((one.size, one.modified_s) == facts for one in archive.members.before(member))


def _digest(member: Member, archive: Readable) -> str | None:
    """Of its content. None: it can't be read."""
    digest = sha256()
    try:
        for piece in archive.content(member):
            digest.update(piece)
    except OSError:
        return None
    return digest.hexdigest()
