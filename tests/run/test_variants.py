"""Runs that ask for another form of a body than the stored one: they get it, and it replaces it.

The server is the worst one for this: all forms of its page have one ETag, so that a condition
is answered by a 304 whatever form is asked for.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.model.records import Result
from tests.e2e.command import MANIFEST
from tests.run.test_loop import QUICK, statuses
from tests.s3servers import S3Server
from tests.servers import HttpServer, Reply, Request, Serve

CONDITIONS = {"if-none-match", "if-modified-since", "if-range", "range"}
AGAIN = [{}, {"resume": True}, {"retry_failed": True}]


@pytest.fixture(autouse=True, params=["threads", "curl"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With either engine."""
    monkeypatch.setitem(QUICK, "engine", request.param)


class Site:
    """One page, whose text says who asked for it. `vary` is what it says that it varies by."""

    def __init__(self, serve: Serve) -> None:
        self.server: HttpServer = serve(self.answer)
        self.url = f"{self.server.url}/page"
        self.vary: str | None = None
        self.codes = False
        self.moved = ""

    def answer(self, request: Request) -> Reply:
        if self.moved and request.path == "/page":
            return Reply(302, {"Location": self.moved})
        head = {"ETag": '"e"'} | ({} if self.vary is None else {"Vary": self.vary})
        if CONDITIONS & request.headers.keys():
            return Reply(304, head)
        names = ("x-lang", "accept", "authorization", "cookie", "x-pin")
        text = json.dumps({name: request.headers.get(name) for name in names}).encode()
        if self.codes and "gzip" in request.headers.get("accept-encoding", ""):
            return Reply(200, head | {"Content-Encoding": "gzip"}, gzip.compress(text, mtime=0))
        return Reply(200, head, text)

    def conditions(self) -> set[str]:
        """The conditions of the last request."""
        return CONDITIONS & self.server.requests[-1].headers.keys()


@pytest.fixture
def site(serve: Serve) -> Site:
    return Site(serve)


class Runs:
    """Runs of one line to one destination."""

    def __init__(self, to: str, read: Callable[[str], bytes], **options: Any) -> None:
        self.to = to
        self.options = options
        self._read = read

    def __call__(self, line: str, **options: Any) -> tuple[str, bytes]:
        """What became of it, and what is stored afterwards."""
        every = {**QUICK, **self.options, **options}
        (result,) = scraper.run([line], to=self.to, **every)
        return result.status, self._read(result.target.key)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(str(tmp_path), lambda key: (tmp_path / key).read_bytes())


