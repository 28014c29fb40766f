"""The manifest: the contract's fields for every outcome, in a file and on any sink."""

import json
import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given

from scraper import manifest
from scraper.errors import DestinationError, Kind, ScraperError, SinkError
from scraper.lists import from_iterable
from scraper.loop import Run
from scraper.manifest import FileManifest, Manifest, SinkManifest, encode, open_manifest, to_record
from scraper.records import Outcome, Result, Stored, Target
from scraper.settings import Settings
from scraper.sinks.base import Body, Sink, Upload, find_sink
from scraper.sinks.directory import DirectorySink
from tests.results import (
    BAD_LINE,
    BROKEN_OFF,
    DEFERRED,
    DEFERRED_UNASKED,
    DUPLICATE,
    EVERY_RESULT,
    FAILED,
    NOT_MODIFIED,
    SHA256,
    SKIPPED,
    STORED,
    UNREACHED,
    UNSTARTED,
    URL,
    any_result,
)
from tests.s3servers import Asked, Front, S3Server
from tests.servers import HttpServer, Reply, Routes

# The table of CLI.md, `reason` and `of_line` besides.
TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("url", "source", "key", "status", "content_type", "etag"), str),
    **dict.fromkeys(("last_modified", "sha256", "url_effective", "started", "remote_ip"), str),
    **dict.fromkeys(("line", "http_code", "size", "attempts", "redirects", "of_line"), int),
    **dict.fromkeys(("time_connect", "time_starttransfer", "time_total", "time_queue"), float),
    "reason": str,
    "error": dict,
}
ALWAYS = {"url", "line", "source", "status", "attempts"}
STATUSES = {"stored", "not_modified", "skipped", "duplicate", "deferred", "failed"}


def check(record: dict[str, Any]) -> None:
    """It keeps what the contract says of every record."""
    assert ALWAYS <= record.keys() <= TYPES.keys()
    for name, value in record.items():
        assert type(value) is TYPES[name], name
    assert record["status"] in STATUSES
    if "error" in record:
        assert record["error"].keys() == {"kind", "message"}
        assert record["error"]["kind"] in {kind.value for kind in Kind}
        assert isinstance(record["error"]["message"], str)
    assert ("error" in record) == (record["status"] in {"failed", "deferred"})
    assert ({"size", "sha256"} <= record.keys()) == (record["status"] == "stored")
    if "started" in record:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["started"])


# ---------------------------------------------------------------- records

COMMON = {"url": URL, "line": 7, "source": "urls.txt", "key": "example.com_http/a.html"}
TIMED = {
    "started": "2026-03-25T08:45:30.250Z",
    "time_connect": 0.0,
    "time_starttransfer": 0.125,
    "time_total": 0.5,
    "time_queue": 3.0,
}


@pytest.mark.parametrize(
    ("result", "rest"),
    [
        (
            STORED,
            {
                "status": "stored",
                "http_code": 200,
                "content_type": "text/html; charset=utf-8",
                "etag": '"abc"',
                "last_modified": "Wed, 21 Oct 2015 07:28:00 GMT",
                "redirects": 1,
                "url_effective": "http://example.com/b.html",
                "remote_ip": "127.0.0.1",
                "size": 1234,
                "sha256": SHA256,
                "attempts": 1,
                **TIMED,
            },
        ),
        (
            NOT_MODIFIED,
            {
                "status": "not_modified",
                "http_code": 304,
                "etag": '"abc"',
                "redirects": 0,
                "url_effective": URL,
                "attempts": 2,
                **TIMED,
            },
        ),
        (SKIPPED, {"status": "skipped", "reason": "stored by an earlier run", "attempts": 0}),
        (DUPLICATE, {"status": "duplicate", "of_line": 3, "attempts": 0}),
        (
            DEFERRED,
            {
                "status": "deferred",
                "http_code": 429,
                "redirects": 0,
                "url_effective": URL,
                "error": {"kind": "http_status", "message": "HTTP 429"},
                "attempts": 2,
                **TIMED,
            },
        ),
        (
            DEFERRED_UNASKED,
            {
                "status": "deferred",
                "error": {"kind": "http_status", "message": "HTTP 429"},
                "attempts": 0,
            },
        ),
        (
            FAILED,
            {
                "status": "failed",
                "http_code": 404,
                "content_type": "text/plain",
                "redirects": 0,
                "url_effective": URL,
                "error": {"kind": "http_status", "message": "HTTP 404"},
                "attempts": 1,
                **TIMED,
            },
        ),
        (
            UNREACHED,
            {
                "status": "failed",
                "error": {"kind": "connect", "message": "can't connect: Connection refused"},
                "attempts": 4,
                "started": TIMED["started"],
                "time_total": 0.5,
                "time_queue": 3.0,
            },
        ),
        (
            UNSTARTED,
            {
                "status": "failed",
                "error": {"kind": "interrupted", "message": "not finished: SIGINT"},
                "attempts": 0,
            },
        ),
        (
            BROKEN_OFF,
            {
                "status": "failed",
                "error": {"kind": "interrupted", "message": "not finished: SIGINT"},
                "attempts": 1,
                "time_total": 9.0,
            },
        ),
    ],
)
def test_a_record_has_what_is_known_and_nothing_else(result: Result, rest: dict[str, Any]) -> None:
    assert to_record(result) == COMMON | rest


