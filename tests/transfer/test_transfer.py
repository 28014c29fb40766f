"""One attempt, told directly what an engine would tell it: meaning without sockets."""

import gzip
import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import brotli
import pytest

from scraper.model import urls
from scraper.model.decode import PIECE
from scraper.model.errors import DestinationError, Kind, SinkError, TransferError
from scraper.model.records import Attempt, Failed, Failure, NotModified, Response, Stored, Target
from scraper.model.settings import Http, Limits
from scraper.sinks.base import Body
from scraper.sinks.directory.sink import DirectorySink
from scraper.transfer.completion import Completion
from scraper.transfer.exchange import Next, Reply
from scraper.transfer.plan import Plan
from scraper.transfer.transfer import Transfer

PUBLIC = "93.184.216.34"
KEY = "host/page.html"
PAGE = b"<html>" + b"a page\n" * 1000
Headers = Sequence[tuple[str, str]]


@dataclass
class Bench:
    """A destination, and transfers into it."""

    sink: DirectorySink

    def transfer(
        self,
        url: str = "http://host/page.html",
        *,
        limits: Limits | None = None,
        http: Http | None = None,
        headers: Mapping[str, str] | None = None,
        passwords: Mapping[str, str] | None = None,
    ) -> Transfer:
        parsed = urls.parse(url)
        target = Target(
            url, parsed.href, parsed.origin.host, KEY, 1, "list", headers or {}, parsed.userinfo
        )
        plan = Plan(limits or Limits(), http or Http(), "scraper/1", passwords or {})
        return Transfer(Attempt(target, queued_at=0.0), plan, self.sink, time.monotonic())

    @property
    def leftovers(self) -> list[str]:
        """Temporary files."""
        found = (self.sink.root / ".scraper").rglob("*")
        return [str(path) for path in found if path.is_file() and path.name != "lock"]

    @property
    def objects(self) -> list[str]:
        """Keys."""
        every = (path for path in self.sink.root.rglob("*") if path.is_file())
        names = (str(path.relative_to(self.sink.root)) for path in every)
        return [name for name in names if not name.startswith(".scraper")]

    @property
    def body(self) -> bytes:
        """What is stored under the key."""
        return (self.sink.root / KEY).read_bytes()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    sink = DirectorySink(tmp_path / "out")
    sink.check()
    yield Bench(sink)
    sink.close()


def ok(*headers: tuple[str, str], status: int = 200) -> Reply:
    """As an engine reports it: names in lower case."""
    lower = [(name.lower(), value) for name, value in headers]
    return Reply(status, lower, "127.0.0.1", 0.001)


def redirect(location: str, status: int = 302, remote_ip: str | None = "127.0.0.1") -> Reply:
    return Reply(status, [("location", location)], remote_ip, 0.001)


def carry(transfer: Transfer, replies: Sequence[Reply], chunks: Sequence[bytes] = ()) -> Completion:
    """What an engine does: `replies` one hop each, the last with `chunks` for a body."""
    try:
        following = [transfer.response(reply) for reply in replies][-1]
        if following is Next.READ:
            for chunk in chunks:
                transfer.data(chunk)
            transfer.finish()
    except (TransferError, DestinationError) as error:
        transfer.fail(error)
    assert transfer.completion is not None
    return transfer.completion


def stored(completion: Completion) -> Stored:
    assert isinstance(completion.outcome, Stored), completion.outcome
    return completion.outcome


def failure(completion: Completion) -> Failure:
    assert isinstance(completion.outcome, Failed), completion.outcome
    return completion.outcome.failure


def hop_to(transfer: Transfer, location: str) -> str:
    """The URL that is asked for after a redirect to `location`."""
    assert transfer.response(redirect(location)) is Next.HOP
    return transfer.request.url


# ---------------------------------------------------------------- bodies


def test_a_body_is_stored_with_size_and_digest(bench: Bench) -> None:
    found = stored(carry(bench.transfer(), [ok()], [PAGE[:10], PAGE[10:]]))
    assert bench.body == PAGE
    assert (found.size, found.sha256) == (len(PAGE), hashlib.sha256(PAGE).hexdigest())
    assert bench.objects == [KEY]
    assert bench.leftovers == []


