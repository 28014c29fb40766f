"""Every kind of destination that can be had here, looked into without the program's own readers.

    for kind in KINDS:
        with kind.start(directory, cli) as place: ...    # Missing: what to install

Owns: how each is started and read. Does not know: what is promised (`promises.py`).
"""

import gzip
import tarfile
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from warcio.archiveiterator import ArchiveIterator

from tests import azurite, gcs
from tests.e2e.command import Command
from tests.file_servers import SERVERS, Missing
from tests.s3servers import moto

NO_DIRECTORY = "a-file"
_GZIP = b"\x1f\x8b"
Bodies = Callable[[], list[bytes]]


@dataclass(frozen=True)
class Place:
    """A destination: options and variables of a run, and one that refuses every run.

    `bodies` are what is stored, read by somebody else. `raw` is every byte at rest.
    """

    words: list[str]
    bodies: Bodies
    raw: Bodies
    wrong: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A kind of destination. `start` is given an empty directory, and raises Missing."""

    name: str
    start: Callable[[Path, Command], AbstractContextManager[Place]]


def _files(root: Path, *, own: bool) -> list[bytes]:
    """The files below `root`, the program's own too if `own`."""
    found = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return [path.read_bytes() for path in found if own or not _is_own(path.relative_to(root))]


def _plant(cli: Command) -> None:
    (cli.directory / NO_DIRECTORY).write_bytes(b"")


def _is_own(path: Path) -> bool:
    return any(name.startswith(".scraper") or ".scraper-" in name for name in path.parts)


@contextmanager
def _directory(_: Path, cli: Command) -> Iterator[Place]:
    root = cli.directory / "out"
    _plant(cli)
    files = partial(_files, root, own=False), partial(_files, root, own=True)
    yield Place(["--to", "out"], *files, ["--to", f"./{NO_DIRECTORY}/out"])


@contextmanager
def _objects(
    make: Callable[[], AbstractContextManager[Any]], _: Path, __: Command
) -> Iterator[Place]:
    with make() as server:
        bucket = server.make_bucket()

        def read(*, own: bool) -> list[bytes]:
            keys = [key for key in server.keys(bucket) if own or "/.scraper/" not in key]
            return [server.read(bucket, key) for key in sorted(keys)]

        to, options = f"{server.scheme}://", server.words()
        yield Place(
            ["--to", f"{to}{bucket}/pages", *options],
            partial(read, own=False),
            partial(read, own=True),
            ["--to", f"{to}{uuid.uuid4()}/pages", *options],
            server.environment(),
        )


@contextmanager
def _file_server(name: str, directory: Path, _: Command) -> Iterator[Place]:
    with SERVERS[name](directory / "server") as server:
        root = server.root / "out"
        (server.root / "a-file").write_bytes(b"")
        yield Place(
            ["--to", f"{server.url}/out"],
            partial(_files, root, own=False),
            partial(_files, root, own=True),
            ["--to", f"{server.url}/a-file/out"],
            server.environment,
        )


@contextmanager
def _archive(form: str, _: Path, cli: Command) -> Iterator[Place]:
    path = cli.directory / f"pages.{form}"
    scheme = form.partition(".")[0]

    def bodies() -> list[bytes]:
        if form == "zip":
            with zipfile.ZipFile(path) as opened:
                return [opened.read(name) for name in opened.namelist()]
        with tarfile.open(path) as opened:
            files = [opened.extractfile(one) for one in opened if one.isfile()]
            return [file.read() for file in files if file is not None]

    def raw() -> list[bytes]:
        beside = Path(f"{path}.scraper")
        packed = gzip.decompress(path.read_bytes()) if form.endswith("gz") else path.read_bytes()
        return [packed, *bodies(), *_files(beside, own=True)]

    _plant(cli)
    wrong = ["--to", f"{scheme}:{NO_DIRECTORY}/pages.{form}"]
    yield Place(["--to", f"{scheme}:{path.name}"], bodies, raw, wrong)


def _pages(archive: bytes) -> Iterator[bytes]:
    """The whole pages that warcio finds in an archive."""
    for record in ArchiveIterator(BytesIO(archive)):
        is_page = record.rec_type == "response" and record.http_headers.get_statuscode() == "200"
        if is_page and record.rec_headers.get_header("WARC-Truncated") is None:
            yield record.content_stream().read()


@contextmanager
def _warc(_: Path, cli: Command) -> Iterator[Place]:
    root = cli.directory / "archive"

    def bodies() -> list[bytes]:
        return [
            body for path in sorted(root.glob("*.warc.gz")) for body in _pages(path.read_bytes())
        ]

    def raw() -> list[bytes]:
        unpacked = [gzip.decompress(path.read_bytes()) for path in root.glob("*.gz")]
        return unpacked + _files(root, own=True)

    _plant(cli)
    yield Place(["--to", "warc:archive"], bodies, raw, ["--to", f"warc:{NO_DIRECTORY}/archive"])


@contextmanager
def _warc_objects(
    make: Callable[[], AbstractContextManager[Any]], home: Path, cli: Command
) -> Iterator[Place]:
    """An archive in a store, whose open file lies below `home`."""
    here = home / "state"
    with _objects(make, home, cli) as place:

        def archives() -> list[bytes]:
            return [data for data in place.bodies() if data[:2] == _GZIP]

        def raw() -> list[bytes]:
            return [*place.raw(), *map(gzip.decompress, archives()), *_files(here, own=True)]

        yield Place(
            ["--to", f"warc+{place.words[1]}", *place.words[2:]],
            lambda: [body for archive in archives() for body in _pages(archive)],
            raw,
            ["--to", f"warc+{place.wrong[1]}", *place.wrong[2:]],
            {**place.environment, "XDG_STATE_HOME": str(here)},
        )


KINDS = (
    Kind("directory", _directory),
    Kind("s3 (moto)", partial(_objects, moto)),
    Kind("gs (a server of ours)", partial(_objects, gcs.gcs)),
    Kind("az (Azurite)", partial(_objects, azurite.azurite)),
    *(Kind(name, partial(_file_server, name)) for name in SERVERS),
    *(Kind(form, partial(_archive, form)) for form in ("tar", "tar.gz", "zip")),
    Kind("warc", _warc),
    Kind("warc+s3 (moto)", partial(_warc_objects, moto)),
    Kind("warc+gs (a server of ours)", partial(_warc_objects, gcs.gcs)),
    Kind("warc+az (Azurite)", partial(_warc_objects, azurite.azurite)),
)
__all__ = ["KINDS", "Kind", "Missing", "Place"]
