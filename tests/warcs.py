"""Archives, looked into by other readers: warcio for records, zlib alone for where members end.

for one in records(path):
    assert one.kind == "response"
    assert one.body == b"..."        # as warcio decodes it
"""

import io
import json
import subprocess
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import brotli
from cdxj_indexer.main import CDXJIndexer
from fastwarc.warc import ArchiveIterator as FastWarc
from fastwarc.warc import WarcRecordType
from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import BufferedReader
from warcio.checker import Checker


class _Brotli:
    """Brotli's, for warcio 1.8.1, which sets `unused_data`: no Decompressor takes that."""

    unused_data = None

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()

    def decompress(self, data: bytes) -> bytes:
        return bytes(self._decompressor.process(data))


BufferedReader.DECOMPRESSORS["br"] = _Brotli
MEMBERS = "*.warc.gz*"  # finished files, and the one that grows


def members(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The first byte of each gzip member, and its bytes. A torn last one is left out."""
    at = 0
    while at < len(data):
        inflate = zlib.decompressobj(31)
        try:
            inflate.decompress(data[at:])
        except zlib.error:
            return
        if not inflate.eof:
            return
        end = len(data) - len(inflate.unused_data)
        yield at, data[at:end]
        at = end


@dataclass(frozen=True)
class Record:
    """A record in the member at `offset` of a file of this name."""

    file: str
    offset: int
    member: bytes

    @cached_property
    def _read(self) -> tuple[Any, bytes, bytes]:
        raw = zlib.decompress(self.member, 31).partition(b"\r\n\r\n")[2].removesuffix(b"\r\n\r\n")
        for record in ArchiveIterator(io.BytesIO(self.member), check_digests="raise"):
            return record, record.content_stream().read(), raw
        raise AssertionError("no record")

    @property
    def kind(self) -> str:
        return str(self._read[0].rec_type)

    @property
    def head(self) -> Mapping[str, str]:
        """The fields of the record's header. Of a repeated one the last."""
        return dict(self._read[0].rec_headers.headers)

    @property
    def fields(self) -> list[tuple[str, str]]:
        return list(self._read[0].rec_headers.headers)

    @property
    def http(self) -> Any:
        """The head of HTTP, as warcio reads it."""
        return self._read[0].http_headers

    @property
    def body(self) -> bytes:
        """The body without its content coding."""
        return self._read[1]

    @property
    def block(self) -> bytes:
        return self._read[2]

    @property
    def indexed(self) -> bool:
        """Whether an index has a line of it: a 304 and a body that is not kept have none."""
        return self.kind in {"response", "revisit"} and "WARC-Payload-Digest" in self.head

    @property
    def url(self) -> str:
        return self.head.get("WARC-Target-URI", "")


def records(directory: Path) -> list[Record]:
    """All whole records of an archive, file by file."""
    return [
        Record(path.name.removesuffix(".open"), at, member)
        for path in sorted(directory.glob(MEMBERS))
        for at, member in members(path.read_bytes())
    ]


def payload(record: Record, every: list[Record]) -> bytes:
    """The body of a response, or of what a `revisit` refers to."""
    if record.kind != "revisit":
        return record.body
    asked = record.head["WARC-Refers-To-Target-URI"], record.head["WARC-Refers-To-Date"]
    (found,) = [
        one
        for one in every
        if one.kind == "response"
        and (one.url, one.head["WARC-Date"]) == asked
        and one.head["WARC-Payload-Digest"] == record.head["WARC-Payload-Digest"]
    ]
    return found.body


def unaccounted(directory: Path, lines: list[bytes]) -> list[str]:
    """Where the records of an archive and the lines of its manifest do not agree."""
    there = [(one.file, one.offset, len(one.member)) for one in records(directory) if one.offset]
    named: list[tuple[str, int, int]] = []
    wrong = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # a torn line says nothing
        units = [*record.get("warc_earlier", ()), *filter(None, [record.get("warc")])]
        for unit in units:
            end = unit["offset"] + unit["length"]
            inside = [
                one for one in there if one[0] == unit["file"] and unit["start"] <= one[1] < end
            ]
            if len(inside) != unit["records"] or not inside or sum(inside[-1][1:]) != end:
                wrong.append(f"{record['key']}: {unit} has {len(inside)} records")
            named += inside
    wrong += [f"no line names {one}" for one in set(there) - set(named)]
    wrong += [f"named twice: {one}" for one in set(named) if named.count(one) > 1]
    return wrong


def said_by_others(path: Path) -> dict[str, bool]:
    """What gzip, warcio and FastWARC say of a finished file; whether cdxj-indexer has our index."""
    gzip = subprocess.run(["gzip", "-t", path], capture_output=True, check=False).returncode == 0
    unindexed = {str(one.offset) for one in records_of(path) if not one.indexed}
    with TemporaryDirectory() as directory:
        index = Path(directory) / "index.cdxj"
        CDXJIndexer(str(index), [str(path)], sort=True).process_all()
        lines = index.read_text().splitlines(keepends=True)
    told = [one for one in lines if json.loads(one.split(" ", 2)[2])["offset"] not in unindexed]
    ours = path.with_name(path.name.replace(".warc.gz", ".cdxj")).read_text()
    return {
        "gzip": gzip,
        "warcio": Checker(SimpleNamespace(inputs=[str(path)], verbose=False)).process_all() == 0,
        "fastwarc": _fastwarc(path),
        "cdxj": "".join(told) == ours,
    }


def _fastwarc(path: Path) -> bool:
    """Whether all digests are right; it takes those of payloads that a `revisit` has for wrong."""
    with open(path, "rb") as stream:
        for one in FastWarc(stream, parse_http=False):
            if one.headers.get("WARC-Block-Digest") and not one.verify_block_digest():
                return False
    with open(path, "rb") as stream:
        for one in FastWarc(stream, record_types=WarcRecordType.response, parse_http=True):
            if one.headers.get("WARC-Payload-Digest") and not one.verify_payload_digest():
                return False
    return True


def records_of(path: Path) -> list[Record]:
    """Those of one file."""
    return [Record(path.name, at, member) for at, member in members(path.read_bytes())]