def test_an_empty_body_is_an_object(bench: Bench) -> None:
    found = stored(carry(bench.transfer(), [ok(("Content-Length", "0"))]))
    assert (bench.body, found.size) == (b"", 0)
    assert found.sha256 == hashlib.sha256(b"").hexdigest()


def test_the_facts_of_the_final_response_are_kept(bench: Bench) -> None:
    reply = Reply(
        200,
        [
            ("content-type", "text/html; charset=utf-8"),
            ("etag", '"v1"'),
            ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("vary", "Accept-Encoding"),
            ("vary", "Origin"),
            ("x-robots-tag", "noarchive"),
            ("x-robots-tag", "otherbot: noindex"),
        ],
        remote_ip="::1",
        time_connect=0.0,
    )
    completion = carry(bench.transfer(), [redirect("/b"), reply], [PAGE])
    assert stored(completion).response == Response(
        http_code=200,
        url_effective="http://host/b",
        content_type="text/html; charset=utf-8",
        etag='"v1"',
        last_modified="Sun, 06 Nov 1994 08:49:37 GMT",
        remote_ip="::1",
        redirects=1,
        x_robots_tag="noarchive, otherbot: noindex",
        variant="decoded origin",
    )
    assert os.stat(bench.sink.root / KEY).st_mtime == 784_111_777


def test_times_are_durations_in_order(bench: Bench) -> None:
    times = carry(bench.transfer(), [ok()], [PAGE]).times
    assert times.connect == 0.001
    assert times.starttransfer is not None
    assert times.total is not None
    assert 0 <= times.starttransfer <= times.total
    assert times.queue is not None
    assert times.started is not None
    assert abs(times.started - time.time()) < 3600


@pytest.mark.parametrize("status", [200, 201, 203, 299])
def test_every_other_successful_status_brings_a_body(bench: Bench, status: int) -> None:
    stored(carry(bench.transfer(), [ok(status=status)], [PAGE]))
    assert bench.body == PAGE


@pytest.mark.parametrize(
    "status", [202, 204, 205, 207, 208, 400, 401, 404, 410, 429, 500, 503, 999]
)
def test_the_body_of_what_is_no_object_is_not_stored(bench: Bench, status: int) -> None:
    transfer = bench.transfer()
    assert transfer.response(ok(("Content-Length", "9"), status=status)) is Next.STOP
    assert transfer.completion is not None
    found = failure(transfer.completion)
    assert (found.kind, found.http_code) == (Kind.HTTP_STATUS, status)
    assert transfer.completion.outcome.response is not None
    assert transfer.completion.outcome.response.http_code == status
    assert bench.objects == bench.leftovers == []


@pytest.mark.parametrize("status", [100, 101, 103, 199, 300, 301, 302, 305, 399, 0])
def test_a_status_that_brings_nothing_is_a_failure(bench: Bench, status: int) -> None:
    assert failure(carry(bench.transfer(), [ok(status=status)])).kind is Kind.HTTP_STATUS


def test_retry_after_of_an_error_is_read(bench: Bench) -> None:
    found = failure(carry(bench.transfer(), [ok(("Retry-After", "17"), status=503)]))
    assert found.retry_after_s == 17.0
    assert failure(carry(bench.transfer(), [ok(status=503)])).retry_after_s is None


def test_not_modified_is_an_outcome_of_its_own(bench: Bench) -> None:
    asking = Http(headers=(("If-None-Match", '"v1"'),))
    completion = carry(bench.transfer(http=asking), [ok(("ETag", '"v1"'), status=304)])
    assert isinstance(completion.outcome, NotModified)
    assert completion.outcome.response.etag == '"v1"'
    assert bench.objects == []


def test_a_304_that_nobody_asked_for_is_a_failure(bench: Bench) -> None:
    found = failure(carry(bench.transfer(), [ok(status=304)]))
    assert found.kind is Kind.PROTOCOL
    assert not found.transient


