"""Objects that lie in a destination without a record: --skip-existing, and a default refresh.

People come from wget, aria2 and rclone, or have lost a manifest. What lies there is taken over or
asked about by its own time. It is fetched anew where it may be no whole object.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from scraper.model.dates import http_date, parse_http_date, parse_rfc3339
from tests.e2e.command import Command, Ran
from tests.e2e.places import Bucket, Directory, Place, place_of
from tests.s3servers import Front, S3Server
from tests.servers import HttpServer, Reply, Request, Serve

CHANGED_S = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT: when the pages of the site changed
CHANGED = "1994-11-06T08:49:42.250Z"  # 5 s later
MINE = b"as another program left it"
WAYS = [
    *(("threads", "directory", ""), ("curl", "directory", "")),
    *(("threads", "moto", "boto3"), ("curl", "moto", "curl")),
]
IDS = ["-".join(filter(None, way)) for way in WAYS]


class Site:
    """Pages that changed at CHANGED_S. It notes each request with its conditions."""

    def __init__(self, serve: Serve) -> None:
        self.asked: dict[str, str | None] = {}  # by path: what If-Modified-Since said
        self.changed_s = CHANGED_S
        self.tells_date = True  # in a 304
        self.server: HttpServer = serve(self._answer)

    def _answer(self, request: Request) -> Reply:
        since = request.headers.get("if-modified-since")
        self.asked[request.path] = since
        assert "if-none-match" not in request.headers
        if request.path.startswith("/moved/"):
            return Reply(302, {"Location": "/" + request.path.removeprefix("/moved/")})
        headers = {"Last-Modified": http_date(self.changed_s)}
        asked_s = parse_http_date(since)
        if asked_s is not None and asked_s >= self.changed_s:
            return Reply(304, headers if self.tells_date else {})
        return Reply(200, headers, f"page {request.path}".encode())

    def line(self, name: str) -> str:
        return f"{self.server.url}/{name}\t{name}"


class Runs:
    """Runs by one engine to one place."""

    def __init__(self, cli: Command, place: Place, engine: str, client: str, site: Site) -> None:
        self.cli, self.place, self.site = cli, place, site
        self._words = ["--engine", engine, "--retries", "0", "--results", "-"]
        self._words += ["--s3-client", client] if client else []

    def __call__(self, *options: str, names: str = "abc") -> Ran:
        self.site.asked.clear()
        return self.of("".join(f"{self.site.line(name)}\n" for name in names), *options)

    def of(self, lines: str, *options: str) -> Ran:
        """A run of this list."""
        words = [*self._words, *self.place.words, *options]
        return self.cli("-", *words, stdin=lines, env=self.place.environment)

    def other(self, command: str, *options: str) -> Ran:
        """Another command on the same place."""
        to, *rest = self.place.words[1:]
        return self.cli(command, to, *rest, *options, env=self.place.environment)

    def put(self, key: str, body: bytes, *, at_s: float | None = None) -> None:
        """Have another program put an object there; its time is `at_s`, if it may be chosen."""
        place = self.place
        if isinstance(place, Bucket):
            place.server.client.put_object(
                Bucket=place.bucket, Key=f"{place.prefix}/{key}", Body=body
            )
            return
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        if at_s is not None:
            os.utime(path, (at_s, at_s))

    @property
    def root(self) -> Path:
        return self.cli.directory / "out"


@pytest.fixture
def site(serve: Serve) -> Site:
    return Site(serve)


# One engine in a bucket is enough by default: what differs there is the client that puts objects.
_EACH = [*WAYS[:3], pytest.param(WAYS[3], marks=pytest.mark.slow)]


@pytest.fixture(params=_EACH, ids=IDS)
def runs(request: pytest.FixtureRequest, cli: Command, site: Site) -> Runs:
    """Both engines, both destinations, both clients of S3."""
    engine, where, client = request.param
    request.param = where
    return Runs(cli, place_of(request, cli), engine, client, site)


@pytest.fixture
def here(cli: Command, site: Site) -> Runs:
    """A directory, by the curl engine."""
    return Runs(cli, Directory(cli), "curl", "", site)


def statuses(ran: Ran) -> dict[str, str]:
    return {record["key"]: record["status"] for record in ran.records}


# ---------------------------------------------------------------- --skip-existing


def test_what_lies_there_is_taken_over_and_recorded(runs: Runs, site: Site) -> None:
    runs.put("a", MINE, at_s=CHANGED_S + 0.5)
    ran = runs("--skip-existing", names="ab")
    assert ran.status == 0, ran.err
    assert statuses(ran) == {"a": "skipped", "b": "stored"}
    assert set(site.asked) == {"/b"}
    assert runs.place.files()["a"] == MINE
    (record,) = [one for one in runs.place.records() if one["key"] == "a"]
    assert record["status"] == "skipped"
    assert record["size"] == len(MINE)
    assert record["attempts"] == 0
    assert "sha256" not in record
    if isinstance(runs.place, Directory):
        assert record["modified"] == "1994-11-06T08:49:37.500Z"
    else:
        assert parse_rfc3339(record["modified"]) is not None


def test_later_runs_and_commands_know_what_was_taken_over(runs: Runs, site: Site) -> None:
    runs.put("a", MINE, at_s=CHANGED_S + 0.5)
    runs("--skip-existing", names="ab")
    ran = runs("--resume", names="ab")
    assert statuses(ran) == {"a": "skipped", "b": "skipped"}
    assert site.asked == {}
    assert {record["reason"] for record in ran.records} == {"done in an earlier run"}
    assert statuses(runs("--retry-failed", names="ab")) == {"a": "skipped", "b": "skipped"}
    assert runs.other("failed").out == ""
    listed = {line.split("\t")[0]: line.split("\t")[1] for line in runs.other("list").lines[1:]}
    assert listed == {"a": str(len(MINE)), "b": str(len("page /b"))}
    status = runs.other("status")
    assert status.status == 0
    ran = runs("--skip-existing", names="a")  # it has a record: its own time is asked with
    assert statuses(ran) == {"a": "not_modified"}
    (since,) = site.asked.values()
    if isinstance(runs.place, Directory):
        assert since == http_date(CHANGED_S)
    assert statuses(runs("--resume", names="a")) == {"a": "skipped"}
    assert runs.place.files()["a"] == MINE
    site.changed_s = 2_000_000_000
    ran = runs(names="a")
    assert statuses(ran) == {"a": "stored"}
    assert runs.place.files()["a"] == b"page /a"
    assert runs.other("verify").status == 0


def test_verify_knows_the_size_until_repair_records_a_digest(runs: Runs) -> None:
    runs.put("a", MINE)
    runs("--skip-existing", names="ab")
    ran = runs.other("verify")
    assert ran.status == 0
    assert [line.split("\t")[:2] for line in ran.lines] == [["taken_over", "a"]]
    assert ran.errors[-1].startswith("2 objects: 1 whole, 1 taken over, 0 missing")
    assert runs.other("verify", "--quiet").out == ""
    ran = runs.other("verify", "--repair")
    assert ran.status == 0
    assert "recorded as not done" not in ran.err
    ran = runs.other("verify")
    assert (ran.status, ran.out) == (0, "")
    assert ran.errors[-1].startswith("2 objects: 2 whole, 0 missing")
    runs.put("a", MINE.upper())  # of the same size
    ran = runs.other("verify")
    assert ran.status == 1
    assert [line.split("\t")[:2] for line in ran.lines] == [["changed", "a"]]


def test_what_verify_found_changed_is_not_taken_over_again(runs: Runs, site: Site) -> None:
    runs.put("a", MINE)
    runs("--skip-existing", names="a")
    runs.put("a", b"longer than " + MINE)
    ran = runs.other("verify", "--repair")
    assert ran.status == 1
    assert [line.split("\t")[:2] for line in ran.lines] == [["changed", "a"]]
    assert statuses(runs("--skip-existing", names="a")) == {"a": "stored"}
    assert site.asked == {"/a": None}


def test_a_target_that_failed_is_done_when_its_object_was_put_there(runs: Runs, site: Site) -> None:
    good, site.server.handler = site.server.handler, lambda _: Reply(404)
    assert statuses(runs(names="a")) == {"a": "failed"}
    site.server.handler = good
    runs.put("a", MINE)
    assert statuses(runs("--skip-existing", "--retry-failed", "--all", names="a")) == {
        "a": "skipped"
    }
    assert site.asked == {}
    assert runs.other("failed").status == 0


def test_the_object_of_another_target_is_not_taken_over(runs: Runs, site: Site) -> None:
    runs(names="a")
    words = ["--skip-existing", "--results", "-", *runs.place.words]
    other = f"{site.server.url}/other\ta\n"
    ran = runs.cli("-", *words, stdin=other, env=runs.place.environment)
    assert statuses(ran) == {"a": "stored"}
    assert runs.place.files()["a"] == b"page /other"


def test_an_empty_object_and_a_download_of_aria2_are_fetched(runs: Runs, site: Site) -> None:
    runs.put("a", b"")
    runs.put("b", bytes(1000))
    runs.put("b.aria2", b"which parts are missing")
    ran = runs("--skip-existing", names="ab")
    assert statuses(ran) == {"a": "stored", "b": "stored"}
    assert site.asked == {"/a": None, "/b": None}


def test_repeats_are_repeats_and_clashes_are_clashes(runs: Runs, site: Site) -> None:
    runs.put("a", MINE)
    lines = f"{site.line('a')}\n{site.line('a')}\n{site.server.url}/other\ta\n"
    words = ["--skip-existing", "--results", "-", *runs.place.words]
    ran = runs.cli("-", *words, stdin=lines, env=runs.place.environment)
    assert Counter(record["status"] for record in ran.records) == {
        "skipped": 1,
        "duplicate": 1,
        "failed": 1,
    }
    assert site.asked == {}


def test_a_link_and_a_directory_at_the_key_are_not_taken_over(here: Runs) -> None:
    here.put("elsewhere/page", MINE)
    here.put("d/page", MINE)
    (here.root / "a").symlink_to("elsewhere/page")
    (here.root / "linked").symlink_to("elsewhere", target_is_directory=True)
    lines = "".join(f"{here.site.server.url}/{key}\t{key}\n" for key in ("a", "linked/page", "d"))
    ran = here.cli("-", "--skip-existing", "--retries", "0", "--results", "-", stdin=lines)
    assert statuses(ran) == {"a": "stored", "linked/page": "failed", "d": "failed"}
    assert not (here.root / "a").is_symlink()
    assert (here.root / "elsewhere/page").read_bytes() == MINE


def test_prune_deletes_what_was_taken_over_if_it_is_proven(runs: Runs) -> None:
    runs.put("a", MINE)
    runs.put("d", MINE)
    runs("--skip-existing", names="ab")
    runs.cli.write("left", runs.site.line("b"))
    prune = ["--unlisted", "left", "--prune", "--yes"]
    far = isinstance(runs.place, Bucket)  # the listing's time and size prove nothing
    ran = runs.other("list", *prune)
    assert ("a" in runs.place.files()) is far, ran.err
    if far:
        assert "verify --repair" in ran.out + ran.err
        runs.other("verify", "--repair")
        runs.other("list", *prune)
        assert "a" not in runs.place.files()
    assert "d" in runs.place.files()  # no run has anything to do with it


def test_what_the_list_has_digests_for_is_read_and_taken_over_if_it_is_that(
    runs: Runs, site: Site
) -> None:
    pages = {name: f"page /{name}".encode() for name in "abc"}
    runs.put("a", pages["a"])
    runs.put("b", pages["b"][::-1])  # of the right size
    runs.put("c", MINE)
    lines = "".join(
        json.dumps(
            {
                "url": f"{site.server.url}/{name}",
                "key": name,
                "size": len(page),
                "sha512": hashlib.sha512(page).hexdigest(),
            }
        )
        + "\n"
        for name, page in pages.items()
    )
    for option, left in (("--skip-existing", {"/b", "/c"}), ("--resume", set())):
        site.asked.clear()
        ran = runs.of(lines, option)
        assert (ran.status, set(site.asked)) == (0, left), ran.err
    assert {name: runs.place.files()[name] for name in pages} == pages


def test_the_python_api_tells_the_size(here: Runs, tmp_path: Path) -> None:
    import scraper

    here.put("a", MINE)
    found = scraper.run([(f"{here.site.server.url}/a", "a")], to=here.root, skip_existing=True)
    (result,) = list(found)
    assert (result.status, result.size) == ("skipped", len(MINE))
    assert result.path is not None
    assert result.path.read_bytes() == MINE


def test_a_dry_run_tells_what_would_be_taken_over(here: Runs, site: Site) -> None:
    here(names="c")
    here.put("a", MINE)
    before = here.cli.files("out")
    site.asked.clear()
    lines = "".join(f"{site.line(name)}\n" for name in "abc")
    ran = here.cli("-", "--skip-existing", "--dry-run", stdin=lines)
    assert [line.split("\t")[1] for line in ran.lines] == ["b", "c"]  # c has a record
    assert "1 left out (--skip-existing)" in ran.errors[-1]
    assert here.cli.files("out") == before
    assert site.asked == {}


def test_a_dry_run_does_not_look_into_a_bucket(cli: Command, serve: Serve) -> None:
    server = serve({})
    to = ["--to", "s3://bucket/p", "--s3-endpoint", server.url]
    ran = cli("--dry-run", "--skip-existing", *to, stdin="https://example.com/a.txt\n")
    assert (ran.status, ran.out) == (0, "https://example.com/a.txt\texample.com/a.txt\n")
    assert "s3://bucket/p is not looked at" in ran.err
    assert server.connections == 0


# ---------------------------------------------------------------- a default refresh


def test_a_refresh_asks_with_the_own_time_of_what_has_no_record(runs: Runs, site: Site) -> None:
    runs.put("a", MINE, at_s=CHANGED_S + 0.25)
    runs.put("b", MINE, at_s=CHANGED_S - 1)
    ran = runs()
    assert site.asked["/c"] is None
    if isinstance(runs.place, Directory):
        assert statuses(ran) == {"a": "not_modified", "b": "stored", "c": "stored"}
        assert site.asked["/a"] == http_date(CHANGED_S)
        assert site.asked["/b"] == http_date(CHANGED_S - 1)
    else:  # both were put just now
        assert statuses(ran) == {"a": "not_modified", "b": "not_modified", "c": "stored"}
    assert runs.place.files()["a"] == MINE
    (record,) = [one for one in runs.place.records() if one["key"] == "a"]
    assert (record["status"], record["size"]) == ("not_modified", len(MINE))
    assert "sha256" not in record
    assert statuses(runs("--resume", names="a")) == {"a": "skipped"}
    verified = runs.other("verify")
    assert verified.status == 0
    assert "taken_over\ta\t" in verified.out


def test_without_a_refresh_it_is_fetched(runs: Runs, site: Site) -> None:
    runs.put("a", MINE)
    assert statuses(runs("--no-refresh", names="a")) == {"a": "stored"}
    assert site.asked == {"/a": None}


def test_a_time_that_is_to_come_is_not_asked_with(here: Runs, site: Site) -> None:
    here.put("a", MINE, at_s=4_000_000_000)
    assert statuses(here(names="a")) == {"a": "stored"}
    assert site.asked == {"/a": None}


def test_the_own_time_goes_wherever_a_redirect_leads(runs: Runs, site: Site) -> None:
    runs.put("a", MINE, at_s=CHANGED_S)
    words = ["--results", "-", *runs.place.words]
    moved = f"{site.server.url}/moved/a\ta\n"
    ran = runs.cli("-", *words, stdin=moved, env=runs.place.environment)
    assert statuses(ran) == {"a": "not_modified"}
    assert site.asked["/a"] is not None


@pytest.mark.parametrize("changed", [True, False], ids=["changed", "unchanged"])
@pytest.mark.parametrize(
    ("engine", "client", "metadata"),
    [
        ("threads", "boto3", {"mtime": f"{CHANGED_S + 5}.25"}),  # rclone's
        ("curl", "curl", {"fetched-at": CHANGED}),  # our own
        ("curl", "curl", {"fetchedat": "2026-01-01T00:00:00.000Z", "lastmodified": CHANGED}),
    ],
)
def test_what_was_put_long_after_it_was_fetched_is_asked_about_again(
    cli: Command,
    moto_server: S3Server,
    site: Site,
    *,
    engine: str,
    client: str,
    metadata: dict[str, str],
    changed: bool,
) -> None:
    bucket = Bucket(moto_server, moto_server.make_bucket())
    client_of = bucket.server.client
    client_of.put_object(Bucket=bucket.bucket, Key="pages/a", Body=MINE, Metadata=metadata)
    if changed:  # after it was fetched, and before it was put
        site.changed_s += 100
    site.tells_date = False
    runs = Runs(cli, bucket, engine, client, site)
    assert statuses(runs(names="a")) == {"a": "stored" if changed else "not_modified"}
    assert site.asked["/a"] == http_date(CHANGED_S + 5)
    assert bucket.files()["a"] == (b"page /a" if changed else MINE)
    if not changed:
        (record,) = [one for one in bucket.records() if one["key"] == "a"]
        assert record["modified"] == CHANGED
        asked = site.server.total
        runs(names="a")
        assert site.server.total == asked + 1  # its own time is recorded


def test_a_page_of_an_old_time_that_replaced_another_since_is_fetched(
    cli: Command, moto_server: S3Server, site: Site
) -> None:
    bucket = Bucket(moto_server, moto_server.make_bucket())
    runs = Runs(cli, bucket, "curl", "curl", site)
    assert statuses(runs(names="a")) == {"a": "stored"}
    for key in bucket.all():  # the manifest is lost
        if key.startswith(".scraper/"):
            moto_server.client.delete_object(Bucket=bucket.bucket, Key=f"{bucket.prefix}/{key}")
    assert statuses(runs(names="a")) == {"a": "not_modified"}
    site.changed_s += 100  # as of a mirror that keeps times: later, and long before the fetch
    assert statuses(runs(names="a")) == {"a": "stored"}


@pytest.mark.parametrize("option", ["--raw", "-HAccept-Language: de"])
def test_it_is_in_whatever_form_it_is(here: Runs, option: str) -> None:
    here.put("a", MINE, at_s=CHANGED_S)
    assert statuses(here(option, names="a")) == {"a": "not_modified"}
    assert statuses(here(option, names="a")) == {"a": "not_modified"}


def test_an_object_that_goes_away_meanwhile_is_fetched(here: Runs, site: Site) -> None:
    here.put("a", MINE, at_s=CHANGED_S)
    good = site.server.handler

    def answer(request: Request) -> Reply | None:
        (here.root / "a").unlink(missing_ok=True)
        return good(request)

    site.server.handler = answer
    assert statuses(here(names="a")) == {"a": "stored"}


# ---------------------------------------------------------------- one listing of a bucket


@pytest.fixture
def front(moto_server: S3Server) -> Iterator[Front]:
    with Front(moto_server.url, lambda _: None) as one:
        yield one


def listings(front: Front) -> int:
    """Listings of objects of others; our own are listed by prefixes of their own."""
    with front._lock:
        asked = list(front.asked)
    return sum("list-type=2" in one.path and ".scraper" not in one.path for one in asked)


@pytest.fixture
def bucket(cli: Command, moto_server: S3Server, front: Front) -> Bucket:
    return Bucket(moto_server, moto_server.make_bucket(), endpoint=front.url)


@pytest.mark.parametrize(
    ("options", "objects", "pages"),
    [
        (["--skip-existing"], 20, 1),
        pytest.param(["--skip-existing"], 1100, 2, marks=pytest.mark.slow),
        ([], 20, 1),
    ],
    ids=["skip", "pages", "refresh"],
)
def test_a_bucket_is_listed_once_whatever_the_list_has(
    cli: Command,
    bucket: Bucket,
    front: Front,
    site: Site,
    *,
    options: list[str],
    objects: int,
    pages: int,
) -> None:
    runs = Runs(cli, bucket, "curl", "boto3", site)
    keys = [f"k{number:04}" for number in range(objects)]
    for key in keys:
        runs.put(key, MINE)
    lines = "".join(f"{site.line(key)}\n" for key in [*keys[:: objects // 10], "new"])
    words = ["--results", "-", *bucket.words, *options]
    ran = cli("-", *words, stdin=lines, env=bucket.environment)
    usual = "skipped" if options else "not_modified"
    assert Counter(statuses(ran).values()) == {usual: 10, "stored": 1}
    assert listings(front) == pages  # of 1,000
    heads = sum(asked.operation == "HEAD" for asked in front.asked)
    assert heads == (0 if options else 10)  # a 304 is believed after a look


def test_a_bucket_with_records_is_listed_only_if_that_is_asked_for(
    cli: Command, bucket: Bucket, front: Front, site: Site
) -> None:
    runs = Runs(cli, bucket, "curl", "boto3", site)
    runs(names="a")
    before = listings(front)
    runs(names="b")
    assert listings(front) == before
    runs("--resume", "--skip-existing", names="abc")
    assert listings(front) == before + 1


def refuses_lists(asked: object) -> tuple[int, str] | None:
    path: str = getattr(asked, "path", "")
    is_listing = "list-type=2" in path and ".scraper" not in path
    return (403, "AccessDenied") if is_listing else None


def test_a_bucket_that_may_not_be_listed(cli: Command, moto_server: S3Server, site: Site) -> None:
    with Front(moto_server.url, refuses_lists) as front:
        bucket = Bucket(moto_server, moto_server.make_bucket(), endpoint=front.url)
        runs = Runs(cli, bucket, "curl", "boto3", site)
        ran = runs("--skip-existing", names="a")
        assert ran.status == 3
        assert "--skip-existing: can't list the objects" in ran.err
        assert statuses(runs(names="a")) == {"a": "stored"}