def test_a_line_that_is_no_target_has_no_key() -> None:
    assert to_record(BAD_LINE) == {
        "url": "nonsense",
        "line": 8,
        "source": "urls.txt",
        "status": "failed",
        "error": {"kind": "bad_url", "message": "no scheme"},
        "attempts": 0,
    }


def test_the_examples_have_every_outcome_there_is() -> None:
    assert {type(result.outcome) for result in EVERY_RESULT.values()} == set(get_args(Outcome))


@pytest.mark.parametrize("result", EVERY_RESULT.values(), ids=EVERY_RESULT)
def test_the_line_of_a_result_is_its_record_as_json(result: Result) -> None:
    record = to_record(result)
    check(record)
    line = encode(result)
    assert line.endswith(b"}\n")
    assert json.loads(line) == record


@given(any_result())
def test_any_result_is_one_line_of_json_that_no_terminal_acts_on(result: Result) -> None:
    line = encode(result)
    assert line.count(b"\n") == 1
    text = line.decode()
    check(json.loads(text))
    assert not re.search(r"[\x00-\x1f\x80-\x9f\u200e-\u200f\u2028-\u202e\u2066-\u2069]", text[:-1])


def test_a_record_survives_its_line_whatever_a_server_says() -> None:
    odd = '\x00\x1b[2J\x7f\x9b31m\u2028\u202e"\\ü€𝄞'
    result = Result(Target(odd, URL, "a", odd, 1, odd), STORED.outcome)
    assert json.loads(encode(result)) == to_record(result)


def test_a_file_name_that_is_not_utf8_is_no_reason_to_lose_a_record() -> None:
    source = os.fsdecode(b"caf\xe9.txt")
    record = json.loads(encode(Result(Target(URL, URL, "a", "k", 1, source), STORED.outcome)))
    assert record["source"] == "caf?.txt"
    check(record)


def test_the_url_is_shown_as_listed_without_its_secrets() -> None:
    listed = "HTTP://me:hunter2@Example.com/a?X-Amz-Signature=hunter2&page=2#top"
    record = to_record(Result(Target(listed, URL, "example.com", "k", 1, "l"), SKIPPED.outcome))
    assert record["url"] == "HTTP://REDACTED@Example.com/a?X-Amz-Signature=REDACTED&page=2#top"


def test_headers_and_userinfo_of_a_target_are_in_no_record() -> None:
    target = Target(URL, URL, "a", "k", 1, "l", {"X-Plain": "hunter2"}, "me:hunter2")
    for result in EVERY_RESULT.values():
        assert b"hunter2" not in encode(Result(target, result.outcome))


# ---------------------------------------------------------------- a file


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def write(kept: Manifest, results: Iterable[Result]) -> None:
    for result in results:
        kept(result)
    kept.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "manifest.jsonl"