# ---------------------------------------------------------------- lengths


@pytest.mark.parametrize(
    "value", ["-5", "abc", "+5", "5.0", "0x5", "5 5", "", "5, 6", "5,", "\u0665"]
)
def test_a_content_length_that_is_no_length_is_a_protocol_error(bench: Bench, value: str) -> None:
    found = failure(carry(bench.transfer(), [ok(("Content-Length", value))], [b"12345"]))
    assert (found.kind, found.transient) == (Kind.PROTOCOL, False)
    assert bench.objects == bench.leftovers == []


def test_two_different_content_lengths_are_a_protocol_error(bench: Bench) -> None:
    reply = ok(("Content-Length", "5"), ("Content-Length", "6"))
    assert failure(carry(bench.transfer(), [reply], [b"12345"])).kind is Kind.PROTOCOL


@pytest.mark.parametrize("values", [["5", "5"], ["5, 5"], [" 5 "], ["005"]])
def test_the_same_content_length_twice_is_one(bench: Bench, values: list[str]) -> None:
    reply = ok(*(("Content-Length", value) for value in values))
    stored(carry(bench.transfer(), [reply], [b"12345"]))


@pytest.mark.parametrize("body", [b"", b"1234", b"123456"])
def test_a_body_of_another_length_than_announced_is_truncated(bench: Bench, body: bytes) -> None:
    found = failure(carry(bench.transfer(), [ok(("Content-Length", "5"))], [body]))
    assert found.kind is Kind.TRUNCATED
    assert bench.objects == bench.leftovers == []


def test_content_length_means_nothing_beside_chunks(bench: Bench) -> None:
    reply = ok(("Content-Length", "999"), ("Transfer-Encoding", "Chunked"))
    stored(carry(bench.transfer(), [reply], [b"12345"]))


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "chunked, chunked", "xchunked", ""])
def test_a_transfer_coding_that_was_not_asked_for_is_a_protocol_error(
    bench: Bench, coding: str
) -> None:
    found = failure(carry(bench.transfer(), [ok(("Transfer-Encoding", coding))], [b"12345"]))
    assert (found.kind, found.transient) == (Kind.PROTOCOL, False)


def test_the_length_counts_bytes_on_the_wire_not_decoded_ones(bench: Bench) -> None:
    packed = gzip.compress(PAGE)
    headers = ("Content-Encoding", "gzip"), ("Content-Length", str(len(packed)))
    found = stored(carry(bench.transfer(), [ok(*headers)], [packed]))
    assert (bench.body, found.size) == (PAGE, len(PAGE))


# ---------------------------------------------------------------- codings


def test_a_truncated_gzip_body_without_a_length_is_noticed(bench: Bench) -> None:
    reply = ok(("Content-Encoding", "gzip"))
    found = failure(carry(bench.transfer(), [reply], [gzip.compress(PAGE)[:-9]]))
    assert found.kind is Kind.TRUNCATED
    assert bench.objects == bench.leftovers == []


def test_a_coded_body_is_stored_decoded_and_says_nothing_of_its_coding(bench: Bench) -> None:
    packed = brotli.compress(gzip.compress(PAGE))
    found = stored(carry(bench.transfer(), [ok(("Content-Encoding", "gzip, br"))], [packed]))
    assert bench.body == PAGE
    assert found.response.content_encoding is None
    assert found.sha256 == hashlib.sha256(PAGE).hexdigest()


def test_two_headers_of_codings_are_one_list(bench: Bench) -> None:
    headers = ("Content-Encoding", "gzip"), ("Content-Encoding", "br")
    carry(bench.transfer(), [ok(*headers)], [brotli.compress(gzip.compress(PAGE))])
    assert bench.body == PAGE


def test_an_unknown_coding_is_a_protocol_error(bench: Bench) -> None:
    found = failure(carry(bench.transfer(), [ok(("Content-Encoding", "zstd"))], [b"x"]))
    assert found.kind is Kind.PROTOCOL
    assert bench.leftovers == []


