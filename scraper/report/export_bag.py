"""An export as a bag (BagIt, RFC 8493): the tag files that make a bag of a directory.

The payload of a bag lies in `data/`, so the keys have to begin with that; those of a list that is a
bag's `fetch.txt` do, and `--key 'data/{host}{path}'` makes such ones.

    bagit.txt  bag-info.txt  manifest-sha256.txt  tagmanifest-sha256.txt

A line feed and a carriage return of a name are written as %0A and %0D. RFC 8493 wants a `%` as %25
too; the Python package bagit takes that literally, so it is written so only where the name would
be read as another one (`a%0Ab`).

Owns: these files. Does not know: which records there are. Rejected: to copy the payload.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from scraper.model.errors import UsageError
from scraper.model.version import __version__
from scraper.report.export_sums import sha256_of

_AGENT = "Bag-Software-Agent: scraper "
_DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_PAYLOAD = "data/"
_READ_AS_ANOTHER = r"%(?=0[AaDd])"


def write_bag(records: Iterable[Mapping[str, Any]], directory: Path) -> int:
    """Make a bag of `directory`. The number of its objects.

    Raises UsageError if they can't be a bag, or if it is a bag that somebody else made; nothing has
    changed then. Raises OSError, and what `records` raises.
    """
    _check_ours(directory)
    directory.mkdir(parents=True, exist_ok=True)
    count = size = 0
    with replaced(directory / "manifest-sha256.txt") as manifest:
        for record in records:
            manifest.write(_line(record))
            count += 1
            size += record["size"]
    info = f"{_AGENT}{__version__}\nBagging-Date: {datetime.now(UTC):%Y-%m-%d}\n"
    info += f"Payload-Oxum: {size}.{count}\n"
    for name, text in (("bag-info.txt", info.encode()), ("bagit.txt", _DECLARATION)):
        with replaced(directory / name) as file:
            file.write(text)
    with replaced(directory / "tagmanifest-sha256.txt") as file:
        for name in ("bag-info.txt", "bagit.txt", "manifest-sha256.txt"):
            file.write(f"{_digest(directory / name)}  {name}\n".encode())
    return count


def _check_ours(directory: Path) -> None:
    info = directory / "bag-info.txt"
    names = [*directory.glob("bagit.txt"), *directory.glob("manifest-*.txt")]
    with suppress(FileNotFoundError):
        if info.read_bytes().startswith(_AGENT.encode()):
            return
        names.append(info)
    if names:
        raise UsageError(f"{str(names[0])!r} is of a bag that this command has not made")


def _line(record: Mapping[str, Any]) -> bytes:
    key, digest = record["key"], sha256_of(record)
    if not key.startswith(_PAYLOAD):
        hint = "fetch with --key 'data/{host}{path}', or a list that is a bag's fetch.txt"
        raise UsageError(f"the payload of a bag is in data/, and the key {key!r} is not", hint=hint)
    if digest is None:
        hint = "`scraper verify DEST --repair` records it"
        raise UsageError(f"the digest of {key!r} is not known", hint=hint)
    name = re.sub(_READ_AS_ANOTHER, "%25", key).replace("\n", "%0A").replace("\r", "%0D")
    return f"{digest}  {name}\n".encode("utf-8", "surrogateescape")


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the name `path` when all is written. A pipe or device is written itself.

    Raises OSError.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as special:
            yield special
        return
    path = path.resolve()  # a link stays a link
    fd, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(fd, "wb") as file:
            yield file
        os.chmod(fresh, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(fresh, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
