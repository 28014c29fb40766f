"""Foreign files: what is given as a list and is none, known by its first bytes.

Without this a Parquet file would be a bad line for each 0x0A in it, and an HTML page one for each
of its lines.

Owns: which beginnings these are, and the refusal with the way out. Does not know: lists.
Rejected: libmagic. It knows a thousand types, needs a library of the system, and its answer
changes with its version. Rejected too: a refusal of every file whose first line is no target. One
bad line must not cost the others.
"""

import re
from functools import cache

from scraper.model.errors import ListError

_ONE_A_LINE = "give its URLs as a list, one a line"
# Signatures of https://www.garykessler.net/library/file_sigs.html and of the formats' own pages.
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"PAR1", "Parquet", "read it with --list-format parquet"),
    (b"\xfd7zXZ\0", "compressed by xz", "xz -dc FILE | scraper -"),
    (b"BZh", "compressed by bzip2", "bzip2 -dc FILE | scraper -"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "zstd -dc FILE | scraper -"),
    (b"\x04\x22\x4d\x18", "compressed by lz4", "lz4 -dc FILE | scraper -"),
    (b"\x1f\x9d", "compressed by compress", "uncompress -c FILE | scraper -"),
    (b"PK\3\4", "a zip archive or a workbook", "unzip -p FILE | scraper - (workbook: save as CSV)"),
    (b"PK\5\6", "an empty zip archive", _ONE_A_LINE),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x -so FILE | scraper -"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a file of Microsoft Office", "save it as CSV"),
    (b"SQLite format 3\0", "an SQLite database", "sqlite3 -csv -header FILE 'select url from ...'"),
    (b"ARROW1", "Arrow (Feather)", "write its columns as CSV"),
    (b"ORC", "ORC", "write its columns as CSV"),
    (b"Obj\1", "Avro", "write its columns as CSV"),
    (b"\x89HDF\r\n", "HDF5", "write its columns as CSV"),
    (b"\x89PNG\r\n", "a PNG image", _ONE_A_LINE),
    (b"\xff\xd8\xff", "a JPEG image", _ONE_A_LINE),
    (b"GIF8", "a GIF image", _ONE_A_LINE),
    (b"RIFF", "a RIFF file (WebP, WAV, AVI)", _ONE_A_LINE),
    (b"%PDF-", "a PDF", _ONE_A_LINE),
    (b"{\\rtf", "a text in RTF", "save it as plain text"),
    (b"WARC/", "a WARC archive", "warcio index -f warc-target-uri FILE"),
    (b"\x7fELF", "a program", _ONE_A_LINE),
)
_FIRST_BYTES = frozenset(signature[0] for signature, _, _ in _SIGNATURES) | set(b"[{<\xff\xfe")
# UTF-16 and UTF-32, with and without a byte order mark, in both byte orders.
_WIDE = rb"\xff\xfe|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]|\0\0\xfe\xff|[^\0]\0{3}|\0{3}[^\0]"
_TAR = slice(257, 262)  # POSIX.1-2001 pax, "ustar Interchange Format"
_HTML = rb"(?i)<(?:!doctype\s+html|html|head|body|a|p|div|ul|!--)\b"
_XML = rb"<(?:[?!]|(?!https?:)[A-Za-z][\w.:-]*[\s/>])"
_ARRAY = rb"\[\s*(?:$|[\[{\"\]])"
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1a\x1b") + b"\x7f"
_LOOKED_AT = 1024  # bytes of the first line
_FEW = 8  # so many control characters may stand in any line


def check_beginning(line: bytes, name: str) -> None:
    """Raise ListError if the first line of the list `name` that is not blank is of no list."""
    found = _foreign(line)
    if found:
        what, way_out = found
        shown = name if re.fullmatch(r"[\w./-]*\w", name) else "FILE"
        raise ListError(f"the list {name!r} is {what}: {way_out.replace('FILE', shown)}")


def _foreign(line: bytes) -> tuple[str, str] | None:
    """What a file with this first line is, and the way out; None if it may be a list."""
    if not line:
        return None
    first = line.lstrip()[:_LOOKED_AT]
    if first[:1] in _first_bytes():
        for signature, what, way_out in _SIGNATURES:
            if line.startswith(signature):
                return what, way_out
        if markup := _markup(first):
            return markup
        if re.match(_ARRAY, first):
            return "a JSON array", "jq -c '.[]' FILE | scraper -"
        if first.rstrip() == b"{":
            return "JSON over several lines", "jq -c . FILE | scraper -"
    return _binary(line)


@cache
def _first_bytes() -> frozenset[bytes]:
    return frozenset(bytes([code]) for code in _FIRST_BYTES)


def is_markup(line: bytes) -> bool:
    """Whether a file with this first line is XML or HTML."""
    return _markup(line.lstrip()[:_LOOKED_AT]) is not None


def _markup(first: bytes) -> tuple[str, str] | None:
    if re.match(_HTML, first):
        return "HTML", "its links are the list with --list-format html; or " + _ONE_A_LINE
    feeds = "enclosures of RSS and Atom are one with --list-format feed; or "
    return ("XML", feeds + _ONE_A_LINE) if re.match(_XML, first) else None


def _binary(line: bytes) -> tuple[str, str] | None:
    """The same for a file without a signature of its own at its start."""
    if re.match(_WIDE, line):
        return "UTF-16 or UTF-32", "save it as UTF-8"
    if line[_TAR] == b"ustar":
        return "a tar archive", "tar -xOf FILE | scraper -"
    head = line[:_LOOKED_AT]
    odd = len(head) - len(head.translate(None, _CONTROLS))
    return ("no text", _ONE_A_LINE) if odd > _FEW and odd * 10 > len(head) else None