def test_raw_keeps_the_bytes_as_sent_and_records_their_coding(bench: Bench) -> None:
    packed = gzip.compress(PAGE)[:-9]
    transfer = bench.transfer(http=Http(raw=True))
    assert "accept-encoding" not in transfer.request.headers
    found = stored(carry(transfer, [ok(("Content-Encoding", "gzip"))], [packed]))
    assert bench.body == packed
    assert found.response.content_encoding == "gzip"


def test_what_is_asked_for_is_what_can_be_undone(bench: Bench) -> None:
    assert bench.transfer().request.headers["accept-encoding"] == "gzip, deflate, br, zstd"


# ---------------------------------------------------------------- sizes, types, time


def test_a_body_too_large_by_its_header_is_refused_before_a_byte_is_read(bench: Bench) -> None:
    transfer = bench.transfer(limits=Limits(max_size=10))
    with pytest.raises(TransferError) as caught:
        transfer.response(ok(("Content-Length", "11")))
    assert caught.value.kind is Kind.TOO_LARGE
    transfer.fail(caught.value)
    assert bench.leftovers == []


def test_a_body_too_large_while_it_streams_is_broken_off(bench: Bench) -> None:
    transfer = bench.transfer(limits=Limits(max_size=10))
    transfer.response(ok())
    transfer.data(b"1234567890")
    with pytest.raises(TransferError) as caught:
        transfer.data(b"1")
    assert caught.value.kind is Kind.TOO_LARGE
    transfer.fail(caught.value)
    assert bench.objects == bench.leftovers == []


def test_a_bomb_is_broken_off_before_it_fills_the_disk(bench: Bench) -> None:
    packed = gzip.compress(bytes(100_000_000))
    transfer = bench.transfer(limits=Limits(max_size=3_000_000))
    transfer.response(ok(("Content-Encoding", "gzip"), ("Content-Length", str(len(packed)))))
    with pytest.raises(TransferError) as caught:
        transfer.data(packed)
    assert caught.value.kind is Kind.TOO_LARGE
    assert sum(os.stat(path).st_size for path in bench.leftovers) <= 3_000_000
    transfer.fail(caught.value)
    assert bench.leftovers == []


BOMB = brotli.compress(bytes(40 * PIECE))
CODED = ok(("Content-Encoding", "br"), ("Content-Length", "99"), ("ETag", '"v1"'))


def test_a_bomb_whose_time_is_over_goes_off_no_further(bench: Bench) -> None:
    transfer = bench.transfer(limits=Limits(continue_above=0))
    transfer.response(CODED)
    transfer.deadline = time.monotonic()
    with pytest.raises(TransferError) as caught:
        transfer.data(BOMB)
    assert caught.value.kind is Kind.TIMEOUT
    assert sum(os.stat(path).st_size for path in bench.leftovers) <= PIECE
    transfer.fail(caught.value)
    assert transfer.completion is not None
    assert transfer.completion.partial is None  # the decoder has not come as far as the bytes
    assert bench.leftovers == []


@pytest.mark.parametrize("then", [b"", b"!"])
def test_a_bomb_that_is_to_be_taken_quickly_is_taken_by_and_by(bench: Bench, then: bytes) -> None:
    transfer = bench.transfer()
    packed = gzip.compress(bytes(40 * PIECE)) + gzip.compress(b"!")
    transfer.response(ok(("Content-Encoding", "gzip"), ("Content-Length", str(len(packed)))))
    first, rest = packed[:-5], packed[-5:]
    assert not transfer.data(first, quickly=True)
    assert sum(os.stat(path).st_size for path in bench.leftovers) <= 8 * PIECE
    if then:
        assert transfer.data(rest)
    else:
        assert not transfer.data(rest, quickly=True)
    transfer.finish()
    assert bench.body == bytes(40 * PIECE) + b"!"


@pytest.mark.parametrize("length", [(), (("Content-Length", "10"),)])
def test_a_body_of_exactly_the_largest_size_is_stored(bench: Bench, length: Headers) -> None:
    transfer = bench.transfer(limits=Limits(max_size=10))
    assert stored(carry(transfer, [ok(*length)], [b"1234567890"])).size == 10


