"""Runs into a web archive: what is in it, what never is, and what later runs make of it."""

import gzip
import json
import re
import zipfile
import zlib
from hashlib import sha256
from pathlib import Path

import pytest

from scraper.model.options import EngineName
from tests.e2e.command import Command
from tests.e2e.places import kinds
from tests.h2server import H2Server
from tests.run.test_loop import fetch
from tests.servers import RawServer, Reply, Request, Serve, tls_context
from tests.warcs import Record, payload, records, said_by_others, unaccounted

# cdxj-indexer leaves a temporary file open where a record has no digest of its payload.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

GOOD = {"gzip": True, "warcio": True, "fastwarc": True, "cdxj": True}
PAGE = b"<html>a page</html>" * 400
LARGE = bytes(range(256)) * 8_000  # 2 MB
SECRET = "quite-a-secret"
ENDLESS = (b"nobody wants this " * 1_000 for _ in iter(int, 1))


HTML = {"Content-Type": "text/html; charset=utf-8"}
SESSION = {**HTML, "Set-Cookie": f"session={SECRET}"}
TAG = {"ETag": '"1"'}
HOP = {"Location": f"/hopped?token={SECRET}", "Set-Cookie": "seen=1"}
ANSWERS = {
    "/gzip": lambda: Reply(200, {**HTML, "Content-Encoding": "gzip"}, gzip.compress(PAGE + b"z")),
    "/hop": lambda: Reply(302, HOP, b"it moved"),
    "/hopped": lambda: Reply(200, SESSION, PAGE + b"private"),
    "/private": lambda: Reply(200, SESSION, PAGE + b"private"),
    "/gone": lambda: Reply(404, HTML, b"not here"),
    "/endless": lambda: Reply(500, HTML, ENDLESS),
    "/broken": lambda: Reply(200, {"Content-Length": "90"}, b"part", close=True),
    "/pieces": lambda: Reply(200, HTML, iter([PAGE[:100], PAGE[100:]])),
    "/large": lambda: Reply(200, {}, LARGE),
    "/tagged": lambda: Reply(200, {**TAG, **HTML}, PAGE + b"tagged"),
}


def answer(request: Request) -> Reply:
    """What the site of these tests says. Pages that it does not know are one page."""
    if request.path == "/tagged" and request.headers.get("if-none-match") == TAG["ETag"]:
        return Reply(304, {**TAG, "X-Not": "modified"})
    return ANSWERS.get(request.plain_path, lambda: Reply(200, HTML, PAGE))()


PATHS = ["page", "gzip", "hop", "gone", "endless", "broken", "pieces", "large", "tagged", "same"]


def lines_of(url: str) -> list[str]:
    """The list: one page needs a password, one has a token in its URL."""
    private = url.replace("://", f"://me:{SECRET}@")
    return [*(f"{url}/{path}" for path in PATHS), f"{private}/private", f"{url}/t?token={SECRET}"]


def of(every: list[Record], path: str, kind: str) -> list[Record]:
    """The records of a path, of one kind."""
    return [one for one in every if one.kind == kind and re.search(rf"{path}(\?|$)", one.url)]