def test_results_are_kept_in_their_order_and_after_those_of_earlier_runs(path: Path) -> None:
    write(FileManifest(path), [STORED, FAILED])
    write(FileManifest(path), [DUPLICATE])
    assert [one["status"] for one in lines(path)] == ["stored", "failed", "duplicate"]


def test_a_flush_is_seen_by_others_at_once(path: Path) -> None:
    kept = FileManifest(path)
    kept(STORED)
    kept.flush()
    assert len(lines(path)) == 1
    kept.close()


def test_a_manifest_can_be_closed_twice(path: Path) -> None:
    kept = FileManifest(path)
    kept.close()
    kept.close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "torn", [b"{", b'{"url":"http://a/","line":1', b"\xff", encode(STORED)[:-1]]
)
def test_the_torn_last_line_of_a_run_that_died_spoils_no_other(path: Path, torn: bytes) -> None:
    write(FileManifest(path), [STORED])
    with path.open("ab") as file:
        file.write(torn)
    write(FileManifest(path), [FAILED])
    first, middle, last = path.read_bytes().splitlines(keepends=True)
    assert (first, middle, last) == (encode(STORED), torn + b"\n", encode(FAILED))


def test_a_whole_last_line_is_left_as_it_is(path: Path) -> None:
    write(FileManifest(path), [STORED])
    write(FileManifest(path), [])
    assert path.read_bytes() == encode(STORED)