def test_the_largest_size_is_meant_as_decoded(bench: Bench) -> None:
    packed = gzip.compress(b"1234567890")
    headers = ("Content-Encoding", "gzip"), ("Content-Length", str(len(packed)))
    assert len(packed) > 10
    stored(carry(bench.transfer(limits=Limits(max_size=10)), [ok(*headers)], [packed]))


@pytest.mark.parametrize(
    ("glob", "media_type", "fits"),
    [
        ("text/html", "text/html", True),
        ("text/html", "Text/HTML; charset=utf-8", True),
        ("TEXT/*", "text/plain", True),
        ("image/*", "text/html", False),
        ("text/html", "text/htmlx", False),
        ("text/*", None, False),
        ("*", None, True),
    ],
)
def test_the_expected_type_is_a_glob_over_the_media_type(
    bench: Bench, glob: str, media_type: str | None, fits: bool
) -> None:
    headers = [("Content-Type", media_type)] if media_type else []
    completion = carry(bench.transfer(http=Http(expect_type=glob)), [ok(*headers)], [PAGE])
    if fits:
        assert bench.body == PAGE
        return
    found = failure(completion)
    assert (found.kind, found.transient) == (Kind.UNEXPECTED_TYPE, False)
    assert bench.objects == bench.leftovers == []


def test_an_attempt_whose_time_is_over_ends_in_the_middle_of_its_body(bench: Bench) -> None:
    transfer = bench.transfer(limits=Limits(max_time=1e-9))
    transfer.response(ok())
    with pytest.raises(TransferError) as caught:
        transfer.data(b"a byte")
    assert caught.value.kind is Kind.TIMEOUT
    transfer.fail(caught.value)
    assert bench.objects == bench.leftovers == []


def test_an_attempt_whose_time_is_over_follows_no_redirect(bench: Bench) -> None:
    transfer = bench.transfer(limits=Limits(max_time=1e-9))
    assert failure(carry(transfer, [redirect("/b")])).kind is Kind.TIMEOUT


# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_kind_of_redirect_is_followed(bench: Bench, status: int) -> None:
    transfer = bench.transfer()
    assert transfer.response(redirect("/b", status)) is Next.HOP
    assert stored(carry(transfer, [ok()], [PAGE])).response.redirects == 1
    assert bench.objects == [KEY]


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/b?c", "http://host/b?c"),
        ("b", "http://host/dir/b"),
        ("../b", "http://host/b"),
        ("?q", "http://host/dir/page?q"),
        ("//other/x", "http://other/x"),
        ("https://other", "https://other/"),
        ("HTTP://OTHER:80/", "http://other/"),
        ("/b#fragment", "http://host/b"),
        ("\\b", "http://host/b"),
        ("http:\\\\other\\b", "http://other/b"),
        ("http://ex.com\\@evil.com/", "http://ex.com/@evil.com/"),
        ("/a b", "http://host/a%20b"),
        ("/%2e%2e/etc", "http://host/etc"),
        ("/caf\u00e9", "http://host/caf%C3%A9"),
        ("/caf\u00c3\u00a9", "http://host/caf%C3%A9"),  # UTF-8, as HTTP libraries hand it on
        ("//b\u00c3\u00bccher/", "http://xn--bcher-kva/"),
        ("  /b  ", "http://host/b"),
        ("/b\t", "http://host/b"),
    ],
)
def test_a_location_leads_where_a_browser_would_go(bench: Bench, location: str, url: str) -> None:
    assert hop_to(bench.transfer("http://host/dir/page"), location) == url


@pytest.mark.parametrize(
    "location",
    [
        "//[::1",
        "http://",
        "http://a b/",
        "ftp://host/",
        "file:///etc/passwd",
        "javascript:1",
        "data:,x",
        "mailto:a@b",
        "http://host:99999/",
        "//256.256.256.256/",
    ],
)
def test_a_location_that_leads_nowhere_is_a_protocol_error(bench: Bench, location: str) -> None:
    found = failure(carry(bench.transfer(), [redirect(location)]))
    assert (found.kind, found.transient) == (Kind.PROTOCOL, False)
    assert bench.leftovers == []


