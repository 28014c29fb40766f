"""Lists in which publishers tell sizes and digests: checksum files, BagIt, Storage Transfer.

A reader of lines gives the fields that a JSON line would have (`fields.py`), or None for a line
that names no target. It raises BadTarget.

Owns: these three formats. Does not know: where lines come from, what fields mean. Rejected: all
manifests of a bag; the strongest one says enough, and a bag may have a million files.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scraper.model.errors import BadTarget, ListError
from scraper.model.expected import DIGESTS
from scraper.source.grammar import STORAGE_TRANSFER
from scraper.source.keys import given_key

Fields = Mapping[str, Any]
ReadLine = Callable[[str], Fields | None]

_BY_LENGTH = {2 * size: name for name, size in DIGESTS.items()}
# Texts: few runs need them, and `re` compiles one on its first use.
_SUM = r"(\\?)([0-9A-Fa-f]{32,128}) [ *](.+)"  # of sha256sum and its kin
_TAGGED = r"(\\?)(MD5|SHA1|SHA256|SHA512) \((.+)\) = ([0-9A-Fa-f]{32,128})"  # with --tag; of BSD
_BLAKE2 = r"(?i)b2sum|blake2"
_ESCAPED = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_IN_A_BAG = {"%0A": "\n", "%0D": "\r", "%25": "%"}


def reader_of(form: str, path: str = "", name: str = "") -> ReadLine:
    """What reads the lines of a list: `sums`, `bagit`, `gcs` or `m3u`. `path` is its file, or "".

    `name` is that of the list. Raises ListError for a bag without a payload manifest that can be
    read, and for B2SUMS: BLAKE2b has as many digits as SHA-512.
    """
    if form == "sums" and re.search(_BLAKE2, name.rpartition("/")[2]):
        raise ListError(
            f"the list {name!r} has digests of BLAKE2 by its name, which are not known here",
            hint=f"known are {', '.join(DIGESTS)}",
        )
    if form == "bagit":
        if not path:
            raise ListError(
                "a bag's fetch.txt is held against the manifests beside it: give it as a file"
            )
        return partial(of_fetch_txt, digests=digests_of_bag(Path(path).parent))
    if form == "m3u":
        from scraper.source.playlists import of_playlist

        return of_playlist
    return of_checksum_file if form == "sums" else of_storage_transfer


def digests_of_bag(bag: Path) -> Fields:
    """The digests of the strongest payload manifest of a bag, by path. Raises ListError.

    https://www.rfc-editor.org/rfc/rfc8493#section-2.1.3
    """
    for name in DIGESTS:
        manifest = bag / f"manifest-{name}.txt"
        try:
            with open(manifest, encoding="utf-8") as lines:
                pairs = (line.rstrip("\r\n").split(maxsplit=1) for line in lines)
                found = {_path(pair[1]): pair[0] for pair in pairs if len(pair) == 2}
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ListError(f"can't read {str(manifest)!r}: {reason}") from None
        return {path: {name: digest} for path, digest in found.items()}
    raise ListError(f"no payload manifest (manifest-sha256.txt or the like) lies in {str(bag)!r}")


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


def of_fetch_txt(text: str, digests: Fields) -> Fields | None:
    """A line of a bag's `fetch.txt`: URL, length or `-`, and path, which is the key.

    `digests`: those of its payload manifest, which has to name the path. A path outside the payload
    would replace the bag's own files.

    https://www.rfc-editor.org/rfc/rfc8493#section-2.2.3
    """
    if not text or text.isspace():
        return None
    parts = text.split(maxsplit=2)
    if len(parts) < 3 or not (parts[1] == "-" or parts[1].isdigit()):
        raise BadTarget("line is not of fetch.txt: URL, length or -, path")
    url, length, path = parts
    path = _path(path)
    if given_key(path) != path:  # a bag with another name in it would not be valid
        raise BadTarget(f"no key can be the path {path!r}")
    if not path.startswith("data/"):
        raise BadTarget(f"path {path!r} is not in the payload of the bag, below data/")
    if path not in digests:
        raise BadTarget(f"path {path!r} is not in the payload manifest of the bag")
    return {"url": url, "key": path, "size": None if length == "-" else length, **digests[path]}


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


def _path(text: str) -> str:
    """A path of a bag, whose line breaks and `%` are encoded."""
    return re.sub("%0A|%0D|%25", lambda one: _IN_A_BAG[one[0].upper()], text, flags=re.IGNORECASE)
