"""Whole runs into S3: moto's and rclone's servers, wires that break, servers that refuse."""

import gzip
import os
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from scraper.model.dates import rfc3339
from scraper.schedule.circuit_breaker import FAILURES_UNTIL_OPEN
from tests.denying import NEEDED, SILENT, WORDS, denying
from tests.e2e.command import SUMMARY, WAIT_S, Command
from tests.e2e.places import Bucket, Directory, kinds
from tests.e2e.watch import until
from tests.s3servers import CREDENTIALS, Asked, Front, Refusal, S3Server, Wire
from tests.servers import HttpServer, Reply, Request, Serve, closed_port

BIG = Random(3).randbytes(9_000_000)  # spooled to disk
HUGE = 68_000_000  # goes in parts
HTML = b"<p>some text</p>" * 100


@pytest.fixture(params=["moto", "rclone"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    server = request.getfixturevalue(f"{request.param}_server")
    return Bucket(server, server.make_bucket())


@pytest.fixture
def moto_bucket(moto_server: S3Server) -> Bucket:
    return Bucket(moto_server, moto_server.make_bucket())


def listed(cli: Command, server: HttpServer, count: int) -> str:
    """A list of `count` pages with keys of their own: `0`, `1`..."""
    cli.write("list", *(f"{server.url}/{number}\t{number}" for number in range(count)))
    return "list"


def echo(request: Request) -> Reply:
    return Reply(body=request.path.encode())


def huge() -> Iterator[bytes]:
    """HUGE bytes that are not all the same."""
    for number in range(HUGE // 1_000_000):
        yield number.to_bytes(4, "big") * 250_000


def with_spool(cli: Command) -> dict[str, str]:
    """An environment with credentials and a directory for temporary files."""
    spool = cli.directory / "spool"
    spool.mkdir()
    return {**CREDENTIALS, "TMPDIR": str(spool)}


def spooled(cli: Command) -> list[str]:
    """What runs have there."""
    return [path.name for path in (cli.directory / "spool").rglob("run-*")]


def is_own(asked: Asked) -> bool:
    """Whether it is about the probe or the lease of a run."""
    own = ("/.scraper/probe", "/.scraper/lock", "list-type=")
    return any(part in asked.path for part in own)


def is_page(asked: Asked) -> bool:
    return "/.scraper/" not in asked.path and "list-type=" not in asked.path


# ---------------------------------------------------------------- what is stored


def test_a_bucket_holds_what_a_directory_would(cli: Command, bucket: Bucket, serve: Serve) -> None:
    modified = "Wed, 21 Oct 2015 07:28:00 GMT"
    html = {"Content-Type": "text/html; charset=utf-8", "Last-Modified": modified}
    server = serve(
        {
            "/": Reply(200, html, HTML),
            "/zipped": Reply(200, {**html, "Content-Encoding": "gzip"}, gzip.compress(HTML)),
            "/empty": b"",
            "/big.bin": Reply(200, {"Content-Type": "application/octet-stream"}, BIG),
            "/hop": Reply(301, {"Location": "/deep/page.html?x=1"}),
            "/deep/page.html": b"deep",
            "/caf%C3%A9": b"coffee",
            "/gone": Reply(404),
        }
    )
    paths = ["/", "/zipped", "/empty\tgiven/kéy ☂.txt", "/big.bin", "/hop", "/deep/page.html?x=1"]
    cli.write("list", *(server.url + path for path in (*paths, "/café", "/gone", "/")))
    directory = Directory(cli)
    here = cli("-q", "list", *directory.words)
    there = cli("-q", "list", *bucket.words, env=bucket.environment)
    assert (here.status, there.status) == (1, 1)
    assert kinds(bucket.records()) == {"stored": 7, "http_status": 1, "duplicate": 1}
    assert bucket.files() == directory.files()
    assert len(bucket.files()) == 7
    assert stable(bucket.records()) == stable(directory.records())


def stable(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records without what differs from run to run, in the order of their lines."""
    kept = [
        {name: value for name, value in one.items() if name[:4] not in {"time", "star", "run"}}
        for one in records
    ]
    return sorted(kept, key=lambda one: int(one["line"]))


def test_facts_are_kept_beside_the_bytes(cli: Command, bucket: Bucket, serve: Serve) -> None:
    server = serve({"/page": Reply(200, {"Content-Type": "text/html; charset=utf-8"}, HTML)})
    cli.write("list", f"{server.url.replace('//', '//user:pass@')}/page?token=secret\tpage")
    ran = cli("-q", "list", *bucket.words, env=bucket.environment)
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    head = bucket.server.client.head_object(Bucket=bucket.bucket, Key=f"{bucket.prefix}/page")
    (record,) = bucket.records()
    metadata = {name.lower(): value for name, value in head["Metadata"].items()}
    assert head["ContentType"] == "text/html; charset=utf-8"
    assert metadata["sha256"] == record["sha256"] == sha256(HTML).hexdigest()
    assert metadata["sourceurl"] == record["url"]
    assert metadata["fetchedat"] == rfc3339(record["started_at"])
    assert "secret" not in str(head) + str(record)


def test_a_large_body_goes_in_parts(cli: Command, rclone_server: S3Server, serve: Serve) -> None:
    bucket = Bucket(rclone_server, rclone_server.make_bucket())
    server = serve({"/huge": lambda request: Reply(200, {"Content-Length": f"{HUGE}"}, huge())})
    cli.write("list", f"{server.url}/huge\thuge")
    env = with_spool(cli)
    ran = cli("-q", "list", *bucket.words, env=env)
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    whole = b"".join(huge())
    assert bucket.read("huge") == whole
    head = bucket.server.client.head_object(Bucket=bucket.bucket, Key=f"{bucket.prefix}/huge")
    metadata = {name.lower(): value for name, value in head["Metadata"].items()}
    assert metadata["sha256"] == sha256(whole).hexdigest()
    assert bucket.server.unfinished(bucket.bucket) == []
    assert spooled(cli) == []


def test_the_manifest_is_kept_in_segments_beside_the_objects(
    cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    server = serve(echo)
    long = f"{server.url}/0?{'x' * 50_000}\t0"
    cli.write("list", *[long] * 250, f"{server.url}/1\t1")  # 12 MB of records
    ran = cli("-q", "list", *moto_bucket.words, env=CREDENTIALS)
    assert (ran.status, ran.err) == (0, "")
    segments = [key for key in moto_bucket.all() if key.startswith(".scraper/")]
    segments.remove(SUMMARY)
    assert len(segments) > 1
    assert len({segment.rpartition("-")[2] for segment in segments}) == 1  # of one run
    numbers = [int(segment.split("-")[1]) for segment in segments]
    assert numbers == list(range(1, len(segments) + 1))
    assert kinds(moto_bucket.records()) == {"stored": 2, "duplicate": 249}
    cli.write("list", f"{server.url}/2\t2")
    assert cli("-q", "list", *moto_bucket.words, env=CREDENTIALS).status == 0
    assert kinds(moto_bucket.records()) == {"stored": 3, "duplicate": 249}  # in one more segment


def test_the_manifest_may_be_a_file_while_objects_go_to_s3(
    cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    server = serve(echo)
    words = [listed(cli, server, 3), *moto_bucket.words, "--manifest", "kept/manifest.jsonl"]
    ran = cli("-q", *words, env=CREDENTIALS)
    assert (ran.status, ran.err) == (0, "")
    assert moto_bucket.all() == [SUMMARY, "0", "1", "2"]
    assert len((cli.directory / "kept/manifest.jsonl").read_text().splitlines()) == 3


def test_credentials_profile_and_endpoint_may_come_as_for_the_aws_command(
    cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    server = serve(echo)
    config = cli.write(
        "config",
        "[profile pages]",
        "aws_access_key_id = key",
        "aws_secret_access_key = secret",
        f"endpoint_url = {moto_bucket.server.url}",
    )
    words = [listed(cli, server, 1), "--to", f"s3://{moto_bucket.bucket}/pages"]
    ran = cli("-q", *words, "--s3-profile", "pages", env={"AWS_CONFIG_FILE": str(config)})
    assert (ran.status, ran.err) == (0, "")
    endpoint = {**CREDENTIALS, "AWS_ENDPOINT_URL": moto_bucket.server.url}
    assert cli("-q", *words, env=endpoint).status == 0
    assert moto_bucket.files() == {"0": b"/0"}
    assert len(moto_bucket.records()) == 2


# ---------------------------------------------------------------- a destination that can't be used


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((403, "AccessDenied"), "s3:PutObject is denied on s3://BUCKET/pages/.scraper/probe ("),
        ((403, "InvalidAccessKeyId"), "InvalidAccessKeyId: as the test wants"),
        ((403, "SignatureDoesNotMatch"), "SignatureDoesNotMatch: as the test wants"),
        ((400, "ExpiredToken"), "ExpiredToken: as the test wants"),
        (
            (400, "AuthorizationHeaderMalformed"),
            "wrong region: the bucket is in another one than was asked",
        ),
        ((503, "SlowDown"), "SlowDown: as the test wants"),
        ((0, ""), "the connection to ENDPOINT broke"),
    ],
)
def test_a_bucket_that_refuses_is_told_in_one_line_before_the_first_request(
    answer: tuple[int, str], words: str, cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    server = serve(echo)
    with Front(moto_bucket.server.url, lambda asked: answer) as front:
        place = Bucket(moto_bucket.server, moto_bucket.bucket, front.url)
        ran = cli(listed(cli, server, 3), *place.words, "--retries", 0, env=CREDENTIALS)
    words = words.replace("ENDPOINT", front.url).replace("BUCKET", place.bucket)
    expected = f"scraper: can't use s3://{place.bucket}: {words}"
    assert (ran.status, ran.out) == (3, "")
    assert ran.err.startswith(expected)
    assert len(ran.errors) == 1
    assert server.total == 0
    assert place.all() == []
    assert cli.wrote == ["list"]


@pytest.mark.each_value
@pytest.mark.parametrize("words", [WORDS, SILENT], ids=["Amazon's", "none"])
@pytest.mark.parametrize("action", NEEDED)
def test_a_permission_that_is_missing_is_told_in_one_line_before_the_first_request(
    action: str, words: str, cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    server = serve(echo)
    with Front(moto_bucket.server.url, denying(moto_bucket.server, action, words=words)) as front:
        place = Bucket(moto_bucket.server, moto_bucket.bucket, front.url)
        ran = cli(listed(cli, server, 3), *place.words, env=CREDENTIALS)
    (line,) = ran.errors
    assert ran.status == 3
    assert f": s3:{action} is denied on s3://{place.bucket}/pages/.scraper/" in line
    assert server.total == 0


def test_a_bucket_that_is_not_there_is_told_in_one_line(
    cli: Command, bucket: Bucket, serve: Serve
) -> None:
    server = serve(echo)
    place = Bucket(bucket.server, "no-such-bucket")
    ran = cli(listed(cli, server, 3), *place.words, env=CREDENTIALS)
    assert (ran.status, ran.out) == (3, "")
    assert ran.errors == [
        "scraper: can't use s3://no-such-bucket: there is no such bucket",
        "hint: to make it: aws s3 mb s3://no-such-bucket",
    ]
    assert server.total == 0


def test_credentials_that_are_missing_or_nonsense_are_told_in_one_line(
    cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    server = serve(echo)
    words = [listed(cli, server, 3), *moto_bucket.words]
    for env, extra, said in (
        ({}, [], "Unable to locate credentials"),
        ({"AWS_ACCESS_KEY_ID": "key"}, [], "Partial credentials"),
        ({}, ["--s3-profile", "nobody"], "nobody"),
    ):
        ran = cli(*words, *extra, env=env)
        assert (ran.status, ran.out) == (3, "")
        assert len(ran.complaints) == 1
        assert said in ran.err
        assert ("AWS_ACCESS_KEY_ID and" in ran.errors[-1]) is said.startswith("Unable")
    assert server.total == 0


def test_an_endpoint_that_is_not_there_is_told_in_one_line(cli: Command, serve: Serve) -> None:
    server = serve(echo)
    endpoint = f"http://127.0.0.1:{closed_port()}"
    words = [listed(cli, server, 3), "--to", "s3://bucket/p", "--s3-endpoint", endpoint]
    ran = cli(*words, env=CREDENTIALS)
    assert (ran.status, ran.out, len(ran.errors)) == (3, "", 1)
    assert ran.err.startswith(f"scraper: can't use s3://bucket: can't connect to {endpoint}: ")
    assert server.total == 0


# ---------------------------------------------------------------- uploads that fail


def test_uploads_that_fail_for_a_while_are_made_again(
    cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    """An outage in the middle: connections are cut, then S3 is busy, then all is well."""
    server = serve(echo)
    breaker = {
        **dict.fromkeys(range(5, 10), (0, "")),
        **dict.fromkeys(range(10, 14), (503, "SlowDown")),
    }
    assert len(breaker) < FAILURES_UNTIL_OPEN  # else it depends on who ends first
    numbers = iter(range(1, 1_000))

    def fault(asked: Asked) -> tuple[int, str] | None:
        return breaker.get(next(numbers)) if is_page(asked) else None

    with Front(moto_bucket.server.url, fault) as front:
        place = Bucket(moto_bucket.server, moto_bucket.bucket, front.url)
        ran = cli("-q", listed(cli, server, 40), "-c", 4, *place.words, env=CREDENTIALS)
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert place.files() == {f"{number}": f"/{number}".encode() for number in range(40)}
    assert kinds(place.records()) == {"stored": 40}
    # A put is sent again for nothing where a kept connection was cut.
    attempts = sum(record["attempts"] for record in place.records())
    assert 40 + 4 <= attempts <= 40 + len(breaker)


def test_uploads_that_fail_for_good_leave_nothing_and_cost_nobody_else(
    cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    server = serve(
        {
            "/small": b"small",
            "/big": BIG,
            "/huge": lambda request: Reply(200, {"Content-Length": f"{HUGE}"}, huge()),
            "/fine": b"fine",
            "/odd": b"odd",
        }
    )

    def fault(asked: Asked) -> tuple[int, str] | None:
        if asked.path.split("?")[0].endswith("/odd"):
            return 400, "InvalidArgument"  # will not pass
        if asked.operation == "PUT" and asked.path.endswith(("/small", "/big")):
            return 500, "InternalError"
        return (
            (500, "InternalError") if asked.operation == "PUT part" and asked.number > 2 else None
        )

    cli.write(
        "list",
        *(f"{server.url}/{name}\t{name}" for name in ("small", "big", "huge", "odd", "fine")),
    )
    with Front(moto_bucket.server.url, fault) as front:
        place = Bucket(moto_bucket.server, moto_bucket.bucket, front.url)
        ran = cli("-q", "list", "--retries", 1, *place.words, env=with_spool(cli))
    assert ran.status == 1
    assert place.files() == {"fine": b"fine"}
    assert kinds(place.records()) == {"sink": 4, "stored": 1}
    tried = {record["key"]: record["attempts"] for record in place.records()}
    assert tried == {"small": 2, "big": 2, "huge": 2, "odd": 1, "fine": 1}
    assert place.server.unfinished(place.bucket) == []
    assert front.count("DELETE abort") == 2
    assert spooled(cli) == []
    assert "can't store 'small': InternalError: as the test wants" in ran.err


def test_a_bucket_that_refuses_in_the_middle_ends_the_run(
    cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    server = serve(echo)
    numbers = iter(range(1, 1_000))

    def fault(asked: Asked) -> tuple[int, str] | None:
        return (403, "AccessDenied") if is_page(asked) and next(numbers) > 5 else None

    with Front(moto_bucket.server.url, fault) as front:
        place = Bucket(moto_bucket.server, moto_bucket.bucket, front.url)
        ran = cli("-q", listed(cli, server, 50), "-c", 1, *place.words, env=CREDENTIALS)
    assert (ran.status, ran.out) == (3, "")
    where = f"s3://{place.bucket}"
    denied = f"s3:PutObject is denied on {where}/pages/5 (AccessDenied: as the test wants)"
    assert f"scraper: {where} takes no more objects: {denied}" in ran.err
    assert "stopped: s3://" in ran.err
    assert kinds(place.records()) == {"stored": 5, "sink": 1, "interrupted": 44}
    assert set(place.files()) == {"0", "1", "2", "3", "4"}
    assert server.total == 6


def test_records_that_are_lost_are_told_also_when_a_body_has_ended_the_run(
    cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    """As on a server whose disk is full: nothing else says that what is stored has no record."""
    numbers = iter(range(1, 1_000))

    def fault(asked: Asked) -> tuple[int, str] | None:
        refused = is_page(asked) and next(numbers) > 2
        return (403, "AccessDenied") if refused or "/manifest-" in asked.path else None

    with Front(moto_bucket.server.url, fault) as front:
        place = Bucket(moto_bucket.server, moto_bucket.bucket, front.url)
        words = [listed(cli, serve(echo), 4), "-c", 1, *place.words]
        ran = cli("-q", *words, env=CREDENTIALS)
    assert (ran.status, set(place.files())) == (3, {"0", "1"})
    assert "/pages/2 (AccessDenied" in ran.err
    assert "results are not in the manifest: can't write the manifest" in ran.err


def test_an_outage_that_does_not_end_is_told_with_the_status_of_a_destination(
    cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    server = serve(echo)
    numbers = iter(range(1, 1_000))

    def fault(asked: Asked) -> tuple[int, str] | None:
        return (0, "") if not is_own(asked) and next(numbers) > 5 else None

    with Front(moto_bucket.server.url, fault) as front:
        place = Bucket(moto_bucket.server, moto_bucket.bucket, front.url)
        words = [listed(cli, server, 20), "-c", 2, "--retries", 0, "--retry-max-time", 2]
        words += place.words
        ran = cli("-q", *words, "--results", "-", env=CREDENTIALS)
    assert ran.status == 3
    told = "can't write the manifest", "the destination refused all objects"
    assert any(f"scraper: {words}" in ran.err for words in told)
    assert set(kinds(ran.records)) <= {"stored", "sink", "interrupted"}
    assert len(ran.records) == 20
    assert set(place.files()) == {one["key"] for one in ran.records if one["status"] == "stored"}


# ---------------------------------------------------------------- SIGKILL


@pytest.mark.parametrize(
    ("server", "size"), [("moto", 10_000_000), ("moto", HUGE), ("rclone", 10_000_000)]
)
def test_a_killed_upload_leaves_nothing_under_a_final_name(
    server: str, size: int, cli: Command, serve: Serve, request: pytest.FixtureRequest
) -> None:
    s3: S3Server = request.getfixturevalue(f"{server}_server")
    bucket = Bucket(s3, s3.make_bucket())
    body = b"".join(huge())[:size]
    cli.write("list", f"{serve({'/large': body}).url}/large\tlarge")
    env = with_spool(cli)
    with closing(Wire(s3.url, 5_000_000)) as wire:
        place = Bucket(s3, bucket.bucket, wire.url)
        with cli.start("-q", "list", *place.words, env=env) as process:
            assert wire.stuck.wait(WAIT_S)
            process.kill()
            process.wait(WAIT_S)
        wire.cut.set()
        assert wire.ended.wait(WAIT_S)
    until(lambda: set(bucket.all()) <= {".scraper/lock.json"})
    assert len(spooled(cli)) == 1
    ran = cli("-q", "list", *bucket.words, env=env)
    assert (ran.status, ran.err) == (0, "")
    assert bucket.files() == {"large": body}
    assert spooled(cli) == []  # of both runs


@pytest.mark.parametrize("small", [["s3"], ["--to", "-"], ["--to", "tar:out.tar"]], ids=str)
def test_a_run_that_spools_nothing_removes_what_a_killed_one_left(
    cli: Command, moto_bucket: Bucket, serve: Serve, small: list[str]
) -> None:
    """Not only one that needs a temporary file itself."""
    env = with_spool(cli)
    own = cli.directory / f"spool/scraper-spool-{os.geteuid()}"
    if "tar:out.tar" in small:
        own = cli.directory / "out.tar.scraper/.scraper/tmp"
    dead = own / "run-dead"
    dead.mkdir(parents=True)
    (dead / "lock").touch()
    (dead / "0").write_bytes(BIG)
    words = moto_bucket.words if small == ["s3"] else small
    ran = cli("-q", f"{serve(echo).url}/page", *words, env=env)
    assert (ran.status, ran.err) == (0, "")
    assert not dead.exists()


def test_one_archived_object_keeps_no_other_from_being_verified(
    cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    """As a rule of the bucket's life cycle archives it."""
    pages = listed(cli, serve(echo), 5)
    assert cli(pages, *moto_bucket.words, env=moto_bucket.environment).status == 0
    archived = {"Bucket": moto_bucket.bucket, "Key": f"{moto_bucket.prefix}/3"}
    moto_bucket.server.client.copy_object(
        **archived, CopySource=archived, StorageClass="GLACIER", MetadataDirective="COPY"
    )
    _, place, *options = moto_bucket.words
    ran = cli("verify", place, *options, env=moto_bucket.environment)
    assert ran.status == 1
    assert "4 whole" in ran.out + ran.err
    assert "1 unreadable" in ran.out + ran.err
    assert "it is archived, and has to be restored before it can be read" in ran.out + ran.err


def test_an_endpoint_that_begins_to_redirect_ends_the_run_at_once(
    cli: Command, moto_bucket: Bucket, serve: Serve
) -> None:
    def fault(asked: Asked) -> Refusal | None:
        begins = asked.operation == "PUT" and is_page(asked)
        return Refusal(307, "", headers={"Location": "/login"}) if begins else None

    server, many = serve(echo), 60
    with Front(moto_bucket.server.url, fault) as front:
        place = Bucket(moto_bucket.server, moto_bucket.bucket, front.url)
        words = (listed(cli, server, many), "--max-concurrency", 4, *place.words)
        ran = cli(*words, env=place.environment)
    assert ran.status == 3
    assert "the endpoint redirects to /login, and S3 is not asked there" in ran.err
    assert server.total < many
