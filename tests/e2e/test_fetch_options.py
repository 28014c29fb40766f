"""Every option of `fetch` does what CLI.md says, against real servers.

What is told (--results, --log-format, -q, -v, --progress) is in test_account.py.
"""

import base64
import gzip
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.cli.fetch import fetch
from scraper.model.settings import Limits
from tests.conftest import Secure
from tests.e2e.command import MANIFEST, Command, folder, lines, parsed
from tests.s3servers import CREDENTIALS, S3Server
from tests.servers import (
    Farm,
    HttpServer,
    Misbehave,
    Reply,
    Request,
    Routes,
    Serve,
    drips,
    silent,
)

DEFAULTS = Limits()
DRIPPING = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


def only(records: list[dict[str, Any]]) -> dict[str, Any]:
    (record,) = records
    return record


def kind(cli: Command) -> str | None:
    """Of the one target's error."""
    error = only(cli.records()).get("error")
    return error and str(error["kind"])


def started(cli: Command) -> list[datetime]:
    return sorted(datetime.fromtimestamp(record["started_at"], UTC) for record in cli.records())


# ---------------------------------------------------------------- where to


def test_to_is_where_bodies_and_manifest_go(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    ran = cli("--to", "some/where", stdin=lines(f"{server.url}/a.txt"))
    assert (ran.status, ran.out) == (0, "")
    assert cli.files("some/where") == {f"{folder(server.url)}/a.txt": b"a"}
    assert "  stored in: some/where" in ran.errors
    assert f"  manifest:  some/where/{MANIFEST}" in ran.errors
    assert cli.wrote == ["some"]


def test_to_may_be_an_absolute_path_or_a_file_url(
    cli: Command, serve: Serve, tmp_path: Path
) -> None:
    server = serve({"/a.txt": b"a"})
    for to, root in ((f"{tmp_path}/one", "one"), (f"file://{tmp_path}/two", "two")):
        assert cli("-q", "-o", to, stdin=lines(f"{server.url}/a.txt")).status == 0
        assert cli.files(tmp_path / root) == {f"{folder(server.url)}/a.txt": b"a"}


def test_to_has_the_date_where_it_says_so(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    before = datetime.now().astimezone()
    ran = cli("--to", "100%/{date}/{:%Y}-{date:%m}", stdin=lines(f"{server.url}/a.txt"))
    after = datetime.now().astimezone()
    assert ran.status == 0
    places = list(cli.directory.glob("100%/*/*"))
    expected = {f"{now:%Y-%m-%d}/{now:%Y}-{now:%m}" for now in (before, after)}
    assert str(places[0].relative_to(cli.directory / "100%")) in expected
    assert cli.files(places[0]) == {f"{folder(server.url)}/a.txt": b"a"}


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("url", "{site}/docs/page.html"),
        ("{host}/{path}{ext}", "{site}/docs/page.html"),
        ("all/{line}{ext}", "all/1.html"),
        ("{path}", "docs/page"),
    ],
)
def test_key_says_how_objects_are_named(
    template: str, pattern: str, cli: Command, serve: Serve
) -> None:
    server = serve({"/docs/page.html": b"a"})
    ran = cli("--key", template, stdin=lines(f"{server.url}/docs/page.html"))
    key = pattern.format(site=folder(server.url))
    assert (ran.status, cli.files()) == (0, {key: b"a"})
    assert only(cli.records())["key"] == key


def test_key_hash_and_a_templates_hash_are_the_urls_sha256(cli: Command, serve: Serve) -> None:
    server = serve({"/page.html": b"a"})
    for template in ("hash", "{hash:.2}/{hash}{ext}"):
        assert cli("--key", template, stdin=lines(f"{server.url}/page.html")).status == 0
    short, long = sorted(cli.files(), key=lambda key: key.count("/"))
    digest = short.partition("/")[2].removesuffix(".html")
    assert len(digest) == 64
    assert long == f"{digest[:2]}/{digest[2:4]}/{digest}.html"