def test_every_exchange_is_in_the_archive_and_in_the_manifest(
    engine: EngineName, serve: Serve, cli: Command
) -> None:
    site = serve(answer)
    cli.write("urls", *lines_of(site.url))
    words = ["urls", "--to", "warc:out", "--engine", engine, "--retries", 1, "-c", 3]
    words += ["-H", f"X-Api-Key: {SECRET}", "--max-failures", 3]
    assert cli(*words).status == 0
    root = cli.directory / "out"
    lines = (root / ".scraper/manifest.jsonl").read_bytes().splitlines(keepends=True)
    every = records(root)
    assert unaccounted(root, lines) == []
    assert all(said_by_others(path) == GOOD for path in root.glob("*.warc.gz"))
    assert kinds(cli.records()) == {"stored": 9, "http_status": 2, "truncated": 1}
    whole = b"".join(zlib.decompress(one.member, 31) for one in every)
    assert SECRET.encode() not in whole

    (hop,), (hopped,) = of(every, "/hop", "response"), of(every, "/hopped", "response")
    assert (hop.body, hop.http.get_statuscode()) == (b"it moved", "302")
    assert hop.http.get_header("Set-Cookie") == "REDACTED"  # a secret was sent there
    assert hop.http.get_header("Location") == "/hopped?token=REDACTED"
    assert payload(hopped, every) == PAGE + b"private"
    (gone,) = of(every, "/gone", "response")
    assert (gone.body, gone.http.get_statuscode()) == (b"not here", "404")
    first, *again = of(every, "/endless", "response") + of(every, "/endless", "revisit")
    assert (first.head["WARC-Truncated"], len(first.body), len(again)) == ("length", 1 << 18, 1)
    broken = of(every, "/broken", "response")
    assert [(one.body, one.head["WARC-Truncated"]) for one in broken] == [
        (b"part", "disconnect")
    ] * 2
    assert broken[0].http.get_header("X-Archive-Orig-Content-Length") == "90"
    (coded,) = of(every, "/gzip", "response")
    assert gzip.decompress(coded.block.partition(b"\r\n\r\n")[2]) == coded.body == PAGE + b"z"
    (pieces,) = of(every, "/pieces", "response") + of(every, "/pieces", "revisit")
    assert payload(pieces, every) == PAGE
    assert of(every, "/large", "response")[0].body == LARGE
    assert of(every, "/page", "response")[0].head["WARC-IP-Address"] == "127.0.0.1"
    (asked,) = of(every, "/page", "request")
    assert asked.block.startswith(b"GET /page HTTP/1.1\r\nHost: 127.0.0.1:")
    assert sum(one.kind == "revisit" for one in every) >= 3  # one page has four URLs

    checked = cli("verify", "warc:out")
    assert (checked.status, checked.out) == (0, "")
    assert len(cli("list", "warc:out").lines) == 10
    assert len(cli("failed", "warc:out").lines) == 3


def test_a_later_run_refers_to_what_the_archive_has(
    engine: EngineName, serve: Serve, cli: Command
) -> None:
    site = serve(answer)
    cli.write("urls", f"{site.url}/tagged", f"{site.url}/page")
    words = ["urls", "--to", "warc:out", "--engine", engine]
    assert cli(*words).status == 0
    assert cli(*words).status == 0
    assert kinds(cli.records()) == {"stored": 3, "not_modified": 1}
    root = cli.directory / "out"
    every = records(root)
    first, last = sorted(root.glob("*.warc.gz"))
    (kept,) = of(every, "/tagged", "response")
    (same,) = of(every, "/tagged", "revisit")
    assert same.head["WARC-Profile"].endswith("/server-not-modified")
    assert same.head["WARC-Refers-To-Date"] == kept.head["WARC-Date"]
    assert same.block.startswith(b"HTTP/1.1 304 ")
    assert b"X-Not: modified" in same.block
    (again,) = of(every, "/page", "revisit")
    assert (again.file, payload(again, every)) == (last.name, PAGE)
    index = [
        json.loads(line.split(" ", 2)[2])
        for line in last.with_suffix("").with_suffix(".cdxj").read_text().splitlines()
    ]
    assert [one["url"] for one in index] == [f"{site.url}/page"]  # a 304 has no line
    assert said_by_others(first) == said_by_others(last) == GOOD
    asked = site.total
    assert cli(*words, "--resume").status == 0
    assert site.total == asked
    first.unlink()  # what it had is fetched again, and what referred to it
    assert cli("verify", "warc:out").status == 1
    assert cli(*words, "--resume").status == 0
    assert site.total == asked + 2
    assert cli("verify", "warc:out").status == 0


def test_protocols_are_recorded(engine: EngineName, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    http1 = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold"
    with H2Server(context, lambda path: path.encode(), http1=lambda _: http1) as server:
        urls = [f"{server.url}/{number}" for number in range(3)]
        fetch(urls, Path(f"warc:{tmp_path}/out"), engine=engine, cacert=str(pem), max_concurrency=1)
    responses = [one for one in records(tmp_path / "out") if one.kind in {"response", "revisit"}]
    assert len(responses) == 3
    version = "h2" if engine == "curl" else "http/1.1"
    for one in responses:
        told = [value for name, value in one.fields if name == "WARC-Protocol"]
        assert told == [version, "tls/1.3"]
        assert one.block.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "words", [("--processes", "2"), ("--split", "2"), ("--shard", "1/2")], ids=lambda one: one[0]
)
def test_what_does_not_go_together_is_one_line(words: tuple[str, str], cli: Command) -> None:
    cli.write("urls", "http://127.0.0.1:1/")
    ran = cli("urls", "--to", "warc:out", *words)
    assert ran.status == 2
    assert ran.complaints == [
        f"scraper: {words[0]} does not go with warc: one process writes whole responses"
    ]


