"""Bodies whose size and digests the list tells: one that differs is never stored."""

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

import scraper
from scraper.manifest import lines_from, reading_of
from scraper.manifest.verify import Finding, Verdict, findings
from scraper.model.errors import Kind
from scraper.model.records import Result, Stored
from scraper.model.settings import Settings
from scraper.run.loop import Run
from scraper.sinks.directory.sink import DirectorySink
from scraper.source.sources import open_sources
from tests.ranges import RangeSite
from tests.run.test_continue import CUT, part, torn
from tests.run.test_loop import QUICK, fetch, results_of
from tests.servers import Reply, Request, Serve

if TYPE_CHECKING:
    from tests.s3servers import S3Server

BODY = Random(3).randbytes(1_000_000)
OTHER = Random(4).randbytes(1_000_000)
TEXT = b"a page of text\n" * 1000
CODED = gzip.compress(TEXT)
NAMES = ("md5", "sha1", "sha256", "sha512")


@pytest.fixture(autouse=True, params=["threads", "curl"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With either engine."""
    monkeypatch.setitem(QUICK, "engine", request.param)


def digests(content: bytes, *names: str) -> dict[str, Any]:
    """Fields of a line that expects `content`."""
    found: dict[str, Any] = {name: hashlib.new(name, content).hexdigest() for name in names}
    return found


def line(url: str, **fields: Any) -> str:
    """A JSON line."""
    return json.dumps({"url": url, "key": "k", **fields})


def one(serve: Serve, to: Path, reply: Reply, fields: Mapping[str, Any], **options: Any) -> Result:
    """The result of one target that is answered so."""
    (result,) = fetch([line(f"{serve(lambda _: reply).url}/a", **fields)], to, **options)
    return result


def objects(to: Path) -> dict[str, bytes]:
    """What is stored."""
    found = (path for path in to.rglob("*") if path.is_file() and ".scraper" not in path.parts)
    return {str(path.relative_to(to)): path.read_bytes() for path in found}


def verified(to: Path) -> list[Finding]:
    """What became of what is stored."""
    sink = DirectorySink(to)
    reading = reading_of(None, str(to), sink)
    return [*findings(lines_from(None, str(to), sink), sink, 2, reading)]


@pytest.mark.parametrize("names", [("size",), *((name,) for name in NAMES), ("size", *NAMES)])
def test_the_body_that_is_expected_is_stored(
    names: tuple[str, ...], serve: Serve, tmp_path: Path
) -> None:
    wanted = digests(TEXT, *(name for name in names if name != "size"))
    if "size" in names:
        wanted["size"] = len(TEXT)
    result = one(serve, tmp_path, Reply(body=TEXT), wanted)
    assert isinstance(result.outcome, Stored), result.outcome
    assert objects(tmp_path) == {"k": TEXT}
    record = json.loads((tmp_path / ".scraper" / "manifest.jsonl").read_bytes())
    assert record["expected"] == wanted
    assert "expected_of" not in record


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chunked", [False, True])
def test_another_body_is_never_stored(
    name: str, chunked: bool, serve: Serve, tmp_path: Path
) -> None:
    reply = Reply(body=[TEXT] if chunked else TEXT)
    result = one(serve, tmp_path, reply, digests(b"another", name))
    assert result.error is not None
    there, wanted = digests(TEXT, name)[name], digests(b"another", name)[name]
    assert result.error.kind is Kind.MISMATCH
    assert result.error.message == f"{name} of the body is {there}, {wanted} was expected"
    assert result.attempts == 2  # the same bytes are not asked for a third time
    assert objects(tmp_path) == {}


def test_a_body_of_another_length_is_not_even_fetched(serve: Serve, tmp_path: Path) -> None:
    never = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"x"
        never.wait()

    server = serve(lambda _: Reply(headers={"Content-Length": "1000"}, body=pieces()))
    try:
        (result,) = fetch([line(f"{server.url}/a", size=999)], tmp_path)
    finally:
        never.set()
    assert str(result.error) == "mismatch: body has 1,000 bytes, 999 were expected"
    assert result.attempts == 2


def test_a_body_that_tells_no_length_ends_when_it_is_too_long(serve: Serve, tmp_path: Path) -> None:
    never = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield bytes(1000)
        never.wait()

    try:
        result = one(serve, tmp_path, Reply(body=pieces()), {"size": 999}, retries=0)
    finally:
        never.set()
    assert str(result.error) == "mismatch: body is longer than the 999 bytes that were expected"
    assert objects(tmp_path) == {}


def test_a_body_that_was_damaged_on_its_way_is_asked_for_again(
    serve: Serve, tmp_path: Path
) -> None:
    damaged = [b"1" + TEXT[1:], b"2" + TEXT[1:], TEXT]

    def answer(request: Request) -> Reply:
        return Reply(body=damaged.pop(0))

    server = serve(answer)
    (result,) = fetch([line(f"{server.url}/a", **digests(TEXT, "md5"))], tmp_path)
    assert (result.status, result.attempts) == ("stored", 3)  # each time it was another damage
    assert objects(tmp_path) == {"k": TEXT}


@pytest.mark.parametrize("meant", ["coded", "decoded"])
@pytest.mark.parametrize("with_size", [False, True])
def test_a_coded_body_may_be_told_in_either_form(
    meant: str, with_size: bool, serve: Serve, tmp_path: Path
) -> None:
    told = CODED if meant == "coded" else TEXT
    fields = digests(told, "sha1", "sha256") | ({"size": len(told)} if with_size else {})
    reply = Reply(headers={"Content-Encoding": "gzip"}, body=CODED)
    result = one(serve, tmp_path, reply, fields)
    assert result.status == "stored", result.error
    assert objects(tmp_path) == {"k": TEXT}
    record = json.loads((tmp_path / ".scraper" / "manifest.jsonl").read_bytes())
    assert record.get("expected_of") == ("coded" if meant == "coded" else None)
    assert {found.verdict for found in verified(tmp_path)} == {Verdict.WHOLE}


def test_size_and_digest_have_to_be_of_one_form(serve: Serve, tmp_path: Path) -> None:
    reply = Reply(headers={"Content-Encoding": "gzip"}, body=CODED)
    result = one(serve, tmp_path, reply, {"size": len(CODED), **digests(TEXT, "sha256")})
    coded = digests(CODED, "sha256")["sha256"]
    assert result.error is not None
    assert result.error.message.startswith(f"sha256 of the body is {coded}")  # the size is its own


def test_a_body_that_was_continued_is_judged_whole(serve: Serve, tmp_path: Path) -> None:
    for content, status in ((BODY, "stored"), (OTHER, "failed")):
        replies = [torn(BODY, CUT), part(BODY, CUT)]

        def answer(request: Request) -> Reply:
            return replies.pop(0) if len(replies) > 1 else replies[0]  # noqa: B023

        url = f"{serve(answer).url}/a"
        to = tmp_path / status
        listed = [line(url, size=len(BODY), **digests(content, "sha512"))]
        (result,) = fetch(listed, to, continue_above=100_000, retries=1)
        assert result.status == status, result.error
        assert objects(to) == ({"k": BODY} if status == "stored" else {})


def test_a_body_in_parts_is_judged_whole(serve: Serve, tmp_path: Path) -> None:
    split: dict[str, Any] = {"split": 4, "split_above": 100_000}
    for content, kind in ((BODY, None), (OTHER, Kind.MISMATCH)):
        site, to = RangeSite(BODY, holds=3), tmp_path / str(kind)
        listed = [line(f"{serve(site).url}/big", **digests(content, "md5"))]
        (result,) = fetch(listed, to, **split, retries=0)
        assert (result.error.kind if result.error else None) == kind
        assert len(site.asked) == 3  # it came in parts
        assert objects(to) == ({} if kind else {"k": BODY})


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("size", [1000, 9_000_000])
def test_in_s3_too(size: int, serve: Serve, moto_server: "S3Server") -> None:
    store, content = moto_server, bytes(size)
    bucket = store.make_bucket()
    server = serve({"/a": content, "/b": content})
    listed = [
        {"url": f"{server.url}/a", "key": "a", **digests(content, "sha1"), "size": size},
        {"url": f"{server.url}/b", "key": "b", **digests(content + b"x", "sha1")},
    ]
    given = {**QUICK, "s3_endpoint": store.url}
    results = {one.key: one for one in scraper.run(listed, to=f"s3://{bucket}/p", **given)}
    assert {key: one.status for key, one in results.items()} == {"a": "stored", "b": "failed"}
    assert "p/b" not in store.keys(bucket)
    assert store.read(bucket, "p/a") == content
    assert store.unfinished(bucket) == []


def test_what_is_done_for_one_digest_is_not_done_for_another(serve: Serve, tmp_path: Path) -> None:
    pages = {"/a": Reply(headers={"ETag": '"1"'}, body=TEXT)}
    server = serve(lambda request: pages[request.path])
    right, wrong = digests(TEXT, "sha256"), digests(b"new", "sha256")
    url = f"{server.url}/a"

    def status(fields: Mapping[str, Any], **options: Any) -> str:
        (result,) = fetch([line(url, **fields)], tmp_path, retries=0, **options)
        return result.status

    assert status(right) == "stored"
    assert status(right, resume=True) == "skipped"
    assert status(wrong, resume=True) == "failed"  # it was asked for, without a condition
    assert objects(tmp_path) == {"k": TEXT}
    pages["/a"] = Reply(headers={"ETag": '"2"'}, body=b"new")
    assert status(wrong, retry_failed=True) == "stored"
    assert objects(tmp_path) == {"k": b"new"}


def test_a_stored_body_settles_failures_of_older_digests(serve: Serve, tmp_path: Path) -> None:
    pages = {"/a": Reply(500)}
    server = serve(lambda request: pages[request.path])
    url, right = f"{server.url}/a", digests(TEXT, "sha256")

    def status(listed: str, **options: Any) -> str:
        (result,) = fetch([listed], tmp_path, retries=0, **options)
        return result.status

    assert status(f"{url}\tk") == "failed"
    assert status(line(url, **digests(b"older", "sha256"))) == "failed"
    pages["/a"] = Reply(body=TEXT)
    assert status(line(url, **right), retry_failed=True) == "stored"
    pages["/a"] = Reply(body=b"neither")
    assert status(f"{url}\tk", retry_failed=True) == "skipped"  # it is there, and checked
    assert status(line(url, **right), resume=True) == "skipped"
    assert objects(tmp_path) == {"k": TEXT}
    assert [found.verdict for found in verified(tmp_path)] == [Verdict.WHOLE]
    assert status(line(url, **right, size=len(TEXT)), resume=True) == "failed"  # not yet known
    assert objects(tmp_path) == {"k": TEXT}


def test_a_304_is_not_asked_for_where_nobody_knows_the_digest(serve: Serve, tmp_path: Path) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        there = request.headers.get("if-none-match") == '"1"'
        return Reply(304) if there else Reply(headers={"ETag": '"1"'}, body=TEXT)

    url = f"{serve(answer).url}/a"
    told = digests(TEXT, "md5")
    for fields, status in (({}, "stored"), (told, "stored"), (told, "not_modified")):
        (result,) = fetch([line(url, **fields)], tmp_path)
        assert result.status == status
    assert ["if-none-match" in request.headers for request in asked] == [False, False, True]


def test_an_object_that_lies_there_is_not_taken_over(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"of another program")
    server = serve({"/a": TEXT})
    fields = digests(TEXT, "sha1")
    (result,) = fetch([line(f"{server.url}/a", **fields)], tmp_path, skip_existing=True)
    assert result.status == "stored"
    assert objects(tmp_path) == {"k": TEXT}


@pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("tsv", "\t")])
def test_columns_of_a_table_say_it_too(
    ending: str, separator: str, serve: Serve, tmp_path: Path
) -> None:
    server = serve(dict.fromkeys(("/a", "/b", "/c", "/d", "/e"), TEXT))
    md5, wrong = digests(TEXT, "md5")["md5"], digests(b"", "md5")["md5"]
    rows = [
        ["title", "MD5", "url", "size", "key"],
        ["x", md5, f"{server.url}/a", str(len(TEXT)), "a"],
        ["x", wrong, f"{server.url}/b", "", "b"],
        ["x", "", f"{server.url}/c", str(len(TEXT) + 1), "c"],
        ["x", "", f"{server.url}/d", "", "d"],
        ["x", "no digest", f"{server.url}/e", "", "e"],
        ["x", md5, f"{server.url}/a"],
    ]
    table = tmp_path / f"list.{ending}"
    table.write_text("".join(separator.join(row) + "\n" for row in rows))
    sources = open_sources([str(table)], lambda _: pytest.fail("no list is at a URL"))
    results = results_of(Run(Settings.of(to=tmp_path / "out", **QUICK), sources, []))
    found = {one.target.line: one.error.kind if one.error else one.status for one in results}
    assert found[2] == found[5] == found[7] == "stored"
    assert (found[3], found[4], found[6]) == (Kind.MISMATCH, Kind.MISMATCH, Kind.BAD_URL)


def test_require_digest_refuses_lines_without_one(serve: Serve, tmp_path: Path) -> None:
    server = serve({"/a": TEXT, "/b": TEXT, "/c": TEXT})
    listed = [
        line(f"{server.url}/a", key="a", **digests(TEXT, "sha1")),
        line(f"{server.url}/b", key="b", size=len(TEXT)),
        f"{server.url}/c\tc",
    ]
    results = {one.key: one for one in fetch(listed, tmp_path, require_digest=True)}
    assert {key: one.status for key, one in results.items()} == {
        "a": "stored",
        "b": "failed",
        "c": "failed",
    }
    assert str(results["c"].error) == "mismatch: its line has no digest (require_digest)"
    assert [request.path for request in server.requests] == ["/a"]


def test_two_lines_of_one_url_that_expect_other_bodies_clash(serve: Serve, tmp_path: Path) -> None:
    server = serve({"/a": TEXT})
    right = line(f"{server.url}/a", **digests(TEXT, "md5"))
    listed = [right, line(f"{server.url}/a", **digests(b"", "md5")), right]
    found = {one.target.line: one for one in fetch(listed, tmp_path)}
    assert [found[number].status for number in (1, 2, 3)] == ["stored", "failed", "duplicate"]
    assert "with other digests in line 1" in str(found[2].error)


def test_a_line_without_a_digest_that_is_refused_is_the_first_of_its_url_or_clashes(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve({"/a": TEXT, "/b": TEXT})
    right = [line(f"{server.url}/{name}", key=name, **digests(TEXT, "md5")) for name in "ab"]
    listed = [right[0], f"{server.url}/a\ta", f"{server.url}/b\tb", right[1]]
    found = {one.target.line: one for one in fetch(listed, tmp_path, require_digest=True)}
    kinds = {number: one.failure and one.failure.kind.value for number, one in found.items()}
    assert kinds == {1: None, 2: "bad_url", 3: "mismatch", 4: "bad_url"}
    assert [request.path for request in server.requests] == ["/a"]


def test_verify_holds_what_is_stored_against_the_list_too(serve: Serve, tmp_path: Path) -> None:
    server = serve({"/a": TEXT})
    fetch([line(f"{server.url}/a", **digests(TEXT, "sha512"), size=len(TEXT))], tmp_path)
    assert {found.verdict for found in verified(tmp_path)} == {Verdict.WHOLE}
    manifest = tmp_path / ".scraper" / "manifest.jsonl"
    record = json.loads(manifest.read_bytes())
    record["expected"]["sha512"] = "0" * 128  # as if the list had said that
    manifest.write_text(json.dumps(record) + "\n")
    (found,) = verified(tmp_path)
    assert found.verdict is Verdict.CHANGED
    assert found.detail.startswith("not as its list says: sha512 of the body is ")
