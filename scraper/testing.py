"""The conformance suite of sinks: what every sink must do, ours and those of other packages.

    def test_my_sink(tmp_path):
        check_sink(lambda: MySink(tmp_path), read=lambda key: read_or_none(tmp_path / key))

This module is public. It owns the promises of `sinks.base` as cases; a case that fails says in
a sentence which promise was broken. It does not know any particular sink or test runner: run
`SINK_CASES` one by one with pytest.mark.parametrize, or all of them with `check_sink`.

Rejected: a base class with tests to inherit. It would tie authors to one test runner.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import cast

from scraper.model.errors import SinkError
from scraper.model.records import Response, Stored
from scraper.sinks.base import (
    Body,
    RandomAccessUpload,
    ReadableSink,
    Sink,
    has_random_access,
    object_stat_of,
    sync_of,
)
from scraper.sinks.object_stat import ObjectStat, digest_of, is_recorded
from scraper.sinks.put_request import put_request_of

MakeSink = Callable[[], Sink]  # a new one each time, always on the same place
Read = Callable[[str], bytes | None]  # the object of a key, as any reader sees it
Names = Callable[[], Iterable[str]]  # everything that is in the place, temporary or not

_PIECE = 64 * 1024
_MANY = 12  # threads


@dataclass(frozen=True, slots=True)
class Place:
    """The place that sinks store into, and how another reader looks at it.

    With `names` the suite also finds files that are left over and are no objects.
    """

    make_sink: MakeSink
    read: Read
    names: Names | None = None


@dataclass(frozen=True, slots=True)
class SinkCase:
    """One promise. `run` raises AssertionError with a sentence if it is broken."""

    name: str
    run: Callable[[Place], None]


def check_sink(make_sink: MakeSink, read: Read, names: Names | None = None) -> None:
    """Run every case. Raises AssertionError that says which promise was broken, and how."""
    place = Place(make_sink, read, names)
    for case in SINK_CASES:
        try:
            case.run(place)
        except AssertionError as error:
            raise AssertionError(f"{case.name}: {error}") from error


def body_of(content: bytes) -> Body:
    """The facts of `content`, as if it had been fetched just now."""
    response = Response(
        200,
        "http://example.com/page",
        content_type="text/html; charset=utf-8",
        last_modified="Wed, 21 Oct 2015 07:28:00 GMT",
    )
    digest = sha256(content).hexdigest()
    return Body("http://example.com/page", time.time(), len(content), digest, response)


def store(sink: Sink, key: str, content: bytes) -> Stored:
    """Store `content` under `key` as a transfer does: in pieces, then committed."""
    upload = sink.open(key)
    try:
        for start in range(0, len(content), _PIECE):
            upload.write(content[start : start + _PIECE])
        return upload.commit(body_of(content))
    except BaseException:
        upload.abort()
        raise


@contextmanager
def _opened(place: Place) -> Iterator[Sink]:
    sink = place.make_sink()
    sink.check()
    try:
        yield sink
    finally:
        sink.close()


def _expect(place: Place, key: str, content: bytes | None, when: str) -> None:
    found = place.read(key)
    if found == content:
        return
    shown = ["nothing" if it is None else f"{len(it):,} bytes" for it in (found, content)]
    raise AssertionError(f"{when}, {key!r} holds {shown[0]} that should hold {shown[1]}")


def _content(size: int, seed: int = 0) -> bytes:
    return Random(seed).randbytes(size)  # noqa: S311 - not for secrets


def _round_trip(place: Place) -> None:
    contents = {"empty": b"", "small": b"hello\n", "large": _content(12_000_001)}
    with _opened(place) as sink:
        for name, content in contents.items():
            stored = store(sink, f"round-trip/{name}", content)
            facts = (stored.size, stored.sha256)
            expected = (len(content), sha256(content).hexdigest())
            assert facts == expected, f"commit returned {facts} for a body of {expected}"
            _expect(place, f"round-trip/{name}", content, "after the commit")
    for name, content in contents.items():
        _expect(place, f"round-trip/{name}", content, "after the sink was closed")


def _keys(place: Place) -> None:
    keys = [
        "keys/a/b/c/d/e/page.html",
        "keys/ä/日本語/🙂.txt",
        "keys/with space/100%25/a+b=c&d;e,f",
        "keys/" + "n" * 255,
        "keys/.hidden/file",
    ]
    with _opened(place) as sink:
        for number, key in enumerate(keys):
            store(sink, key, b"%d" % number)
    for number, key in enumerate(keys):
        _expect(place, key, b"%d" % number, "after the commit")


def _unseen_before_commit(place: Place) -> None:
    content = _content(10_000_000)
    with _opened(place) as sink:
        upload = sink.open("unseen/page")
        _expect(place, "unseen/page", None, "after open")
        for start in range(0, len(content), _PIECE):
            upload.write(content[start : start + _PIECE])
        _expect(place, "unseen/page", None, "before the commit")
        upload.commit(body_of(content))
        _expect(place, "unseen/page", content, "after the commit")


def _replaced(place: Place) -> None:
    with _opened(place) as sink:
        for size in (700_000, 900_000, 3, 0, 9_000_000):
            content = _content(size, size)
            store(sink, "replaced/page", content)
            _expect(place, "replaced/page", content, "after it was replaced")


def _replaced_at_once(place: Place) -> None:
    contents = [_content(size, size) for size in (700_000, 900_000, 3)]
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            found = place.read("at-once/page")
            assert found in contents, "a reader saw a part, or nothing, during a replacement"

    with _opened(place) as sink, ThreadPoolExecutor(1) as pool:
        store(sink, "at-once/page", contents[0])
        looking = pool.submit(look)
        try:
            for content in contents * 4:
                store(sink, "at-once/page", content)
        finally:
            over.set()
        looking.result()


def _aborted(place: Place) -> None:
    with _opened(place) as sink:
        store(sink, "aborted/kept", b"old")
        before = _names(place)
        for key in ("aborted/new", "aborted/kept"):
            for content in (b"", b"part", _content(9_000_000)):
                upload = sink.open(key)
                upload.write(content)
                upload.abort()
                upload.abort()
        _expect(place, "aborted/new", None, "after an abort")
        _expect(place, "aborted/kept", b"old", "after the abort of its replacement")
        _same_names(place, before, "aborts left")


def _abort_after_commit(place: Place) -> None:
    with _opened(place) as sink:
        upload = sink.open("committed/page")
        upload.write(b"whole")
        upload.commit(body_of(b"whole"))
        upload.abort()
        _expect(place, "committed/page", b"whole", "after commit and abort")
        store(sink, "committed/page", b"newer")
        upload.abort()
        _expect(place, "committed/page", b"newer", "after a late abort of an older upload")


def _closed(place: Place) -> None:
    with _opened(place) as sink:
        store(sink, "closed/kept", b"kept")
    before = _names(place)
    with _opened(place) as sink:
        for number, content in enumerate((b"", b"part", _content(9_000_000))):
            sink.open(f"closed/{number}").write(content)
    for number in range(3):
        _expect(place, f"closed/{number}", None, "after the sink was closed")
    _expect(place, "closed/kept", b"kept", "after the sink was closed")
    _same_names(place, before, "a closed sink left")


def _many_threads(place: Place) -> None:
    contents = {f"many/{n % 5}/{n}": _content(n * 1_000, n) for n in range(_MANY * 6)}
    with _opened(place) as sink, ThreadPoolExecutor(_MANY) as pool:
        list(pool.map(lambda key: store(sink, key, contents[key]), contents))
    for key, content in contents.items():
        _expect(place, key, content, "after many threads stored at once")


def _synced(place: Place) -> None:
    contents = {f"synced/{n % 3}/{n}": _content(n * 100, n) for n in range(_MANY * 3)}
    with _opened(place) as sink:
        upload = sink.open("synced/open")
        upload.write(b"part")
        _sync(sink, "before the first commit")
        with ThreadPoolExecutor(_MANY) as pool:
            storing = [pool.submit(store, sink, key, contents[key]) for key in contents]
            for stored in storing:
                stored.result()
                _sync(sink, "while other threads store")
        _sync(sink, "when nothing has changed")
        for key, content in contents.items():
            _expect(place, key, content, "after sync")
        upload.commit(body_of(b"part"))
        _sync(sink, "after the last commit")
        _expect(place, "synced/open", b"part", "committed after sync")


def _sync(sink: Sink, when: str) -> None:
    try:
        sync_of(sink)()
    except Exception as error:
        raise AssertionError(f"{when}, sync raised {error!r}") from error


def _interleaved(place: Place) -> None:
    with _opened(place) as sink:
        uploads = [sink.open(f"interleaved/{n}") for n in range(8)]
        for piece in range(4):
            for number, upload in enumerate(uploads):
                upload.write(b"%d:%d " % (number, piece))
        expected = [b"".join(b"%d:%d " % (n, piece) for piece in range(4)) for n in range(8)]
        for upload, content in zip(uploads, expected, strict=True):
            upload.commit(body_of(content))
    for number, content in enumerate(expected):
        _expect(place, f"interleaved/{number}", content, "after uploads in turns")


def _any_order(place: Place) -> None:
    content = _content(3_000_000)
    with _opened(place) as sink:
        if not has_random_access(sink):
            return
        upload = cast("RandomAccessUpload", sink.open("in/parts"))
        starts = range(0, len(content), 500_000)

        def write(start: int) -> None:
            upload.write_at(start, content[start : start + 500_000])

        with ThreadPoolExecutor(len(starts)) as pool:
            list(pool.map(write, reversed(starts)))
        found = upload.read_at(499_000, 2_000)
        assert found == content[499_000:501_000], "read_at gives other bytes than were written"
        upload.commit(body_of(content))
        aborted = cast("RandomAccessUpload", sink.open("in/aborted"))
        aborted.write_at(10, b"x")
        aborted.abort()
    _expect(place, "in/parts", content, "after its bytes came in any order")


def _read_back(place: Place) -> None:
    contents = {
        "read/a": b"",
        "read/ab/c": b"see",
        "read/b": _content(9_000_000),
        "reads": b"s",
    }
    with _opened(place) as sink:
        if not isinstance(sink, ReadableSink):
            return
        for key, content in contents.items():
            store(sink, key, content)
            assert sink.size(key) == len(content), f"size of {key!r} is {sink.size(key)}"
            assert b"".join(sink.read(key)) == content, f"{key!r} reads back as other bytes"
        for prefix in ("read/", "read/a", "read/ab/", "rea", "read/none"):
            found, right = sorted(sink.keys(prefix)), [k for k in contents if k.startswith(prefix)]
            assert found == right, f"keys({prefix!r}) gives {found}"
        assert set(contents) <= set(sink.keys()), "keys() does not give every key"
        sink.remove("read/b")
        for key in ("read/b", "read/none", "read/a/none"):
            sink.remove(key)  # harmless where there is none
            assert sink.size(key) is None, f"{key!r} is not there, but has a size"
            try:
                assert not list(sink.read(key)), f"{key!r} is not there, but can be read"
            except SinkError:
                continue
            raise AssertionError(f"reading {key!r}, which is not there, is no SinkError")
        store(sink, "read/a", b"longer")
        assert sink.size("read/a") == 6, "the size is not that of the last commit"


def _recognised(place: Place) -> None:
    """An object that is replaced by one of the same size is seen to be another."""
    first, second = body_of(b"one"), body_of(b"two")
    dated = first.response._replace(last_modified="Wed, 21 Oct 2015 07:28:01 GMT")
    undated = first.response._replace(last_modified=None)
    second = second._replace(response=dated)
    third = body_of(b"six")._replace(response=undated, fetched_at=1_234_567_890.123)
    with _opened(place) as sink:
        if not (isinstance(sink, ReadableSink) and hasattr(sink, "object_stat")):
            return
        stat = object_stat_of(sink)
        assert stat("recognised/page") is None, "object_stat tells of an object that is not there"
        before: Body | None = None
        for body, content in ((first, b"one"), (second, b"two"), (third, b"six"), (first, b"one")):
            upload = sink.open("recognised/page")
            upload.write(content)
            upload.commit(body)
            found = stat("recognised/page")
            assert _is(found, body), f"object_stat gives {found} for the object of {body}"
            assert not _is(found, before), (
                f"object_stat does not tell {content!r} from the one before"
            )
            before = body
        sink.remove("recognised/page")
        assert stat("recognised/page") is None, "object_stat tells of an object that was removed"


def _put_request(place: Place) -> None:
    with _opened(place) as sink:
        upload = sink.open("put-request/page")
        upload.write(b"page")
        request = put_request_of(upload, body_of(b"page"))
        if request is not None:
            from scraper.sinks.curl_put import CurlPut

            assert request.judge(CurlPut().perform(request)) is None, "a put request failed"
            _expect(place, "put-request/page", b"page", "after its put request")
        upload.abort()


def _is(found: ObjectStat | None, body: Body | None) -> bool:
    if body is None:
        return False
    return is_recorded(found, body.size, digest_of(body.sha256), body.modified_ms)


def _names(place: Place) -> set[str]:
    return set(place.names()) if place.names else set()


def _same_names(place: Place, before: set[str], what: str) -> None:
    left = _names(place) - before
    assert not left, f"{what} {sorted(left)}"


SINK_CASES: tuple[SinkCase, ...] = (
    SinkCase("what is stored is what is read", _round_trip),
    SinkCase("keys may be deep, long and in any script", _keys),
    SinkCase("nothing is seen before the commit", _unseen_before_commit),
    SinkCase("the last commit wins", _replaced),
    SinkCase("a replacement is atomic", _replaced_at_once),
    SinkCase("abort leaves nothing", _aborted),
    SinkCase("abort after commit is harmless", _abort_after_commit),
    SinkCase("close gives up open uploads and leaves nothing", _closed),
    SinkCase("many threads may store at once", _many_threads),
    SinkCase("uploads may be written in turns", _interleaved),
    SinkCase("bytes may come in any order, where a sink says so", _any_order),
    SinkCase("sync, if there is one, may be called at any time", _synced),
    SinkCase("a sink that can be read back gives what it holds", _read_back),
    SinkCase("a put request, if there is one, stores the object", _put_request),
    SinkCase("object_stat, if there is one, tells objects apart", _recognised),
)