def test_an_archive_never_loses_a_record_to_prune(serve: Serve, cli: Command) -> None:
    site = serve(answer)
    cli.write("urls", f"{site.url}/page")
    assert cli("urls", "--to", "warc:out").status == 0
    cli.write("none", f"{site.url}/other")
    ran = cli("list", "warc:out", "--unlisted", "none", "--prune", "--yes")
    assert ran.status == 2
    assert "nothing is deleted from an archive" in ran.err
    assert cli("verify", "warc:out").status == 0


def test_an_export_is_one_file_that_players_open(serve: Serve, cli: Command) -> None:
    site = serve(answer)
    cli.write("urls", *lines_of(site.url))
    words = ["urls", "--to", "warc:out", "--retries", 0, "--warc-size", "1k", "-c", 1]
    cli(*words)
    ran = cli("export", "warc:out", "--format", "wacz", "-o", "out.wacz")
    assert ran.status == 0, ran.err
    files = sorted((cli.directory / "out").glob("*.warc.gz"))
    assert len(files) > 3
    with zipfile.ZipFile(cli.directory / "out.wacz") as made:
        assert made.testzip() is None
        package = json.loads(made.read("datapackage.json"))
        told = json.loads(made.read("datapackage-digest.json"))
        assert told["hash"] == f"sha256:{sha256(made.read('datapackage.json')).hexdigest()}"
        for one in package["resources"]:
            data = made.read(one["path"])
            assert one["bytes"] == len(data)
            assert one["hash"] == f"sha256:{sha256(data).hexdigest()}"
        for path in files:
            assert made.read(f"archive/{path.name}") == path.read_bytes()
        lines = made.read("indexes/index.cdx").splitlines()
        assert lines == sorted(lines)
        assert len(lines) == sum(one.indexed for one in records(cli.directory / "out"))
        _, *pages = map(json.loads, made.read("pages/pages.jsonl").splitlines())
    assert {page["url"].removeprefix(site.url) for page in pages} == {
        *("/page", "/gzip", "/hopped?token=REDACTED", "/pieces", "/tagged", "/same", "/private"),
        "/t?token=REDACTED",
    }
    ran = cli("export", "out", "--format", "wacz", "-o", "no.wacz")
    assert (ran.status, "is for web archives" in ran.err) == (2, True)


def test_an_export_makes_an_index_that_is_missing_or_names_what_it_lacks(
    serve: Serve, cli: Command
) -> None:
    site = serve(answer)
    cli.write("urls", *lines_of(site.url))
    words = ["urls", "--to", "warc:out", "--retries", 0]
    cli(*words)
    cli(*words)  # revisits and a 304, too
    exporting = ["export", "warc:out", "--format", "wacz", "-o", "out.wacz"]
    assert cli(*exporting).status == 0
    with zipfile.ZipFile(cli.directory / "out.wacz") as made:
        index = made.read("indexes/index.cdx")
    root = cli.directory / "out"
    for path in root.glob("*.cdxj"):
        path.unlink()
    assert cli(*exporting).status == 0
    with zipfile.ZipFile(cli.directory / "out.wacz") as made:
        assert made.read("indexes/index.cdx") == index
    assert not list(root.glob("*.cdxj"))  # an export changes nothing
    file, _ = sorted(root.glob("*.warc.gz"))
    file.write_bytes(file.read_bytes()[:-9])
    ran = cli(*exporting)
    lost = file.name.replace(".warc.gz", ".cdxj")
    why = f"{lost!r} is missing, and can't be made: {file.name!r} has a record that is not whole"
    way_out = f"hint: an index of what is whole: cdxj-indexer -s {file.name} > {lost}"
    assert (ran.status, ran.errors) == (3, [f"scraper: {why}", way_out])
    file.unlink()
    file.mkdir()
    ran = cli(*exporting)
    assert (ran.status, ran.errors) == (
        3,
        [f"scraper: can't read {file.name!r} of the archive: Is a directory"],
    )