def test_a_hop_after_the_last_allowed_one_is_too_many(bench: Bench) -> None:
    allowed = bench.transfer(limits=Limits(max_redirects=2))
    stored(carry(allowed, [redirect("/1"), redirect("/2"), ok()], [PAGE]))
    found = failure(carry(bench.transfer(limits=Limits(max_redirects=2)), [redirect("/x")] * 3))
    assert (found.kind, found.transient) == (Kind.TOO_MANY_REDIRECTS, False)


def test_with_no_redirects_allowed_the_first_is_too_many(bench: Bench) -> None:
    transfer = bench.transfer(limits=Limits(max_redirects=0))
    assert failure(carry(transfer, [redirect("/x")])).kind is Kind.TOO_MANY_REDIRECTS


def test_a_loop_of_redirects_ends(bench: Bench) -> None:
    transfer = bench.transfer()
    found = failure(carry(transfer, [redirect("/page.html")] * 11))
    assert found.kind is Kind.TOO_MANY_REDIRECTS


def test_the_redirects_own_headers_are_not_the_pages(bench: Bench) -> None:
    hop = Reply(302, [("location", "/b"), ("etag", '"hop"'), ("content-encoding", "gzip")])
    found = stored(carry(bench.transfer(), [hop, ok()], [PAGE]))
    assert found.response.etag is None
    assert bench.body == PAGE


# ---------------------------------------------------------------- addresses


def guarded_after(bench: Bench, *hops: str | None) -> str:
    transfer = bench.transfer()
    for remote_ip in hops:
        transfer.response(redirect("/next", remote_ip=remote_ip))
    return transfer.request.guarded


def test_after_a_public_address_only_public_ones_may_follow(bench: Bench) -> None:
    assert not bench.transfer().request.guarded
    assert guarded_after(bench, PUBLIC)
    assert guarded_after(bench, "2606:2800:220:1::1")
    assert guarded_after(bench, PUBLIC, "127.0.0.1")
    assert guarded_after(bench, "127.0.0.1", PUBLIC)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fe80::1%lo", "169.254.1.1"])
def test_from_a_private_address_anything_may_follow(bench: Bench, address: str) -> None:
    assert not guarded_after(bench, address)


@pytest.mark.parametrize(
    ("host", "guarded"),
    [
        ("host", True),
        ("8.8.8.8", True),
        ("10.0.0.1", False),
        ("localhost", False),
        ("[::1]", False),
    ],
)
def test_what_was_asked_of_a_proxy_is_public_unless_its_name_says_otherwise(
    host: str, guarded: bool, bench: Bench
) -> None:
    transfer = bench.transfer(f"http://{host}/")
    transfer.response(redirect("/next", remote_ip=None))
    assert bool(transfer.request.guarded) == guarded


# ---------------------------------------------------------------- headers and secrets


def sent(transfer: Transfer) -> Mapping[str, str]:
    return transfer.request.headers


def test_the_defaults_are_modest(bench: Bench) -> None:
    assert sent(bench.transfer()) == {
        "user-agent": "scraper/1",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate, br, zstd",
    }


def test_the_more_particular_header_wins(bench: Bench) -> None:
    http = Http(headers=(("Accept", "text/html"), ("X-One", "run"), ("User-Agent", "mine")))
    found = sent(bench.transfer(http=http, headers={"x-one": "line"}))
    assert found["accept"] == "text/html"
    assert found["user-agent"] == "mine"
    assert found["x-one"] == "line"


