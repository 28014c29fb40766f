"""One attempt that knows something: validators it asks with, and bodies it goes on with."""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from scraper.model import urls
from scraper.model.errors import Kind, SinkError, TransferError
from scraper.model.records import Attempt, NotModified, PreviousRecord, Target
from scraper.model.settings import Http, Limits
from scraper.sinks.directory.sink import DirectorySink
from scraper.testing import store
from scraper.transfer.completion import Completion
from scraper.transfer.exchange import Next, Reply
from scraper.transfer.partial import Partial
from scraper.transfer.plan import Plan
from scraper.transfer.transfer import Transfer
from tests.transfer.test_transfer import carry, failure, hop_to, ok, redirect, sent, stored

KEY = "host/page.html"
URL = "http://host/page.html"
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
OLD = b"an older body"
BODY = Random(1).randbytes(1000)
KNOWN = PreviousRecord(True, len(OLD), '"v1"', DATE, variant="plain")
NOT_MODIFIED = ok(status=304)
SIZED = ("Content-Length", str(len(BODY)))
TAGGED = ("ETag", '"v1"')


class Place:
    """A directory, and attempts to fill it."""

    def __init__(self, root: Path) -> None:
        self.sink = DirectorySink(root)
        self.sink.check()

    def attempt(
        self,
        previous: PreviousRecord | None = None,
        partial: Partial | None = None,
        *,
        limits: Limits | None = None,
        http: Http | None = None,
        headers: Mapping[str, str] | None = None,
        readable: bool = True,
    ) -> Transfer:
        target = Target(URL, URL, "host", KEY, 1, "list", headers or {})
        limits = limits or Limits(continue_above=100)
        plan = Plan(limits, http or Http(), "scraper/1", {}, self.sink if readable else None)
        return Transfer(Attempt(target, 0.0, previous=previous), plan, self.sink, 1e12, partial)

    def cut(self, *headers: tuple[str, str], limits: Limits | None = None) -> Partial:
        """What an attempt leaves whose body broke off."""
        transfer = self.attempt(limits=limits)
        transfer.response(ok(*(headers or (SIZED, TAGGED))))
        transfer.data(BODY[:400])
        return kept(broken(transfer))

    @property
    def body(self) -> bytes:
        return (self.sink.root / KEY).read_bytes()

    @property
    def temporary(self) -> list[bytes]:
        """What temporary files hold."""
        found = (self.sink.root / ".scraper").rglob("*")
        return [path.read_bytes() for path in found if path.is_file() and path.name != "lock"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.sink.close()


def broken(transfer: Transfer, kind: Kind = Kind.TRUNCATED) -> Completion:
    """The end of an attempt whose connection broke."""
    transfer.fail(TransferError(kind, "it broke"))
    assert transfer.completion is not None
    return transfer.completion


def kept(completion: Completion) -> Partial:
    assert completion.partial is not None, completion
    return completion.partial


def rest(start: int = 400, *headers: tuple[str, str], body: bytes = BODY) -> Reply:
    """The 206 that a good server sends."""
    return ok(*_of(start, body), *(headers or (TAGGED,)), status=206)


def _of(start: int, body: bytes = BODY) -> list[tuple[str, str]]:
    return [("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")]


# ---------------------------------------------------------------- asking with validators


@pytest.mark.parametrize(
    ("previous", "asked"),
    [
        (None, {}),
        (PreviousRecord(True, 5), {}),
        (PreviousRecord(True, 5, '"v1"'), {"if-none-match": '"v1"'}),
        (PreviousRecord(True, 5, None, DATE), {"if-modified-since": DATE}),
        (
            PreviousRecord(False, 5, 'W/"v1"', DATE),
            {"if-none-match": 'W/"v1"', "if-modified-since": DATE},
        ),
        (PreviousRecord(True, 5, "", ""), {}),
    ],
)
def test_every_validator_that_is_known_is_sent(
    previous: PreviousRecord | None, asked: dict[str, str], place: Place
) -> None:
    previous = previous and previous._replace(variant="plain")
    conditions = {k: v for k, v in sent(place.attempt(previous)).items() if k.startswith("if-")}
    assert conditions == asked


def test_what_is_not_modified_is_not_touched(place: Place) -> None:
    store(place.sink, KEY, OLD)
    before = (place.sink.root / KEY).stat()
    completion = carry(place.attempt(KNOWN), [ok(TAGGED, status=304)])
    assert isinstance(completion.outcome, NotModified)
    assert completion.outcome.response.http_code == 304
    assert (place.sink.root / KEY).stat() == before
    assert place.temporary == []


def test_what_has_changed_is_stored_anew(place: Place) -> None:
    store(place.sink, KEY, OLD)
    found = stored(carry(place.attempt(KNOWN), [ok(("ETag", '"v2"'))], [BODY]))
    assert (place.body, found.response.etag) == (BODY, '"v2"')


@pytest.mark.parametrize("there", [None, b"", b"another len"])
def test_an_object_that_is_gone_or_of_another_size_is_asked_for_in_full(
    there: bytes | None, place: Place
) -> None:
    if there is not None:
        store(place.sink, KEY, there)
    transfer = place.attempt(KNOWN)
    assert transfer.response(NOT_MODIFIED) is Next.READ
    assert transfer.finish() is Next.HOP
    assert not any(name.startswith("if-") for name in sent(transfer))
    assert transfer.request.url == URL
    stored(carry(transfer, [ok()], [BODY]))
    assert place.body == BODY


def test_a_304_for_an_object_that_is_gone_again_and_again_is_a_failure(place: Place) -> None:
    transfer = place.attempt(KNOWN)
    transfer.response(NOT_MODIFIED)
    transfer.finish()
    found = failure(carry(transfer, [NOT_MODIFIED]))
    assert (found.kind, found.transient) == (Kind.PROTOCOL, False)


def test_an_object_that_is_gone_is_asked_for_where_the_304_came_from(place: Place) -> None:
    transfer = place.attempt(KNOWN._replace(effective=urls.fingerprint("http://host/b")))
    hop_to(transfer, "/b")
    transfer.response(NOT_MODIFIED)
    assert transfer.finish() is Next.HOP
    assert transfer.request.url == "http://host/b"
    assert stored(carry(transfer, [ok()], [BODY])).response.redirects == 1


def test_a_sink_that_can_not_be_asked_is_trusted(place: Place) -> None:
    completion = carry(place.attempt(KNOWN, readable=False), [NOT_MODIFIED])
    assert isinstance(completion.outcome, NotModified)


class NoAnswer:
    """A readable sink that can't say what it holds."""

    near = True
    reach = read = keys = remove = None

    def size(self, key: str) -> int:
        raise SinkError("503 SlowDown", transient=True)


def test_a_sink_that_can_not_answer_now_is_asked_in_another_attempt(place: Place) -> None:
    transfer = place.attempt(KNOWN)
    transfer._plan = replace(transfer._plan, readable=NoAnswer())  # type: ignore[arg-type]
    found = failure(carry(transfer, [NOT_MODIFIED]))
    assert (found.kind, found.transient) == (Kind.SINK, True)


@pytest.mark.parametrize(
    "previous",
    [None, PreviousRecord(True, 5), KNOWN._replace(effective=1)],
    ids=["none", "bare", "elsewhere"],
)
def test_a_304_that_nobody_asked_for_is_a_failure(
    previous: PreviousRecord | None, place: Place
) -> None:
    store(place.sink, KEY, OLD)
    found = failure(carry(place.attempt(previous), [NOT_MODIFIED]))
    assert (found.kind, found.transient) == (Kind.PROTOCOL, False)
    assert place.body == OLD


def test_validators_are_not_sent_where_a_redirect_leads(place: Place) -> None:
    transfer = place.attempt(KNOWN)
    for location in ("/elsewhere", "http://other/page.html", "https://host/page.html", URL):
        hop_to(transfer, location)
        assert not any(name.startswith("if-") for name in sent(transfer)), location


def test_validators_are_sent_to_the_url_that_they_came_from(place: Place) -> None:
    transfer = place.attempt(KNOWN._replace(effective=urls.fingerprint("https://other/b")))
    assert not any(name.startswith("if-") for name in sent(transfer))
    hop_to(transfer, "http://other/b")
    assert not any(name.startswith("if-") for name in sent(transfer))
    hop_to(transfer, "https://other/b")
    assert sent(transfer)["if-none-match"] == '"v1"'
    assert sent(transfer)["if-modified-since"] == DATE


def test_a_signature_of_today_does_not_make_it_another_url(place: Place) -> None:
    shown = urls.redact("https://other/b?X-Amz-Signature=yesterday")
    transfer = place.attempt(KNOWN._replace(effective=urls.fingerprint(shown)))
    hop_to(transfer, "https://other/b?X-Amz-Signature=today")
    assert sent(transfer)["if-none-match"] == '"v1"'


@pytest.mark.parametrize("name", ["If-None-Match", "If-Modified-Since", "IF-MATCH", "Range"])
@pytest.mark.parametrize("per_line", [True, False])
def test_what_the_user_asks_with_is_all_that_is_asked_with(
    name: str, per_line: bool, place: Place
) -> None:
    http = Http() if per_line else Http(headers=((name, "mine"),))
    transfer = place.attempt(KNOWN, http=http, headers={name: "mine"} if per_line else {})
    asked = {k: v for k, v in sent(transfer).items() if k.startswith("if-") or k == "range"}
    assert asked == {name.lower(): "mine"}


def test_a_304_to_the_users_own_condition_needs_no_object(place: Place) -> None:
    http = Http(headers=(("If-None-Match", '"mine"'),))
    completion = carry(place.attempt(KNOWN, http=http), [NOT_MODIFIED])
    assert isinstance(completion.outcome, NotModified)


def test_a_failure_keeps_the_object_that_is_there(place: Place) -> None:
    store(place.sink, KEY, OLD)
    failure(carry(place.attempt(KNOWN), [ok(SIZED, status=500)]))
    failure(carry(place.attempt(KNOWN), [ok(SIZED)], [BODY[:10]]))
    assert place.body == OLD


# ---------------------------------------------------------------- what is kept


def test_a_body_that_broke_off_is_kept_with_all_that_is_known_of_it(place: Place) -> None:
    partial = place.cut(SIZED, TAGGED, ("Content-Type", "text/html"))
    assert (partial.range.url, partial.range.validator) == (URL, '"v1"')
    assert (partial.body.received, partial.body.size, partial.body.expected) == (400, 400, 1000)
    assert partial.body.response.content_type == "text/html"
    assert place.temporary == [BODY[:400]]


@pytest.mark.parametrize("kind", [Kind.TRUNCATED, Kind.TIMEOUT, Kind.CONNECT])
def test_a_body_is_kept_when_its_connection_fails(kind: Kind, place: Place) -> None:
    transfer = place.attempt()
    transfer.response(ok(SIZED, TAGGED))
    transfer.data(BODY[:400])
    kept(broken(transfer, kind))


def let_go(place: Place, transfer: Transfer, error: Exception | None = None) -> None:
    """End it, and see that nothing is kept."""
    transfer.fail(error or TransferError(Kind.TRUNCATED, "it broke"))  # type: ignore[arg-type]
    assert transfer.completion is not None
    assert transfer.completion.partial is None
    assert place.temporary == []


@pytest.mark.parametrize(
    "error",
    [
        SinkError("503 SlowDown", transient=True),
        TransferError(Kind.PROTOCOL, "body is not gzip", transient=False),
        TransferError(Kind.TOO_LARGE, "longer than --max-size", transient=False),
        TransferError(Kind.INTERRUPTED, "given up"),
        TransferError(Kind.TRUNCATED, "and never will be whole", transient=False),
    ],
    ids=str,
)
def test_a_body_that_failed_otherwise_is_not_kept(error: TransferError, place: Place) -> None:
    transfer = place.attempt()
    transfer.response(ok(SIZED, TAGGED))
    transfer.data(BODY[:400])
    let_go(place, transfer, error)


@pytest.mark.parametrize(
    "headers",
    [
        [SIZED],
        [SIZED, ("ETag", 'W/"v1"')],
        [SIZED, ("ETag", "v1")],
        [SIZED, ("Last-Modified", DATE)],
        [SIZED, ("Last-Modified", DATE), ("Date", DATE)],
        [TAGGED, ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")],
    ],
    ids=["none", "weak", "no tag", "no date", "of that second", "made on the fly"],
)
def test_a_body_that_can_not_be_known_again_is_not_kept(
    headers: Sequence[tuple[str, str]], place: Place
) -> None:
    transfer = place.attempt(http=Http(raw=True))
    transfer.response(ok(*headers))
    transfer.data(BODY[:400])
    let_go(place, transfer)


@pytest.mark.parametrize("status", [201, 203, 299])
def test_only_the_body_of_a_200_is_kept(status: int, place: Place) -> None:
    transfer = place.attempt()
    transfer.response(ok(SIZED, TAGGED, status=status))
    transfer.data(BODY[:400])
    let_go(place, transfer)


@pytest.mark.parametrize(("received", "limit"), [(99, 100), (400, 401), (0, 0)])
def test_a_body_that_is_short_is_begun_anew(received: int, limit: int, place: Place) -> None:
    transfer = place.attempt(limits=Limits(continue_above=limit))
    transfer.response(ok(SIZED, TAGGED))
    if received:
        transfer.data(BODY[:received])
    let_go(place, transfer)


@pytest.mark.parametrize(("received", "limit"), [(100, 100), (1, 0), (1, 1)])
def test_a_body_that_is_as_long_as_asked_is_kept(received: int, limit: int, place: Place) -> None:
    transfer = place.attempt(limits=Limits(continue_above=limit))
    transfer.response(ok(SIZED, TAGGED))
    transfer.data(BODY[:received])
    kept(broken(transfer))


def test_what_was_given_up_by_the_run_is_not_kept(place: Place) -> None:
    transfer = place.attempt()
    transfer.response(ok(SIZED, TAGGED))
    transfer.data(BODY[:400])
    transfer.abandon()
    let_go(place, transfer)


def test_a_body_longer_than_it_said_is_not_kept(place: Place) -> None:
    transfer = place.attempt()
    transfer.response(ok(("Content-Length", "300"), TAGGED))
    transfer.data(BODY[:400])
    let_go(place, transfer)


# ---------------------------------------------------------------- going on


def test_the_rest_of_a_body_is_asked_for_and_joined(place: Place) -> None:
    transfer = place.attempt(partial=place.cut(SIZED, TAGGED, ("Content-Type", "text/html")))
    assert sent(transfer)["range"] == "bytes=400-"
    assert sent(transfer)["if-range"] == '"v1"'
    found = stored(carry(transfer, [rest()], [BODY[400:700], BODY[700:]]))
    assert place.body == BODY
    assert (found.size, found.sha256) == (1000, sha256(BODY).hexdigest())
    assert found.response.http_code == 200, "with what came before it is complete"
    assert (found.response.content_type, found.response.etag) == ("text/html", '"v1"')
    assert place.temporary == []


def test_a_body_may_be_cut_off_again_and_again(place: Place) -> None:
    partial = place.cut()
    for received in (401, 600, 600, 999):
        transfer = place.attempt(partial=partial)
        assert sent(transfer)["range"] == f"bytes={partial.body.received}-"
        if received > partial.body.received:
            assert transfer.response(rest(partial.body.received)) is Next.READ
            transfer.data(BODY[partial.body.received : received])
        partial = kept(broken(transfer))
        assert (partial.body.received, partial.body.size) == (received, received)
    stored(carry(place.attempt(partial=partial), [rest(999)], [BODY[999:]]))
    assert place.body == BODY


def test_the_rest_of_a_coded_body_is_decoded_with_what_came_before(place: Place) -> None:
    packed = gzip.compress(BODY)
    coded = (("Content-Encoding", "gzip"), ("Content-Length", str(len(packed))), TAGGED)
    transfer = place.attempt()
    transfer.response(ok(*coded))
    transfer.data(packed[:500])
    partial = kept(broken(transfer))
    assert partial.body.received == 500
    assert partial.body.size == len(place.temporary[0])
    transfer = place.attempt(partial=partial)
    assert sent(transfer)["range"] == "bytes=500-"
    transfer.response(rest(500, TAGGED, body=packed))
    transfer.data(packed[500:600])
    partial = kept(broken(transfer))
    assert (partial.body.received, partial.body.coding) == (600, "gzip")
    transfer = place.attempt(partial=partial)
    found = stored(carry(transfer, [rest(600, TAGGED, body=packed)], [packed[600:]]))
    assert place.body == BODY
    assert (found.size, found.sha256) == (1000, sha256(BODY).hexdigest())


def test_a_body_of_unknown_length_goes_on_when_its_rest_says_how_long_it_is(place: Place) -> None:
    partial = place.cut(TAGGED, ("Transfer-Encoding", "chunked"))
    stored(carry(place.attempt(partial=partial), [rest()], [BODY[400:]]))
    assert place.body == BODY


@pytest.mark.parametrize("end", [999, 401])
def test_a_rest_that_ends_early_is_no_whole_body(end: int, place: Place) -> None:
    partial = place.cut(TAGGED, ("Transfer-Encoding", "chunked"))
    completion = carry(place.attempt(partial=partial), [rest()], [BODY[400:end]])
    assert failure(completion).kind is Kind.TRUNCATED
    assert kept(completion).body.received == end
    assert not (place.sink.root / KEY).exists()


def test_a_rest_that_is_too_long_is_begun_anew(place: Place) -> None:
    completion = carry(place.attempt(partial=place.cut()), [rest()], [BODY])
    assert failure(completion).kind is Kind.TRUNCATED
    assert completion.partial is None
    assert place.temporary == []


def test_the_largest_size_is_meant_of_the_whole_body(place: Place) -> None:
    limits = Limits(max_size=999, continue_above=100)
    partial = place.cut(TAGGED, ("Transfer-Encoding", "chunked"), limits=limits)
    completion = carry(place.attempt(partial=partial, limits=limits), [rest()], [BODY[400:]])
    assert failure(completion).kind is Kind.TOO_LARGE
    assert completion.partial is None
    assert place.temporary == []


def test_a_body_that_has_changed_comes_whole_and_takes_the_place_of_the_part(place: Place) -> None:
    changed = b"shorter"
    transfer = place.attempt(partial=place.cut())
    found = stored(carry(transfer, [ok(("ETag", '"v2"'))], [changed]))
    assert place.body == changed
    assert (found.size, found.sha256) == (7, sha256(changed).hexdigest())
    assert place.temporary == []


@pytest.mark.parametrize(
    "reply",
    [
        rest(0),
        rest(399),
        rest(400, ("ETag", '"v2"')),
        rest(400, ("ETag", 'W/"v1"')),
        rest(400, ("Last-Modified", DATE)),
        rest(400, TAGGED, ("Content-Encoding", "gzip")),
        ok(TAGGED, ("Content-Type", "multipart/byteranges; boundary=x"), status=206),
        ok(TAGGED, ("Content-Range", "bytes 400-499/1000"), status=206),
        ok(TAGGED, status=206),
        ok(("Content-Range", "bytes */1000"), status=416),
        ok(status=416),
    ],
    ids=lambda reply: f"{reply.status} {reply.get('content-range')} {reply.get('etag')}",
)
def test_what_is_not_the_rest_makes_it_ask_for_everything_at_once(
    reply: Reply, place: Place
) -> None:
    transfer = place.attempt(partial=place.cut())
    assert transfer.response(reply) is Next.HOP
    assert not sent(transfer).keys() & {"range", "if-range"}
    assert place.temporary == [], "the part is gone"
    stored(carry(transfer, [ok(SIZED, TAGGED)], [BODY]))
    assert place.body == BODY


@pytest.mark.parametrize("status", [206, 416])
def test_a_server_that_sends_a_part_to_who_asks_for_all_is_a_failure(
    status: int, place: Place
) -> None:
    transfer = place.attempt(partial=place.cut())
    completion = carry(transfer, [rest(0), ok(*_of(0), TAGGED, status=status)], [BODY])
    assert isinstance(failure(completion).kind, Kind)
    assert not (place.sink.root / KEY).exists()
    assert place.temporary == []


def test_a_part_that_nobody_asked_for_is_a_failure(place: Place) -> None:
    found = failure(carry(place.attempt(), [rest(0)], [BODY]))
    assert (found.kind, found.transient) == (Kind.PROTOCOL, False)


def test_a_part_that_the_user_asked_for_is_stored(place: Place) -> None:
    transfer = place.attempt(headers={"Range": "bytes=400-"})
    stored(carry(transfer, [rest()], [BODY[400:]]))
    assert place.body == BODY[400:]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_refusal_in_between_keeps_what_is_there(status: int, place: Place) -> None:
    transfer = place.attempt(partial=place.cut())
    completion = carry(transfer, [ok(status=status)])
    assert failure(completion).http_code == status
    assert kept(completion).body.received == 400
    stored(carry(place.attempt(partial=kept(completion)), [rest()], [BODY[400:]]))
    assert place.body == BODY


@pytest.mark.parametrize(
    "error",
    [
        TransferError(Kind.CONNECT, "refused", unreachable=True),
        TransferError(Kind.PROXY, "refused", transient=True, proxy="p:1"),
    ],
)
def test_a_connection_that_is_never_made_keeps_what_is_there(
    error: TransferError, place: Place
) -> None:
    transfer = place.attempt(partial=place.cut())
    transfer.fail(error)
    assert transfer.completion is not None
    assert kept(transfer.completion).body.received == 400


def test_only_who_sent_the_part_is_asked_for_the_rest(place: Place) -> None:
    transfer = place.attempt()
    hop_to(transfer, "/big")
    transfer.response(ok(SIZED, TAGGED))
    transfer.data(BODY[:400])
    partial = kept(broken(transfer))
    assert partial.range.url == "http://host/big"
    transfer = place.attempt(KNOWN, partial)
    asked = {"range", "if-range", "if-none-match", "if-modified-since"}
    assert not sent(transfer).keys() & asked
    hop_to(transfer, "/big")
    assert sent(transfer).keys() & asked == {"range", "if-range"}
    found = stored(carry(transfer, [rest()], [BODY[400:]]))
    assert place.body == BODY
    assert (found.response.redirects, found.response.url_effective) == (1, "http://host/big")


def test_a_body_from_elsewhere_is_not_joined_to_the_part(place: Place) -> None:
    transfer = place.attempt(partial=place.cut())
    stored(carry(transfer, [redirect("/other"), ok(SIZED, TAGGED)], [BODY]))
    assert place.body == BODY
    assert place.temporary == []


def test_a_part_from_elsewhere_is_not_joined_to_the_part(place: Place) -> None:
    transfer = place.attempt(partial=place.cut())
    failure(carry(transfer, [redirect("/other"), rest()], [BODY[400:]]))
    assert place.temporary == []


def test_a_304_while_the_rest_was_asked_for_leaves_nothing_behind(place: Place) -> None:
    completion = carry(place.attempt(KNOWN, place.cut()), [NOT_MODIFIED])
    assert failure(completion).kind is Kind.PROTOCOL
    assert completion.partial is None
    assert place.temporary == []


def test_a_part_that_is_given_up_by_the_run_is_let_go(place: Place) -> None:
    transfer = place.attempt(partial=place.cut())
    transfer.abandon()
    let_go(place, transfer)
