"""Lists in which publishers tell sizes and digests: checksum files, Storage Transfer.

A reader of lines gives the fields that a JSON line would have (`fields.py`), or None for a line
that names no target. It raises BadTarget.

Owns: these two formats. Does not know: where lines come from, what fields mean; bags (`bag.py`).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from scraper.model.errors import BadTarget, ListError
from scraper.model.expected import DIGESTS
from scraper.source.grammar import STORAGE_TRANSFER

Fields = Mapping[str, Any]
ReadLine = Callable[[str], Fields | None]

_BY_LENGTH = {2 * size: name for name, size in DIGESTS.items()}
# Texts: few runs need them, and `re` compiles one on its first use.
_SUM = r"(\\?)([0-9A-Fa-f]{32,128}) [ *](.+)"  # of sha256sum and its kin
_TAGGED = r"(\\?)(MD5|SHA1|SHA256|SHA512) \((.+)\) = ([0-9A-Fa-f]{32,128})"  # with --tag; of BSD
_BLAKE2 = r"(?i)b2sum|blake2"
_ESCAPED = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


def reader_of(form: str, name: str = "") -> ReadLine:
    """What reads the lines of a list: `sums`, `gcs` or `m3u`. `name` is that of the list.

    Raises ListError for B2SUMS: BLAKE2b has as many digits as SHA-512.
    """
    if form == "sums" and re.search(_BLAKE2, name.rpartition("/")[2]):
        raise ListError(
            f"the list {name!r} has digests of BLAKE2 by its name, which are not known here",
            hint=f"known are {', '.join(DIGESTS)}",
        )
    if form == "m3u":
        from scraper.source.playlists import of_playlist

        return of_playlist
    return of_checksum_file if form == "sums" else of_storage_transfer


def of_checksum_file(text: str) -> Fields | None:
    """A line of `sha256sum` and its kin: a digest and the name of a file.

    The name is a path, relative to where the checksum file lies. Both forms of coreutils are read
    (https://www.gnu.org/software/coreutils/manual/html_node/md5sum-invocation.html).
    """
    if not text or text.isspace() or text[0] == "#":
        return None
    if found := re.fullmatch(_SUM, text):
        escaped, digest, path = found.groups()
        name = _BY_LENGTH.get(len(digest), "")
    elif found := re.fullmatch(_TAGGED, text):
        escaped, tag, path, digest = found.groups()
        name = tag.lower()
    else:
        raise BadTarget("line is not of a checksum file: DIGEST, two blanks, NAME")
    if not name:
        raise BadTarget(f"a digest of {len(digest)} digits is none of {', '.join(DIGESTS)}")
    if escaped:
        path = re.sub(r"\\.", lambda one: _ESCAPED.get(one[0], one[0]), path)
    return {"url": quote(path.removeprefix("./")), name: digest}


def of_storage_transfer(text: str) -> Fields | None:
    """A line of a URL list of Google's Storage Transfer Service: URL, bytes, base64 of the MD5.

    The last two may be missing; 0 bytes are unknown.
    https://cloud.google.com/storage-transfer/docs/create-url-list
    """
    if not text or text.isspace() or text == STORAGE_TRANSFER:
        return None
    url, size, md5, *more = [*text.split("\t"), "", ""]
    if len(more) > 2:
        raise BadTarget("line has more than URL, size and MD5")
    return {"url": url, "size": None if size == "0" else size, "md5": md5}