SECRETS = ["Authorization", "Cookie", "X-Api-Key", "Proxy-Authorization", "X-Auth-Token", "Host"]
ELSEWHERE = [
    "//other/",
    "https://host/",
    "http://host:8080/",
    "//sub.host/",
    "//host.evil.example/",
]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("location", ELSEWHERE)
@pytest.mark.parametrize("per_line", [True, False])
def test_a_secret_header_is_not_sent_to_another_origin(
    bench: Bench, name: str, location: str, per_line: bool
) -> None:
    given = {name: "s3cret", "X-Plain": "yes"}
    http = Http() if per_line else Http(headers=tuple(given.items()))
    transfer = bench.transfer(http=http, headers=given if per_line else {})
    assert sent(transfer)[name.lower()] == "s3cret"
    hop_to(transfer, "/same/origin")
    assert sent(transfer)[name.lower()] == "s3cret"
    hop_to(transfer, location)
    assert name.lower() not in sent(transfer)
    assert sent(transfer)["x-plain"] == "yes"


def test_a_secret_is_sent_again_when_the_way_leads_home(bench: Bench) -> None:
    transfer = bench.transfer(headers={"Authorization": "s3cret"})
    hop_to(transfer, "//other/")
    hop_to(transfer, "//host/")
    assert sent(transfer)["authorization"] == "s3cret"


@pytest.mark.parametrize("location", ELSEWHERE)
def test_a_password_in_the_url_is_sent_home_only(bench: Bench, location: str) -> None:
    transfer = bench.transfer("http://me:p%40ss@host/page")
    assert sent(transfer)["authorization"] == urls.basic_authorization("me:p@ss")
    assert "@" not in transfer.request.url
    hop_to(transfer, "/same/origin")
    assert "authorization" in sent(transfer)
    hop_to(transfer, location)
    assert "authorization" not in sent(transfer)


@pytest.mark.parametrize("location", ELSEWHERE)
def test_a_password_from_netrc_goes_to_its_host_only(bench: Bench, location: str) -> None:
    transfer = bench.transfer(passwords={"host": "me:secret"})
    assert sent(transfer)["authorization"] == urls.basic_authorization("me:secret")
    hop_to(transfer, location)
    assert "authorization" not in sent(transfer)
    assert "authorization" not in sent(bench.transfer(passwords={"other": "me:secret"}))


def test_the_particular_password_wins(bench: Bench) -> None:
    passwords = {"host": "netrc:x"}
    found = sent(bench.transfer("http://url:x@host/", passwords=passwords))
    assert found["authorization"] == urls.basic_authorization("url:x")
    given = {"Authorization": "Bearer line"}
    found = sent(bench.transfer("http://url:x@host/", headers=given, passwords=passwords))
    assert found["authorization"] == "Bearer line"


def test_a_password_in_a_location_is_for_that_hop(bench: Bench) -> None:
    transfer = bench.transfer()
    assert hop_to(transfer, "http://you:there@other/x") == "http://other/x"
    assert sent(transfer)["authorization"] == urls.basic_authorization("you:there")
    hop_to(transfer, "//third/")
    assert "authorization" not in sent(transfer)


def test_no_secret_is_recorded(bench: Bench) -> None:
    transfer = bench.transfer("http://me:s3cret@host/?token=s3cret")
    location = "http://you:s3cret@other/?X-Amz-Signature=s3cret"
    found = stored(carry(transfer, [redirect(location), ok()], [PAGE]))
    assert "s3cret" not in repr(found)
    bad = carry(bench.transfer(), [redirect("ftp://you:s3cret@other/?token=s3cret")])
    assert "s3cret" not in repr(bad.outcome)
    broken = bench.transfer()
    broken.fail(TransferError(Kind.CONNECT, "no way to http://you:s3cret@other/?token=s3cret"))
    assert broken.completion is not None
    assert "s3cret" not in repr(broken.completion.outcome)


# ---------------------------------------------------------------- failing


def test_a_failure_keeps_what_the_engine_knew(bench: Bench) -> None:
    transfer = bench.transfer()
    transfer.fail(TransferError(Kind.DNS, "no such name", transient=False, unreachable=True))
    assert transfer.completion is not None
    assert failure(transfer.completion) == Failure(
        Kind.DNS, "no such name", transient=False, unreachable=True
    )