def test_of_a_body_whose_tag_the_user_minds_only_the_head_is_kept(
    engine: EngineName, serve: Serve, cli: Command
) -> None:
    tagged = {**HTML, "X-Robots-Tag": "noai"}
    answers = {
        "pieces": lambda: Reply(200, tagged, iter([b"minded"] * 9_000)),
        "large": lambda: Reply(200, tagged, b"minded" * 900_000),
        "empty": lambda: Reply(200, tagged, b""),
        "small": lambda: Reply(200, tagged, b"minded"),
        "gone": lambda: Reply(404, tagged, b"minded"),
        "hop": lambda: Reply(302, {**tagged, "Location": "/page"}, b"minded"),
    }
    site = serve(lambda asked: answers.get(asked.path[1:], lambda: Reply(200, HTML, PAGE))())
    cli.write("urls", *(f"{site.url}/{path}" for path in answers))
    words = ["urls", "--to", "warc:out", "--engine", engine, "--robots-tags", "noai"]
    assert cli(*words, "--max-failures", 5).status == 0
    assert kinds(cli.records()) == {"robots": 4, "http_status": 1, "stored": 1}
    root = cli.directory / "out"
    every = records(root)
    for path in answers:
        (one,) = of(every, f"/{path}", "response")
        assert (one.body, one.indexed) == (b"", False)
        assert one.http.get_header("X-Robots-Tag") == "noai"
        assert one.head.get("WARC-Truncated") == (None if path == "empty" else "unspecified")
    whole = b"".join(zlib.decompress(one.member, 31) for one in every)
    assert b"minded" not in whole
    lines = (root / ".scraper/manifest.jsonl").read_bytes().splitlines(keepends=True)
    assert unaccounted(root, lines) == []
    (file,) = root.glob("*.warc.gz")
    assert said_by_others(file) == GOOD
    (index,) = root.glob("*.cdxj")
    (line,) = index.read_bytes().splitlines()
    assert json.loads(line.split(b" ", 2)[2])["url"] == f"{site.url}/page"
    assert cli("verify", "warc:out").status == 0
    index.unlink()  # one that is made anew shows no more
    assert cli("export", "warc:out", "--format", "wacz", "-o", "out.wacz").status == 0
    with zipfile.ZipFile(cli.directory / "out.wacz") as made:
        assert made.read("indexes/index.cdx").splitlines() == [line]


def test_a_link_to_a_directory_is_a_destination_as_it_is_without_warc(
    serve: Serve, cli: Command
) -> None:
    site = serve(answer)
    (cli.directory / "real").mkdir()
    (cli.directory / "link").symlink_to("real")
    (cli.directory / "dangling").symlink_to("nowhere")
    for number in range(2):  # the second run finds what the first one made
        ran = cli(f"{site.url}/{number}", "--to", "warc:link")
        assert ran.status == 0, ran.err
    assert len(list((cli.directory / "real").glob("*.cdxj"))) == 2
    for command in ("verify", "list", "status"):
        assert cli(command, "warc:link").status == 0
    asked = site.total
    refused = [cli(f"{site.url}/page", "--to", to) for to in ("dangling", "warc:dangling")]
    assert [ran.status for ran in refused] == [3, 3]
    for ran in refused:
        assert ran.err.endswith("dangling' leads nowhere\n")
    assert site.total == asked
    assert not (cli.directory / "nowhere").exists()


def test_a_folded_line_of_a_head_is_unfolded_by_libcurl_alone(
    engine: EngineName, cli: Command
) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Fold: a\r\n\tb\r\nContent-Length: 2\r\n\r\n"
    with RawServer(head + b"ok") as site:
        assert cli(f"{site.url}/page", "--to", "warc:out", "--engine", engine).status == 0
    (page,) = [one for one in records(cli.directory / "out") if one.kind == "response"]
    folded = b"X-Fold: a b\r\n" if engine == "curl" else b"X-Fold: a\r\n\tb\r\n"
    assert folded in page.block


def test_a_cookie_that_a_secret_url_brought_is_not_kept(
    engine: EngineName, serve: Serve, cli: Command
) -> None:
    site = serve(lambda _: Reply(200, SESSION, PAGE))
    cli.write("urls", f"{site.url}/open", f"{site.url}/closed?token=abc")
    assert cli("urls", "--to", "warc:out", "--engine", engine, "-c", 1).status == 0
    found = {
        one.url.removeprefix(site.url): one.http.get_header("Set-Cookie")
        for one in records(cli.directory / "out")
        if one.kind in {"response", "revisit"}
    }
    assert found == {"/open": f"session={SECRET}", "/closed?token=REDACTED": "REDACTED"}
