"""The bytes of a zip: what stands before a member, and the directory at the end.

The sizes and the CRC of a member stand before it, not behind it, so that a reader of the file from
its beginning finds all members without a directory. 4 GiB and more, and 65,535 members and more,
take the fields of zip64. Times are UTC; the exact one is in the extended timestamp.

Owns: these structures, as we write them (PKWARE's APPNOTE 6.3.10, 4.3 to 4.5). Does not
know: files.
Rejected: the standard library's zipfile for writing. It writes a directory when it is closed, and
not before.
"""

import struct
import time
from typing import NamedTuple

from scraper.sinks.archives.members import Member

STORED, DEFLATED = 0, 8
LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
END_BYTES = 22
_END64, _LOCATOR = b"PK\6\6", b"PK\6\7"
MOST_END = END_BYTES + 56 + 20  # with those of zip64
_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_CENTRAL = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_OFFSET = struct.Struct("<L")  # the last field of an entry of the directory
_LENGTHS = struct.Struct("<HHH")  # of what follows it
_END = struct.Struct("<4sHHHHLLH")
_UTF8 = 0x800
_STAMP_BYTES = 9  # of an extended timestamp
_LIMIT, _LIMIT_16 = 0xFFFFFFFF, 0xFFFF
_UNIX, _MODE = 3 << 8, 0o100644 << 16
_OLDEST_S = 315_532_800  # 1980, where DOS begins
_NEWEST_S = 2**31 - 1


class NotOurs(Exception):
    """These bytes are no header as we write it."""


def local_header(name: str, modified_s: int, crc: int, size: int, packed: int) -> bytes:
    """What stands before a member of `size` bytes, of which `packed` are in the archive."""
    extra, need = _timestamp(modified_s), 20
    method = DEFLATED if packed < size else STORED
    if size >= _LIMIT or packed >= _LIMIT:
        extra, need = struct.pack("<HHQQ", 1, 16, size, packed) + extra, 45
        size = packed = _LIMIT
    encoded, flags = _encoded(name)
    day, moment = _dos(modified_s)
    fields = need, flags, method, moment, day, crc, packed, size, len(encoded), len(extra)
    return _LOCAL.pack(LOCAL, *fields) + encoded + extra


def central_entry(member: Member) -> bytes:
    """The entry of `member` in the directory."""
    method = DEFLATED if member.packed < member.size else STORED
    size, packed, offset = member.size, member.packed, member.offset
    wide = b""
    if size >= _LIMIT or packed >= _LIMIT:
        wide += struct.pack("<QQ", size, packed)
        size = packed = _LIMIT
    if offset >= _LIMIT:
        wide += struct.pack("<Q", offset)
        offset = _LIMIT
    extra, need = _timestamp(member.modified_s), 20
    if wide:
        extra, need = struct.pack("<HH", 1, len(wide)) + wide + extra, 45
    encoded, flags = _encoded(member.name)
    day, moment = _dos(member.modified_s)
    sizes = member.crc, packed, size, len(encoded), len(extra)
    fields = _UNIX | need, need, flags, method, moment, day, *sizes, 0, 0, 0, _MODE, offset
    return _CENTRAL.pack(CENTRAL, *fields) + encoded + extra


def end_record(count: int, size: int, offset: int) -> bytes:
    """What follows a directory of `count` entries and `size` bytes that begins at `offset`."""
    before = b""
    if count >= _LIMIT_16 or size >= _LIMIT or offset >= _LIMIT:
        wide = count, count, size, offset
        before = struct.pack("<4sQHHLLQQQQ", _END64, 44, _UNIX | 45, 45, 0, 0, *wide)
        before += struct.pack("<4sLQL", _LOCATOR, 0, offset + size, 1)
        count, size, offset = min(count, _LIMIT_16), min(size, _LIMIT), min(offset, _LIMIT)
    return before + _END.pack(END, 0, 0, count, count, size, offset, 0)


class Directory(NamedTuple):
    """Where a directory begins, its bytes, how many entries it has."""

    offset: int
    size: int
    entries: int


def read_end(tail: bytes) -> Directory | None:
    """The directory that the last bytes of a file tell of. None: they tell of none."""
    if len(tail) < END_BYTES or tail[-END_BYTES:][:4] != END:
        return None
    _, _, _, _, count, size, offset, comment = _END.unpack(tail[-END_BYTES:])
    if comment:
        return None
    before = tail[-MOST_END:-END_BYTES]
    if before[:4] == _END64 and before[-20:-16] == _LOCATOR:
        count, size, offset = struct.unpack("<QQQ", before[32:56])
    return Directory(offset, size, count)