def test_manifest_is_kept_where_it_is_said_and_grows(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    for _ in range(2):
        ran = cli("--manifest", "kept/m.jsonl", stdin=lines(f"{server.url}/a.txt"))
        assert (ran.status, ran.out) == (0, "")
        assert "  manifest:  kept/m.jsonl" in ran.errors
    records = parsed((cli.directory / "kept/m.jsonl").read_bytes())
    assert [record["status"] for record in records] == ["stored", "stored"]
    assert not (cli.directory / "out" / MANIFEST).exists()


# ---------------------------------------------------------------- how much at once


@pytest.mark.parametrize(
    ("options", "together", "to_one"),
    [(["-c", 3], 3, 3), (["-c", 32, "--per-host", 2], 8, 2), (["-c", 6, "--per-host", 4], 6, 4)],
)
def test_max_concurrency_and_per_host_are_reached_and_not_exceeded(
    options: list[object], together: int, to_one: int, cli: Command, farm: Farm
) -> None:
    let_go = threading.Event()
    hosts = farm(lambda request: Reply(body=b"x", delay=let_go))
    urls = [f"{url}/{n}.txt" for n in range(8) for url in hosts.urls]
    with cli.start(*options, "--results", "-", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines(*urls).encode())
        process.stdin.flush()
        hosts.wait_until(lambda: hosts.in_flight >= together)
        process.stdin.write(b"nonsense\n")  # once it is told, every slot there is was filled
        process.stdin.flush()
        assert b'"bad_url"' in process.stdout.readline()
        let_go.set()
        ran = cli.ended(process)
    assert (ran.status, len(ran.records), len(cli.files())) == (1, 32, 32)
    assert hosts.max_in_flight == together
    assert max(hosts.max_in_flight_by_address.values()) <= to_one


def test_delay_lies_between_the_starts_to_one_host(cli: Command, farm: Farm) -> None:
    hosts = farm(lambda request: Reply(body=b"x"))
    one, two, *_ = hosts.urls
    ran = cli("--delay", "0.2", stdin=lines(*(f"{one}/{n}.txt" for n in range(4)), f"{two}/a.txt"))
    assert ran.status == 0
    starts = [
        (record["url"], datetime.fromtimestamp(record["started_at"], UTC))
        for record in cli.records()
    ]
    of_one = sorted(moment for url, moment in starts if url.startswith(one))
    gaps = [later - earlier for earlier, later in pairwise(of_one)]
    assert min(gaps) >= timedelta(milliseconds=198)  # clock and monotonic clock, each rounded
    (of_two,) = (moment for url, moment in starts if url.startswith(two))
    assert of_two < of_one[1]  # another host does not wait for it


def test_rate_spreads_the_starts_over_all_hosts(cli: Command, farm: Farm) -> None:
    hosts = farm(lambda request: Reply(body=b"x"))
    urls = [f"{hosts.urls[n % 4]}/{n}.txt" for n in range(8)]
    ran = cli("--rate", 20, stdin=lines(*urls))
    assert ran.status == 0
    first, *_, last = started(cli)
    assert last - first >= timedelta(seconds=7 / 20 - 0.06)


# ---------------------------------------------------------------- when something fails


@pytest.fixture
def flaky(serve: Serve) -> HttpServer:
    """503 once, then a page."""

    def answer(request: Request) -> Reply:
        first = server.hits[request.path] == 1
        return Reply(503) if first else Reply(body=b"at last")

    server = serve(answer)
    return server


def test_retries_gives_a_target_further_attempts(cli: Command, flaky: HttpServer) -> None:
    ran = cli("--retries", 1, stdin=lines(f"{flaky.url}/a.txt"))
    assert (ran.status, ran.out) == (0, "")
    assert any(line.endswith("/a.txt after 2 attempts") for line in ran.errors)
    assert cli.files() == {f"{folder(flaky.url)}/a.txt": b"at last"}
    assert only(cli.records())["attempts"] == flaky.total == 2


@pytest.mark.parametrize("options", [["--retries", 0], ["--retry-max-time", "0.5"]])
def test_no_further_attempt_is_made_when_none_is_allowed_or_time_is_over(
    options: list[object], cli: Command, flaky: HttpServer
) -> None:
    ran = cli(*options, stdin=lines(f"{flaky.url}/a.txt"))
    assert (ran.status, ran.out) == (1, "")
    assert cli.files() == {}
    record = only(cli.records())
    assert record["error"] == {"kind": "http_status", "message": "HTTP 503"}
    assert record["attempts"] == flaky.total == 1


def test_a_wait_beyond_max_retry_after_ends_as_deferred_and_a_shorter_one_is_kept(
    cli: Command, serve: Serve
) -> None:
    def answer(request: Request) -> Reply:
        if request.path == "/later.txt":
            return Reply(503, {"Retry-After": "3"})
        first = server.hits[request.path] == 1
        return Reply(429, {"Retry-After": "1"}) if first else Reply(body=b"ok")

    server = serve(answer)
    ran = cli(*("--max-retry-after", 2, "-c", 1), stdin=lines(f"{server.url}/soon.txt"))
    assert (ran.status, cli.files()) == (0, {f"{folder(server.url)}/soon.txt": b"ok"})
    ran = cli("--max-retry-after", 2, "--to", "later", stdin=lines(f"{server.url}/later.txt"))
    assert ran.status == 1
    assert re.search(r"^1 targets?: 1 deferred in ", ran.err, re.MULTILINE)
    record = only(cli.records("later"))
    assert (record["status"], record["attempts"], record["http_code"]) == ("deferred", 1, 503)
    assert cli.files("later") == {}


@pytest.mark.parametrize(
    ("budget", "status"), [("0", 1), ("1", 0), ("24%", 1), ("25%", 0), ("100%", 0)]
)
def test_max_failures_is_what_is_tolerated(
    budget: str, status: int, cli: Command, serve: Serve
) -> None:
    server = serve({f"/{n}.txt": b"x" for n in range(3)})
    urls = [f"{server.url}/{n}.txt" for n in range(4)]
    ran = cli("--max-failures", budget, stdin=lines(*urls))
    assert (ran.status, ran.out) == (status, "")
    assert len(cli.files()) == 3
    assert any(line.startswith("4 targets: 3 stored, 1 failed in ") for line in ran.errors)


def test_fail_fast_stops_at_the_first_failure_over_the_budget(cli: Command, serve: Serve) -> None:
    server = serve({"/0.txt": b"x"})
    urls = [f"{server.url}/{n}.txt" for n in range(500)]
    path = cli.write("list.txt", *urls)
    ran = cli("--fail-fast", "--max-failures", 2, "-c", 1, path)
    assert (ran.status, ran.out) == (1, "")
    assert server.total == 4  # one stored, three failed
    assert "stopped: --fail-fast: more failures than --max-failures" in ran.errors
    records = cli.records()
    assert [record["line"] for record in records[:4]] == [1, 2, 3, 4]
    assert {record["error"]["kind"] for record in records[4:]} == {"interrupted"}
    summary = next(line for line in ran.errors if " targets: " in line)
    assert summary.startswith(
        f"{len(records)} targets: {len(records) - 4} not reached, 3 failed, 1 stored in "
    )


def test_without_fail_fast_the_run_goes_on_to_the_end(cli: Command, serve: Serve) -> None:
    server = serve({})
    ran = cli("-c", 1, stdin=lines(*(f"{server.url}/{n}.txt" for n in range(10))))
    assert (ran.status, server.total) == (1, 10)


# ---------------------------------------------------------------- limits of one attempt


@contextmanager
def full_queue() -> Iterator[int]:
    """A port that neither takes nor refuses a connection."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listening.getsockname())
        try:
            yield listening.getsockname()[1]
        finally:
            for sock in waiting:
                sock.close()


def test_connect_timeout_bounds_the_connecting(cli: Command) -> None:
    with full_queue() as port:
        ran = cli(
            *("--connect-timeout", "0.3", "--retries", 0),
            stdin=lines(f"http://127.0.0.1:{port}/a.txt"),
        )
    assert (ran.status, kind(cli)) == (1, "timeout")
    assert 0.3 <= only(cli.records())["time_total"] < DEFAULTS.connect_timeout


def test_read_timeout_bounds_the_wait_between_two_bytes(cli: Command, misbehave: Misbehave) -> None:
    server = misbehave(silent)
    ran = cli(*("--read-timeout", "0.3", "--retries", 0), stdin=lines(f"{server.url}/a.txt"))
    assert (ran.status, kind(cli)) == (1, "timeout")
    assert 0.3 <= only(cli.records())["time_total"] < DEFAULTS.read_timeout


def test_max_time_bounds_an_attempt_while_the_body_drips(
    cli: Command, misbehave: Misbehave
) -> None:
    stop = threading.Event()
    server = misbehave(drips(DRIPPING, stop))
    ran = cli("--max-time", "0.5", "--retries", 0, stdin=lines(f"{server.url}/a.txt"))
    stop.set()
    assert (ran.status, cli.files()) == (1, {})
    error = only(cli.records())["error"]
    assert error == {"kind": "timeout", "message": "not done after --max-time 0.5 s"}


def test_speed_limit_ends_a_body_that_comes_slower(cli: Command, misbehave: Misbehave) -> None:
    stop = threading.Event()
    server = misbehave(drips(DRIPPING, stop))
    limits = ("--speed-limit", "10k", "--speed-time", "0.5", "--retries", 0)
    ran = cli(*limits, stdin=lines(f"{server.url}/a.txt"))
    stop.set()
    assert (ran.status, cli.files()) == (1, {})
    speed = "--speed-limit 10,000 bytes a second for --speed-time 0.5 s"
    error = only(cli.records())["error"]
    assert error == {"kind": "timeout", "message": f"slower than {speed}"}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10", 10),
        ("500k", 500_000),
        ("10M", 10_000_000),
        ("1.5g", 1_500_000_000),
        ("2 T", 2_000_000_000_000),
        ("10MB", 10_000_000),
        ("64KiB", 65_536),
        ("1GiB", 1 << 30),
    ],
)
def test_sizes_have_decimal_and_binary_units(text: str, size: int) -> None:
    assert fetch.make_context("scraper", ["--max-size", text]).params["max_size"] == size


@pytest.mark.parametrize("limit", ["1k", "1KiB"])
def test_max_size_is_the_largest_body_as_decoded(limit: str, cli: Command, serve: Serve) -> None:
    most = 1024 if limit == "1KiB" else 1000
    fits, over = b"x" * most, b"x" * (most + 1)
    zipped = {"Content-Encoding": "gzip"}
    server = serve(
        {
            "/fits.txt": fits,
            "/over.txt": over,
            "/chunked.txt": Reply(body=[over]),
            "/fits-zipped.txt": Reply(headers=zipped, body=gzip.compress(fits)),
            "/over-zipped.txt": Reply(headers=zipped, body=gzip.compress(over)),
        }
    )
    names = ("fits", "over", "chunked", "fits-zipped", "over-zipped")
    ran = cli("--max-size", limit, stdin=lines(*(f"{server.url}/{name}.txt" for name in names)))
    assert ran.status == 1
    site = folder(server.url)
    assert cli.files() == {f"{site}/fits.txt": fits, f"{site}/fits-zipped.txt": fits}
    errors = [record["error"] for record in cli.records() if "error" in record]
    assert [error["kind"] for error in errors] == ["too_large"] * 3
    assert errors[0]["message"] == f"body is longer than --max-size {most:,} bytes"


@pytest.mark.parametrize("most", [0, 2, 3])
def test_max_redirects_is_how_many_hops_are_followed(most: int, cli: Command, serve: Serve) -> None:
    hops: dict[str, Any] = {f"/{n}": Reply(302, {"Location": f"/{n + 1}"}) for n in range(3)}
    server = serve({**hops, "/3": b"there"})
    ran = cli("--max-redirects", most, stdin=lines(f"{server.url}/0\tgot"))
    record = only(cli.records())
    if most == 3:
        assert (ran.status, cli.files()) == (0, {"got": b"there"})
        assert (record["redirects"], record["url_effective"]) == (3, f"{server.url}/3")
    else:
        assert (ran.status, cli.files(), kind(cli)) == (1, {}, "too_many_redirects")
        assert server.total == most + 1


# ---------------------------------------------------------------- requests


def test_headers_and_user_agent_are_sent(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    options = ["-H", "X-One: 1", "--header", "X-Two:two words", "-A", "me/1.0 (+mail)"]
    assert cli(*options, stdin=lines(f"{server.url}/a.txt")).status == 0
    headers = server.requests[0].headers
    assert (headers["x-one"], headers["x-two"]) == ("1", "two words")
    assert headers["user-agent"] == "me/1.0 (+mail)"


def test_without_options_we_say_who_we_are(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    assert cli(stdin=lines(f"{server.url}/a.txt")).status == 0
    version = cli("--version").out.strip().replace(" ", "/")
    assert server.requests[0].headers["user-agent"] == version


@pytest.mark.parametrize(
    ("options", "agent", "sender"),
    [
        (["--contact", "me@example.com"], "(+me@example.com)", "me@example.com"),
        (["--contact", "https://example.com/bot"], "(+https://example.com/bot)", None),
        (
            ["-A", "mine/1", "--contact", "me@example.com"],
            "mine/1 (+me@example.com)",
            "me@example.com",
        ),
        (["-H", "From: you@b", "--contact", "me@a"], "(+me@a)", "you@b"),
    ],
)
def test_a_contact_is_told_to_servers(
    options: list[str], agent: str, sender: str | None, cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a"})
    assert cli(*options, stdin=lines(f"{server.url}/a.txt")).status == 0
    headers = server.requests[0].headers
    whole = agent if agent.startswith("mine") else f"scraper/{scraper.__version__} {agent}"
    assert (headers["user-agent"], headers.get("from")) == (whole, sender)


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_proxy_carries_every_request_and_gets_its_password(
    scheme: str, cli: Command, serve: Serve
) -> None:
    proxy = serve(lambda request: Reply(body=request.path.encode()))
    address = f"{scheme}me:s3cret@127.0.0.1:{proxy.port}"
    ran = cli("--proxy", address, stdin=lines("http://nowhere.invalid/a.txt"))
    assert ran.status == 0
    assert cli.files() == {"nowhere.invalid_http/a.txt": b"http://nowhere.invalid/a.txt"}
    expected = "Basic " + base64.b64encode(b"me:s3cret").decode()
    assert proxy.requests[0].headers["proxy-authorization"] == expected
    assert "s3cret" not in ran.err + str(cli.records())


def test_the_proxy_of_the_environment_is_used_unless_another_is_given(
    cli: Command, serve: Serve
) -> None:
    common = serve(lambda request: Reply(body=b"common"))
    given = serve(lambda request: Reply(body=b"given"))
    env = {"http_proxy": common.url}
    url = "http://nowhere.invalid/a.txt"
    assert cli(stdin=lines(url), env=env).status == 0
    assert cli.files() == {"nowhere.invalid_http/a.txt": b"common"}
    assert cli("--proxy", given.url, stdin=lines(url), env=env).status == 0
    assert cli.files() == {"nowhere.invalid_http/a.txt": b"given"}
    assert (
        cli(
            stdin=lines(url),
            env={**env, "no_proxy": "invalid"},
        ).status
        == 1
    )
    assert common.total == 1


def test_a_certificate_is_trusted_by_its_authority_or_not_asked_for(
    cli: Command, serve_tls: Callable[[Routes], Secure]
) -> None:
    server, cacert = serve_tls({"/a.txt": b"secret"})
    url = lines(f"{server.url}/a.txt")
    refused = cli("--to", "refused", stdin=url)
    assert (refused.status, cli.files("refused")) == (1, {})
    assert only(cli.records("refused"))["error"]["kind"] == "tls"
    assert server.total == 0
    for options in (["--cacert", cacert], ["--insecure"]):
        ran = cli(*options, "--to", options[0], stdin=url)
        assert (ran.status, ran.out) == (0, "")
        assert list(cli.files(str(options[0])).values()) == [b"secret"]
        assert "Warning" not in ran.err


@pytest.mark.parametrize("options", [[], ["-q"], ["-q", "--log-format", "json"]], ids=" ".join)
def test_to_trust_any_certificate_is_warned_of_each_time(
    options: list[str], cli: Command, serve: Serve
) -> None:
    server = serve({"/a.txt": b"a"})
    for _ in range(2):
        ran = cli("--insecure", *options, stdin=lines(f"{server.url}/a.txt"))
        assert (ran.status, ran.err.count("certificates are not checked")) == (0, 1)
    assert "certificates" not in cli(*options, stdin=lines(f"{server.url}/a.txt")).err


def test_netrc_gives_passwords_by_host_and_none_by_default(
    cli: Command, farm: Farm, tmp_path: Path
) -> None:
    hosts = farm(lambda request: Reply(body=b"x"))
    cli.write(".netrc", "machine 127.0.0.1 login me password s3cret", "default login a password b")
    urls = lines(*(f"{url}/a.txt" for url in hosts.urls[:2]))
    assert cli(stdin=urls).status == 0
    assert all("authorization" not in request.headers for request in hosts.requests)
    hosts.requests.clear()
    ran = cli("--netrc", stdin=urls)
    assert ran.status == 0
    sent = {request.address: request.headers.get("authorization") for request in hosts.requests}
    expected = "Basic " + base64.b64encode(b"me:s3cret").decode()
    assert sent == {"127.0.0.1": expected, "127.0.0.2": None}
    assert "s3cret" not in ran.err + str(cli.records())


def test_netrc_may_be_elsewhere(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    cli.write("secrets", "machine 127.0.0.1 login me password s3cret")
    ran = cli("--netrc", stdin=lines(f"{server.url}/a.txt"), env={"NETRC": "secrets"})
    assert ran.status == 0
    assert "authorization" in server.requests[0].headers


def test_raw_keeps_the_bytes_as_they_were_sent(cli: Command, serve: Serve) -> None:
    packed = gzip.compress(b"text")
    server = serve({"/a.txt": Reply(headers={"Content-Encoding": "gzip"}, body=packed)})
    name = f"{folder(server.url)}/a.txt"
    assert cli(stdin=lines(f"{server.url}/a.txt")).status == 0
    assert cli.files() == {name: b"text"}
    assert cli("--raw", stdin=lines(f"{server.url}/a.txt")).status == 0
    assert cli.files() == {name: packed}
    asked = [request.headers.get("accept-encoding", "") for request in server.requests]
    assert "gzip" in asked[0]
    assert asked[1] in {"", "identity"}


def test_expect_type_refuses_other_media_types(cli: Command, serve: Serve) -> None:
    server = serve(
        {
            "/a.png": Reply(headers={"Content-Type": "IMAGE/png; charset=x"}, body=b"png"),
            "/b.png": Reply(headers={"Content-Type": "text/html"}, body=b"<p>Please log in"),
            "/c.png": b"who knows",
        }
    )
    ran = cli("--expect-type", "image/*", stdin=lines(*(f"{server.url}/{n}.png" for n in "abc")))
    assert ran.status == 1
    assert cli.files() == {f"{folder(server.url)}/a.png": b"png"}
    errors = {record["line"]: record.get("error") for record in cli.records()}
    assert errors == {
        1: None,
        2: {"kind": "unexpected_type", "message": "media type 'text/html' is not 'image/*'"},
        3: {"kind": "unexpected_type", "message": "media type 'unknown' is not 'image/*'"},
    }


# ---------------------------------------------------------------- S3's options


def test_the_s3_options_reach_the_requests(
    cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    server = serve({"/a.txt": b"a"})
    bucket = moto_server.make_bucket()
    access = [f"{name.lower()} = {value}" for name, value in CREDENTIALS.items()]
    cli.write("aws", "[profile mine]", "region = eu-central-1", *access)
    options = ["--s3-profile", "mine", "--s3-storage-class", "STANDARD_IA", "--s3-sse", "AES256"]
    ran = cli(
        *("--to", f"s3://{bucket}/p", "--s3-endpoint", moto_server.url),
        *("--s3-client", "boto3", *options),
        stdin=lines(f"{server.url}/a.txt\tpage"),
        env={"AWS_CONFIG_FILE": "aws"},
    )
    assert (ran.status, ran.out) == (0, "")
    assert "boto3 client" in ran.errors[0]
    head = moto_server.client.head_object(Bucket=bucket, Key="p/page")
    assert (head["StorageClass"], head["ServerSideEncryption"]) == ("STANDARD_IA", "AES256")
