"""The bytes of a tar: the headers of a member that is written, and of one that is read.

Members are in the POSIX form (pax). A header of its own carries what the old header has no room
for: long names, names that are no ASCII, 8 GiB and more. Everything but name, size and time is the
same for all, so the same bodies make the same bytes.

Owns: blocks and headers. Does not know: files, compression. Rejected: tarfile.open for reading. It
gives a member that is cut off as if it were whole, and keeps all members in memory; its TarInfo
does read and write the headers here.
"""

import re
import tarfile
from collections.abc import Callable
from typing import NamedTuple

BLOCK = 512
END = bytes(2 * BLOCK)  # behind the last member
_LONGEST = 1 << 20  # of a header that extends another; more is no header
_ENCODING = "utf-8", "surrogateescape"
_EXTENDS = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
_GNU_KEYS = {tarfile.GNUTYPE_LONGNAME: b"path", tarfile.GNUTYPE_LONGLINK: b"linkpath"}
_RECORD = re.compile(rb"(\d+) ([^=]+)=")


class Incomplete(Exception):
    """There are not enough bytes for the headers of a member."""


class NotTar(Exception):
    """These bytes are no headers that we read."""


class Head(NamedTuple):
    """The headers of one member: bytes `start` to `data`, where its content begins.

    `size` is in bytes, `end` behind the content and its padding, `modified_s` in seconds since
    1970. `is_file`: it is neither a link nor a directory. `link`: what a hard link refers to.
    `shared`: where headers stand that hold for all members behind them.
    """

    name: str
    start: int
    data: int
    size: int
    modified_s: int
    is_file: bool
    is_directory: bool = False
    link: str = ""
    shared: tuple[tuple[int, int], ...] = ()

    @property
    def end(self) -> int:
        """Where the next member begins."""
        return self.data + padded(self.size)


def padded(size: int) -> int:
    """`size` bytes up to the end of their last block."""
    return -(-size // BLOCK) * BLOCK


def head_of(name: str, size: int, modified_s: int) -> bytes:
    """The headers of a member of ours."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, modified_s
    return info.tobuf(tarfile.PAX_FORMAT, *_ENCODING)


def read_head(read: Callable[[int, int], bytes], start: int) -> Head | None:
    """The headers that begin at `start`; `read(offset, size)` gives up to so many bytes.

    None at the end of the archive. Raises Incomplete and NotTar.
    """
    at, told, shared = start, dict[bytes, bytes](), list[tuple[int, int]]()
    while True:
        block = read(at, BLOCK)
        if len(block) < BLOCK:
            raise Incomplete
        if not block.strip(b"\0"):
            return None
        try:
            info = tarfile.TarInfo.frombuf(block, *_ENCODING)
        except tarfile.HeaderError as error:
            raise NotTar(str(error)) from None
        at += BLOCK
        if info.type not in _EXTENDS:
            break
        if info.size > _LONGEST:
            raise NotTar("a header of more than a mebibyte")
        content = read(at, padded(info.size))
        if len(content) < padded(info.size):
            raise Incomplete
        begin, at = at - BLOCK, at + padded(info.size)
        if info.type == tarfile.XGLTYPE:
            shared.append((begin, at))
        else:
            told |= _told(info.type, content[: info.size])
    return _head(info, start, at, told)._replace(shared=tuple(shared))


def _head(info: tarfile.TarInfo, start: int, data: int, told: dict[bytes, bytes]) -> Head:
    if info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith(b"GNU.sparse") for key in told):
        raise NotTar("a sparse file, which is not read here")
    name, link = (
        told[key].decode(*_ENCODING) if told.get(key) else plain
        for key, plain in ((b"path", info.name), (b"linkpath", info.linkname))
    )
    has_content = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
    try:
        size = int(told.get(b"size", info.size)) if has_content else 0
        modified_s = int(float(told.get(b"mtime", info.mtime)))
    except (ValueError, OverflowError):
        raise NotTar("a number that is none") from None
    if size < 0:
        raise NotTar("a negative size")
    facts = size, modified_s, info.isreg(), info.isdir(), link if info.islnk() else ""
    return Head(name, start, data, *facts)


def _told(kind: bytes, content: bytes) -> dict[bytes, bytes]:
    """What a header tells of the member behind it, by the keys of pax."""
    key = _GNU_KEYS.get(kind)
    return _records(content) if key is None else {key: content.rstrip(b"\0")}


def _records(content: bytes) -> dict[bytes, bytes]:
    """The records of a pax header: `LENGTH KEY=VALUE` and a line feed."""
    found, at = dict[bytes, bytes](), 0
    while at < len(content) and content[at]:
        matched = _RECORD.match(content, at)
        length = int(matched[1]) if matched else 0
        if matched is None or content[at + length - 1 : at + length] != b"\n":
            raise NotTar("a pax record that is none")
        found[matched[2]] = content[matched.end() : at + length - 1]
        at += length
    return found