def test_a_host_that_redirected_is_not_unreachable_when_the_next_one_is(bench: Bench) -> None:
    transfer = bench.transfer()
    transfer.response(redirect("//dead/"))
    transfer.fail(TransferError(Kind.CONNECT, "refused", unreachable=True))
    assert transfer.completion is not None
    assert not failure(transfer.completion).unreachable
    assert failure(transfer.completion).http_code == 302


def test_a_connection_that_breaks_in_the_body_leaves_nothing(bench: Bench) -> None:
    transfer = bench.transfer()
    transfer.response(ok())
    transfer.data(PAGE)
    assert len(bench.leftovers) == 1
    transfer.fail(TransferError(Kind.TRUNCATED, "reset"))
    assert bench.objects == bench.leftovers == []


def test_what_is_abandoned_is_not_committed(bench: Bench) -> None:
    transfer = bench.transfer()
    transfer.response(ok())
    transfer.data(PAGE)
    transfer.abandon()
    with pytest.raises(TransferError) as caught:
        transfer.finish()
    assert caught.value.kind is Kind.INTERRUPTED
    transfer.fail(caught.value)
    assert bench.objects == bench.leftovers == []


def test_what_is_committed_stays_stored_whatever_comes_after(bench: Bench) -> None:
    transfer = bench.transfer()
    stored(carry(transfer, [ok()], [PAGE]))
    transfer.fail(TransferError(Kind.CONNECT, "while closing"))
    assert transfer.completion is not None
    stored(transfer.completion)


def test_an_earlier_object_survives_a_failed_attempt(bench: Bench) -> None:
    stored(carry(bench.transfer(), [ok()], [PAGE]))
    failure(carry(bench.transfer(), [ok(("Content-Length", "9"))], [b"short"]))
    assert bench.body == PAGE


class BrokenUpload:
    """An upload that fails where it is told to."""

    def __init__(self, error: Exception, where: str) -> None:
        self.error = error
        self.where = where
        self.aborted = False

    def write(self, chunk: bytes) -> None:
        if self.where == "write":
            raise self.error

    def commit(self, body: Body) -> Stored:
        if self.where == "commit":
            raise self.error
        return body.stored()

    def abort(self) -> None:
        self.aborted = True
        if self.where == "abort":
            raise self.error


class BrokenSink:
    """A sink that opens that upload, or can't."""

    def __init__(self, error: Exception, where: str) -> None:
        self.upload = BrokenUpload(error, where)

    def check(self) -> None:
        pass

    def open(self, key: str) -> BrokenUpload:
        if self.upload.where == "open":
            raise self.upload.error
        return self.upload

    def close(self) -> None:
        pass


def into(sink: BrokenSink) -> Transfer:
    target = Target("http://a/", "http://a/", "a", "a", 1, "list")
    return Transfer(Attempt(target, 0.0), Plan(Limits(), Http(), "x", {}), sink, time.monotonic())


@pytest.mark.parametrize("where", ["open", "write", "commit"])
def test_an_error_of_the_sink_is_told_as_its_own(where: str) -> None:
    sink = BrokenSink(SinkError("503 SlowDown", transient=True), where)
    completion = carry(into(sink), [ok()], [PAGE])
    assert (failure(completion).kind, failure(completion).transient) == (Kind.SINK, True)
    assert completion.error is None
    assert sink.upload.aborted == (where != "open")


@pytest.mark.parametrize("where", ["open", "write", "commit"])
def test_a_destination_that_is_gone_is_told_to_the_run(where: str) -> None:
    error = DestinationError("disk full")
    completion = carry(into(BrokenSink(error, where)), [ok()], [PAGE])
    assert completion.error is error
    assert (failure(completion).kind, failure(completion).transient) == (Kind.SINK, False)


def test_an_upload_that_can_not_even_be_aborted_still_ends() -> None:
    transfer = into(BrokenSink(RuntimeError("a bug"), "abort"))
    assert failure(carry(transfer, [ok(("Content-Length", "1"))])).kind is Kind.TRUNCATED