def test_two_runs_with_one_manifest_tear_no_line(path: Path) -> None:
    kept = [FileManifest(path), FileManifest(path)]

    def append(one: FileManifest, result: Result) -> None:
        for _ in range(200):
            one(result)
            one.flush()
        one.close()

    threads = [
        threading.Thread(target=append, args=pair)
        for pair in zip(kept, [STORED, FAILED], strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [one["status"] for one in lines(path)]
    assert (len(statuses), statuses.count("failed")) == (400, 200)


@pytest.mark.parametrize("special", ["/dev/null", "/dev/stdout"])
def test_a_manifest_may_be_no_regular_file(special: str) -> None:
    script = (
        "import sys; from pathlib import Path; from scraper.manifest import FileManifest;"
        "from tests.results import STORED;"
        "kept = FileManifest(Path(sys.argv[1])); kept(STORED); kept.flush(); kept.close()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, special],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout == (encode(STORED) if special == "/dev/stdout" else b"")


@pytest.mark.parametrize("name", [".", "file/manifest.jsonl"])
def test_a_manifest_that_cannot_be_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / name
    with pytest.raises(DestinationError) as caught:
        FileManifest(place)
    reason = str(caught.value).removeprefix(f"can't write the manifest {str(place)!r}: ")
    assert reason in {"Is a directory", "Not a directory", "File exists"}


def test_a_full_disk_is_our_error_however_often_it_is_met() -> None:
    kept = FileManifest(Path("/dev/full"))
    kept(STORED)
    for meet in (kept.flush, kept.close):
        with pytest.raises(DestinationError, match=r"manifest '/dev/full': No space left"):
            meet()
    kept.close()


def test_records_that_no_longer_fit_a_buffer_meet_the_full_disk_too() -> None:
    kept = FileManifest(Path("/dev/full"))
    results = [STORED] * 1000
    with pytest.raises(DestinationError, match="No space left"):
        write(kept, results)
    with pytest.raises(DestinationError, match="No space left"):
        kept.close()


FILLS = """
import sys
from pathlib import Path
from scraper.errors import DestinationError
from scraper.manifest import FileManifest
from tests.results import STORED
kept = FileManifest(Path(sys.argv[1]))
try:
    while True:
        kept(STORED)
        kept.flush()
except DestinationError as error:
    print(error)
try:
    kept.close()
except DestinationError:
    print("again")
"""


def test_a_disk_that_fills_up_in_a_line_leaves_the_lines_before_whole(path: Path) -> None:
    room = 5 * len(encode(STORED)) + 10
    ended = subprocess.run(
        [sys.executable, "-c", FILLS, path],
        cwd=Path(__file__).parent.parent,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "File too large" in ended.stdout
    assert ended.stdout.endswith("again\n")
    assert path.stat().st_size == room
    write(FileManifest(path), [FAILED])
    whole = [encode(STORED)] * 5
    assert path.read_bytes().splitlines(keepends=True) == [
        *whole,
        encode(STORED)[:10] + b"\n",
        encode(FAILED),
    ]


# ---------------------------------------------------------------- segments


class Watched:
    """A directory sink whose n-th commits fail as the test says, and which counts."""

    def __init__(self, root: Path, faults: Iterable[ScraperError | None] = ()) -> None:
        self.sink = DirectorySink(root)
        self.sink.check()
        self.faults = iter(faults)
        self.where = "commit"
        self.attempts = 0
        self.aborted = 0

    def check(self) -> None:
        self.sink.check()

    def open(self, key: str) -> Upload:
        self.attempts += 1
        self.fault("open")
        return WatchedUpload(self, self.sink.open(key))

    def fault(self, where: str) -> None:
        if where == self.where and (error := next(self.faults, None)) is not None:
            raise error

    def close(self) -> None:
        self.sink.close()


class WatchedUpload:
    def __init__(self, watched: Watched, upload: Upload) -> None:
        self.watched = watched
        self.upload = upload

    def write(self, chunk: bytes) -> None:
        self.watched.fault("write")
        self.upload.write(chunk)

    def commit(self, body: Body) -> Stored:
        self.watched.fault("commit")
        return self.upload.commit(body)

    def abort(self) -> None:
        self.watched.aborted += 1
        self.upload.abort()


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Watched]]:
    """A Watched sink on tmp_path whose manifest waits for nothing."""
    monkeypatch.setattr(manifest, "SEGMENT_WAITS_S", (0.0, 0.0, 0.0))
    made: list[Watched] = []

    def make(faults: Iterable[ScraperError | None] = ()) -> Watched:
        made.append(Watched(tmp_path, faults))
        return made[-1]

    yield make
    for sink in made:
        sink.close()


def segments(root: Path) -> list[Path]:
    return sorted((root / ".scraper").glob("manifest-*.jsonl"))


def kept_lines(root: Path) -> list[int]:
    return [record["line"] for path in segments(root) for record in lines(path)]


def numbered(number: int) -> Result:
    return Result(Target(URL, URL, "a", "k", number, "l"), STORED.outcome)


def slow(*_: object) -> SinkError:
    return SinkError("503 SlowDown", transient=True)


def test_what_is_short_and_young_is_one_segment_written_at_the_end(
    watch: Callable[..., Watched], tmp_path: Path
) -> None:
    kept = SinkManifest(watch(), "x://d/p/")
    for number in range(100):
        kept(numbered(number))
        kept.flush()
    assert segments(tmp_path) == []
    kept.close()
    (path,) = segments(tmp_path)
    assert path.read_bytes() == b"".join(encode(numbered(number)) for number in range(100))
    assert re.fullmatch(r"manifest-\d{8}T\d{6}Z-[0-9a-f]{6}-00001\.jsonl", path.name)
    assert kept.place == f"x://d/p/.scraper/{path.name.replace('00001', '*')}"


def test_a_run_without_results_leaves_no_segment(
    watch: Callable[..., Watched], tmp_path: Path
) -> None:
    kept = SinkManifest(watch(), "x://d")
    kept.flush()
    kept.close()
    assert segments(tmp_path) == []


def test_a_segment_ends_when_it_is_big(
    watch: Callable[..., Watched], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "SEGMENT_BYTES", 3 * len(encode(numbered(10))))
    kept = SinkManifest(watch(), "x://d")
    for number in range(10, 20):
        kept(numbered(number))
        kept.flush()
    kept.close()
    assert [len(lines(path)) for path in segments(tmp_path)] == [3, 3, 3, 1]
    assert kept_lines(tmp_path) == list(range(10, 20))


def test_a_segment_ends_when_it_is_old(
    watch: Callable[..., Watched], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = SinkManifest(watch(), "x://d")
    kept(numbered(1))
    kept.flush()
    monkeypatch.setattr(manifest, "SEGMENT_S", -1.0)
    kept(numbered(2))
    kept.flush()
    kept.flush()
    kept(numbered(3))
    kept.flush()
    kept.close()
    assert [len(lines(path)) for path in segments(tmp_path)] == [2, 1]


def test_two_runs_at_once_have_segments_of_their_own(
    watch: Callable[..., Watched], tmp_path: Path
) -> None:
    sink = watch()
    first, second = SinkManifest(sink, "x://d"), SinkManifest(sink, "x://d")
    write(first, [numbered(1)])
    write(second, [numbered(2)])
    assert sorted(kept_lines(tmp_path)) == [1, 2]
    assert len(segments(tmp_path)) == 2


@pytest.mark.parametrize("where", ["open", "write", "commit"])
def test_a_sink_that_is_busy_for_a_while_loses_no_record(
    where: str, watch: Callable[..., Watched], tmp_path: Path
) -> None:
    sink = watch([slow(), slow(), slow()])
    sink.where = where
    write(SinkManifest(sink, "x://d"), [numbered(1)])
    assert kept_lines(tmp_path) == [1]
    assert sink.attempts == 4


@pytest.mark.parametrize("where", ["open", "write", "commit"])
@pytest.mark.parametrize(
    ("fault", "attempts"),
    [
        (slow, 4),
        (lambda: SinkError("too long", transient=False), 1),
        (lambda: DestinationError("there is no such bucket"), 1),
    ],
)
def test_a_sink_that_takes_no_segment_is_our_error_when_flushed_or_closed(
    where: str, fault: Callable[[], ScraperError], attempts: int, watch: Callable[..., Watched]
) -> None:
    sink = watch(fault() for _ in range(attempts))
    sink.where = where
    kept = SinkManifest(sink, "x://d")
    kept(numbered(1))
    kept._roll()
    kept(numbered(2))
    with pytest.raises(DestinationError, match=re.escape(str(fault()))):
        kept.close()
    assert sink.attempts == attempts + 1  # the other segment is written all the same
    assert sink.aborted == (sink.attempts if where != "open" else 1)


def test_a_flush_tells_what_an_earlier_segment_met(watch: Callable[..., Watched]) -> None:
    sink = watch([DestinationError("there is no such bucket")])
    kept = SinkManifest(sink, "x://d")
    kept(numbered(1))
    kept._roll()
    kept._pending[0].exception()  # waits for it
    with pytest.raises(DestinationError, match="no such bucket"):
        kept.flush()
    kept.close()


def test_a_flush_waits_for_no_segment(watch: Callable[..., Watched]) -> None:
    go = threading.Event()

    def faults() -> Iterator[None]:
        assert go.wait(30)
        yield None

    sink = watch(faults())
    kept = SinkManifest(sink, "x://d")
    kept(numbered(1))
    kept._roll()
    kept.flush()
    assert not kept._pending[0].done()
    go.set()
    kept.close()


def test_the_place_of_segments_shows_no_password(watch: Callable[..., Watched]) -> None:
    kept = SinkManifest(watch(), "sftp://me:hunter2@host/p")
    kept.close()
    assert kept.place.startswith("sftp://REDACTED@host/p/.scraper/manifest-")


# ---------------------------------------------------------------- where it is kept


def place_of(path: str | None, destination: str, sink: Sink) -> str:
    kept = open_manifest(path, destination, sink)
    kept.close()
    return kept.place


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_manifest_of_a_directory_is_inside_it(scheme: str, tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path)
    place = place_of(None, f"{scheme}{tmp_path}", sink)
    assert place == str(tmp_path / ".scraper" / "manifest.jsonl")
    assert Path(place).exists()


def test_a_path_that_is_given_is_taken_whatever_the_destination(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    assert place_of(str(path), "s3://bucket/p", DirectorySink(tmp_path)) == str(path)


@pytest.mark.usefixtures("aws")
def test_in_s3_segments_are_objects_beside_the_bodies(moto_server: S3Server) -> None:
    bucket = moto_server.make_bucket()
    sink = find_sink(f"s3://{bucket}/p", moto_server.options())
    sink.check()
    kept = open_manifest(None, f"s3://{bucket}/p", sink)
    write(kept, [STORED, FAILED])
    sink.close()
    (key,) = moto_server.keys(bucket)
    assert f"s3://{bucket}/{key.replace('-00001', '-*')}" == kept.place
    assert moto_server.read(bucket, key) == encode(STORED) + encode(FAILED)
    head = moto_server.client.head_object(Bucket=bucket, Key=key)
    assert head["ContentType"] == "application/x-ndjson"


@pytest.mark.usefixtures("aws")
def test_s3_that_slows_down_for_a_while_loses_no_record(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "SEGMENT_WAITS_S", (0.0, 0.0, 0.0))
    bucket = moto_server.make_bucket()

    def fault(asked: Asked) -> tuple[int, str] | None:
        return (503, "SlowDown") if asked.operation == "PUT" and 1 < asked.number < 5 else None

    with Front(moto_server.url, fault) as front:
        sink = find_sink(f"s3://{bucket}", front.options())
        sink.check()  # the first PUT
        write(open_manifest(None, f"s3://{bucket}", sink), [STORED])
        sink.close()
        assert front.count("PUT") == 5
    (key,) = moto_server.keys(bucket)
    assert moto_server.read(bucket, key) == encode(STORED)


@pytest.mark.usefixtures("aws")
def test_s3_that_denies_access_is_asked_once(moto_server: S3Server) -> None:
    bucket = moto_server.make_bucket()

    def fault(asked: Asked) -> tuple[int, str] | None:
        return (403, "AccessDenied") if asked.operation == "PUT" and asked.number > 1 else None

    with Front(moto_server.url, fault) as front:
        sink = find_sink(f"s3://{bucket}", front.options())
        sink.check()
        kept = open_manifest(None, f"s3://{bucket}", sink)
        with pytest.raises(DestinationError, match="AccessDenied"):
            write(kept, [STORED])
        sink.close()
        assert front.count("PUT") == 2


# ---------------------------------------------------------------- a run that can't record


def test_a_run_whose_manifest_meets_a_full_disk_ends_with_that_and_tells_the_rest(
    serve: Callable[[Routes], HttpServer], tmp_path: Path
) -> None:
    server = serve(lambda _: Reply(body=b"x"))
    heard: list[Result] = []
    sources = [from_iterable(f"{server.url}/{number}" for number in range(50))]
    settings = Settings.of(to=tmp_path, manifest="/dev/full", max_concurrency=1)
    run = Run(settings, sources, [heard.append])
    with pytest.raises(DestinationError, match="'/dev/full': No space left"), run:
        list(run)
    assert len(heard) == run.tally.targets == 50
    assert run.tally.statuses["stored"] == server.total < 50
    assert run.stopped is not None
    assert "No space left" in run.stopped


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown"])
def test_a_run_whose_segments_are_refused_ends_with_that(
    code: str,
    serve: Callable[[Routes], HttpServer],
    moto_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manifest, "SEGMENT_WAITS_S", (0.0, 0.0, 0.0))
    bucket = moto_server.make_bucket()
    server = serve(lambda _: Reply(body=b"x"))
    sources = [from_iterable(f"{server.url}/{number}" for number in range(5))]

    def fault(asked: Asked) -> tuple[int, str] | None:
        status = 403 if code == "AccessDenied" else 503
        return (status, code) if "/.scraper/manifest-" in asked.path else None

    with Front(moto_server.url, fault) as front:
        run = Run(Settings.of(to=f"s3://{bucket}/p", s3_endpoint=front.url), sources)
        results: list[Result] = []
        with pytest.raises(DestinationError, match=code), run:
            results.extend(run)
        assert [result.status for result in results] == ["stored"] * 5
        segments = [asked for asked in front.asked if "/.scraper/manifest-" in asked.path]
        assert len(segments) == (1 if code == "AccessDenied" else 4)
    assert len(moto_server.keys(bucket)) == 5