@pytest.fixture(params=["directory", "s3"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Runs:
    """In a directory or in a bucket."""
    if request.param == "directory":
        return Runs(str(tmp_path), lambda key: (tmp_path / key).read_bytes())
    request.getfixturevalue("aws")
    return in_bucket(request.getfixturevalue("moto_server"))


def in_bucket(server: S3Server) -> Runs:
    """In a new bucket."""
    bucket = server.make_bucket()

    def read(key: str) -> bytes:
        body = server.read(bucket, f"p/{key}")
        assert body is not None
        return body

    return Runs(f"s3://{bucket}/p", read, s3_endpoint=server.url)


def text(**headers: str) -> bytes:
    """The page, as who sent these headers gets it."""
    every = dict.fromkeys(("x-lang", "accept", "authorization", "cookie", "x-pin"))
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return json.dumps({**every, "accept": "*/*", **names}).encode()


GZIP = {"raw": True, "headers": (("Accept-Encoding", "gzip"),)}


@pytest.mark.each_pair
@pytest.mark.parametrize("again", AGAIN)
@pytest.mark.parametrize("vary", [None, "Accept-Encoding"])
def test_a_coded_body_is_stored_decoded_then_raw_and_back(
    again: dict[str, Any], vary: str | None, site: Site, anywhere: Runs
) -> None:
    site.codes, site.vary = True, vary
    packed = gzip.compress(text(), mtime=0)
    assert anywhere(site.url) == ("stored", text())
    assert anywhere(site.url, **GZIP, **again) == ("stored", packed)
    assert site.conditions() == set()
    assert anywhere(site.url, **again) == ("stored", text())
    assert site.conditions() == set()
    assert anywhere(site.url, raw=True, **again) == ("stored", text())
    kept = "skipped" if again else "not_modified"
    assert anywhere(site.url, raw=True, **again) == (kept, text())


def test_a_body_without_coding_is_the_same_with_raw(site: Site, runs: Runs) -> None:
    assert runs(site.url) == ("stored", text())
    assert runs(site.url, raw=True) == ("not_modified", text())
    assert runs(site.url, raw=True, resume=True) == ("skipped", text())
    assert runs(site.url) == ("not_modified", text())


@pytest.mark.each_pair
@pytest.mark.parametrize("again", AGAIN)
@pytest.mark.parametrize("name", ["X-Lang", "Accept"])
def test_a_header_that_the_response_varies_by_decides(
    name: str, again: dict[str, Any], site: Site, runs: Runs
) -> None:
    site.vary = f"Accept-Encoding, {name.upper()}"
    field = name.lower().replace("-", "_")
    kept = "skipped" if again else "not_modified"
    assert runs(site.url) == ("stored", text())
    for value in ("text/html", "text/plain", "text/html"):
        options = {"headers": ((name, value),), **again}
        assert runs(site.url, **options) == ("stored", text(**{field: value}))
        assert site.conditions() == set()
        assert runs(site.url, **options) == (kept, text(**{field: value}))
    assert runs(site.url, **again) == ("stored", text())
    assert runs(site.url, **again) == (kept, text())


def test_a_header_that_the_response_does_not_vary_by_decides_nothing(
    site: Site, runs: Runs
) -> None:
    site.vary = "Origin"
    assert runs(site.url, headers=(("X-Lang", "de"),)) == ("stored", text(x_lang="de"))
    assert runs(site.url, headers=(("X-Lang", "fr"),)) == ("not_modified", text(x_lang="de"))


@pytest.mark.each_pair
@pytest.mark.parametrize("again", AGAIN)
def test_the_headers_of_a_line_decide_too(
    again: dict[str, Any], site: Site, anywhere: Runs
) -> None:
    site.vary = "x-lang"

    def line(value: str) -> str:
        return json.dumps({"url": site.url, "headers": {"X-Lang": value}})

    kept = "skipped" if again else "not_modified"
    assert anywhere(line("de")) == ("stored", text(x_lang="de"))
    assert anywhere(line("de"), **again) == (kept, text(x_lang="de"))
    assert anywhere(line("fr"), **again) == ("stored", text(x_lang="fr"))
    assert anywhere(site.url, **again) == ("stored", text())
    general = {"headers": (("X-Lang", "de"),)}
    assert anywhere(site.url, **general, **again) == ("stored", text(x_lang="de"))
    assert anywhere(line("de"), **again) == (kept, text(x_lang="de"))


def test_what_varies_by_anything_is_never_asked_about(site: Site, runs: Runs) -> None:
    site.vary = "Accept, *"
    for _ in range(3):
        assert runs(site.url) == ("stored", text())
        assert site.conditions() == set()
    assert runs(site.url, resume=True) == ("skipped", text())


@pytest.mark.parametrize("name", ["Cookie", "X-Pin"])
def test_a_secret_is_not_recorded_and_not_asked_about(
    name: str, site: Site, runs: Runs, tmp_path: Path
) -> None:
    site.vary = name
    field = name.lower().replace("-", "_")
    for secret in ("id=1234", "id=1234", "id=5678"):
        found = runs(site.url, headers=((name, secret),))
        assert found == ("stored", text(**{field: secret}))
    records = [json.loads(line) for line in (tmp_path / MANIFEST).read_bytes().splitlines()]
    assert {record["variant"] for record in records} == {f"plain {name.lower()}=*"}
    assert runs(site.url, headers=((name, "id=9"),), resume=True)[0] == "skipped"
    assert runs(site.url, resume=True) == ("stored", text())


def test_a_password_in_the_url_is_a_header_too(site: Site, runs: Runs) -> None:
    site.vary = "Authorization"
    mine = site.url.replace("//", "//me:secret@")
    assert runs(f"{site.url}\tk") == ("stored", text())
    assert runs(f"{site.url}\tk") == ("not_modified", text())
    given = runs(f"{mine}\tk")
    assert given[0] == "stored"
    assert json.loads(given[1])["authorization"].startswith("Basic ")
    assert runs(f"{site.url}\tk") == ("stored", text())


def test_the_headers_that_count_are_those_of_the_hop_that_answered(
    site: Site, runs: Runs, serve: Serve
) -> None:
    other = Site(serve)
    other.vary = "Cookie, X-Lang"
    site.moved = other.url
    mine = {"headers": (("Cookie", "id=1"), ("X-Lang", "de"))}
    assert runs(site.url, **mine) == ("stored", text(x_lang="de"))
    assert runs(site.url, **mine) == ("not_modified", text(x_lang="de"))
    assert runs(site.url, resume=True, **mine) == ("skipped", text(x_lang="de"))
    assert runs(site.url, resume=True) == ("stored", text())


def without_variants(manifest: Path) -> None:
    """As an older version wrote it."""
    records = [json.loads(line) for line in manifest.read_bytes().splitlines()]
    assert all(record.pop("variant") for record in records)
    manifest.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    manifest.with_name(f"{manifest.name}.index").unlink(missing_ok=True)


def test_an_older_manifest_is_asked_about_once_in_full(
    site: Site, runs: Runs, tmp_path: Path
) -> None:
    site.codes = True
    packed = gzip.compress(text(), mtime=0)
    assert runs(site.url, **GZIP) == ("stored", packed)
    without_variants(tmp_path / MANIFEST)
    assert runs(site.url, resume=True) == ("skipped", packed)
    assert runs(site.url) == ("stored", text())
    assert site.conditions() == set()
    assert runs(site.url) == ("not_modified", text())


@pytest.mark.parametrize(
    "options",
    [
        {"raw": True},
        {"headers": (("Accept", "text/html"),)},
        {"headers": (("Accept-Language", "de"),)},
    ],
)
def test_an_older_manifest_does_not_know_the_form_that_is_asked_for(
    options: dict[str, Any], site: Site, runs: Runs, tmp_path: Path
) -> None:
    runs(site.url)
    without_variants(tmp_path / MANIFEST)
    assert runs(site.url, resume=True, **options)[0] == "stored"
    assert runs(site.url, resume=True, **options)[0] == "skipped"


def test_a_resumed_run_asks_only_for_what_has_another_form(site: Site, tmp_path: Path) -> None:
    site.codes = True
    urls = [f"{site.server.url}/{number}" for number in range(20)]

    def run(**options: Any) -> list[Result]:
        return list(scraper.run(urls, to=str(tmp_path), **{**QUICK, **options}))

    run()
    site.codes = False
    urls += [f"{site.server.url}/{number}" for number in range(20, 30)]
    run(resume=True)
    assert statuses(run(resume=True, raw=True)) == {"stored": 20, "skipped": 10}
    assert statuses(run(resume=True, raw=True)) == {"skipped": 30}