def read_local(data: bytes, offset: int) -> Member:
    """The member whose header, at `offset` of the archive, `data` begins with.

    Raises NotOurs; also if `data` is too short.
    """
    if len(data) < _LOCAL.size or data[:4] != LOCAL:
        raise NotOurs
    _, _, flags, method, _, _, crc, packed, size, length, more = _LOCAL.unpack(data[: _LOCAL.size])
    begin = _LOCAL.size + length
    name, extra = data[_LOCAL.size : begin], data[begin : begin + more]
    if len(extra) < more or flags & ~_UTF8 or method not in {STORED, DEFLATED}:
        raise NotOurs
    if extra[:4] == b"\1\0\x10\0":
        size, packed = struct.unpack("<QQ", extra[4:20])
        extra = extra[20:]
    if not _is_stamp(extra) or (method == DEFLATED) != (packed < size):
        raise NotOurs
    modified_s = int.from_bytes(extra[5:], "little")
    text = name.decode("utf-8", "surrogateescape")
    start = offset + begin + more
    return Member(text, offset, start, start + packed, size, modified_s, crc, packed)


class Entry(NamedTuple):
    """An entry of a directory: its bytes, and where its member begins.

    `member` is None if the entry is not as we write it.
    """

    length: int
    offset: int
    member: Member | None


def entry_length(data: bytes, at: int = 0) -> int:
    """The bytes of the entry that begins at `at` of `data`. Raises NotOurs."""
    if data[at : at + 4] != CENTRAL or len(data) - at < _CENTRAL.size:
        raise NotOurs
    return _CENTRAL.size + int(sum(_LENGTHS.unpack_from(data, at + 28)))


def entry_offset(data: bytes) -> int:
    """Where the member of the entry that `data` is begins. Raises NotOurs if it is none."""
    (offset,) = _OFFSET.unpack_from(data, _CENTRAL.size - _OFFSET.size)
    return read_entry(data).offset if offset == _LIMIT else int(offset)


def read_entry(data: bytes) -> Entry:
    """The entry that `data` is. Raises NotOurs if it is none."""
    length = entry_length(data)
    if len(data) < length:
        raise NotOurs
    _, _, _, flags, method, _, _, crc, *rest = _CENTRAL.unpack(data[: _CENTRAL.size])
    packed, size, named, more, comment, _, _, _, offset = rest
    name, extra = data[_CENTRAL.size :][:named], data[_CENTRAL.size + named :][:more]
    head = _LOCAL.size + named + _STAMP_BYTES
    if extra[:2] == b"\1\0":
        if _LIMIT in {size, packed}:
            head += 20
        end = 4 + int.from_bytes(extra[2:4], "little")
        wide, extra = extra[4:end], extra[end:]
        numbers = iter(struct.iter_unpack("<Q", wide[: len(wide) // 8 * 8]))
        size, packed, offset = (
            next(numbers, (number,))[0] if number == _LIMIT else number
            for number in (size, packed, offset)
        )
    is_ours = not comment and not flags & ~_UTF8 and _is_stamp(extra)
    if not is_ours or method != (DEFLATED if packed < size else STORED):
        return Entry(length, offset, None)
    data_at, modified_s = offset + head, int.from_bytes(extra[5:], "little")
    text = name.decode("utf-8", "surrogateescape")
    facts = data_at, data_at + packed, size, modified_s, crc, packed
    return Entry(length, offset, Member(text, offset, *facts))


HEADER_MOST = _LOCAL.size + 0xFFFF + 29  # bytes of a header, at most
HEADER_USUAL = 256
ENTRY_MOST = _CENTRAL.size + 3 * 0xFFFF


def _timestamp(modified_s: int) -> bytes:
    """The extended timestamp of Info-ZIP, with the time of modification alone."""
    return struct.pack("<2sHBL", b"UT", 5, 1, min(max(modified_s, 0), _NEWEST_S))


def _is_stamp(extra: bytes) -> bool:
    return len(extra) == _STAMP_BYTES and extra[:5] == b"UT\5\0\1"


def _dos(modified_s: int) -> tuple[int, int]:
    """Date and time of MS-DOS, in UTC, to two seconds."""
    at = time.gmtime(min(max(modified_s, _OLDEST_S), _NEWEST_S))
    day = (at.tm_year - 1980) << 9 | at.tm_mon << 5 | at.tm_mday
    return day, at.tm_hour << 11 | at.tm_min << 5 | at.tm_sec // 2


def _encoded(name: str) -> tuple[bytes, int]:
    encoded = name.encode("utf-8", "surrogateescape")
    return encoded, 0 if encoded.isascii() else _UTF8
