"""Results of every kind, for tests of who receives them."""

from hypothesis import strategies as st

from scraper.model.errors import Kind
from scraper.model.expected import Expected
from scraper.model.records import (
    Deferred,
    Duplicate,
    Failed,
    Failure,
    NotModified,
    NotReached,
    Outcome,
    Response,
    Result,
    Skipped,
    Stored,
    Target,
    Times,
)

MOMENT = 1_774_428_330.25  # 2026-03-25T08:45:30.250Z
URL = "http://example.com/a.html"
TARGET = Target(URL, URL, "example.com", "example.com_http/a.html", 7, "urls.txt")
NO_TARGET = Target("nonsense", "", "", "", 8, "urls.txt")
TIMES = Times(started=MOMENT, connect=0.0, starttransfer=0.125, total=0.5, queue=3.0)
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
RESPONSE = Response(
    http_code=200,
    url_effective="http://example.com/b.html",
    content_type="text/html; charset=utf-8",
    etag='"abc"',
    last_modified="Wed, 21 Oct 2015 07:28:00 GMT",
    remote_ip="127.0.0.1",
    redirects=1,
    x_robots_tag="noarchive",
)
BARE = Response(http_code=200, url_effective=URL)  # what is known of the least that a server says
GONE = Failure(Kind.HTTP_STATUS, "HTTP 404", http_code=404)
BUSY = Failure(Kind.HTTP_STATUS, "HTTP 429", http_code=429, retry_after_s=9000.0)
REFUSED = Failure(Kind.CONNECT, "can't connect: Connection refused", unreachable=True)
UNFINISHED = Failure(Kind.INTERRUPTED, "not finished: SIGINT", transient=False)

STORED = Result(TARGET, Stored(RESPONSE, 1234, SHA256), 1, TIMES)
NOT_MODIFIED = Result(TARGET, NotModified(Response(304, URL, etag='"abc"')), 2, TIMES)
SKIPPED = Result(TARGET, Skipped("stored by an earlier run"))
DUPLICATE = Result(TARGET, Duplicate(of_line=3))
DEFERRED = Result(TARGET, Deferred(BUSY, Response(429, URL)), 2, TIMES)
DEFERRED_UNASKED = Result(TARGET, Deferred(BUSY))
FAILED = Result(TARGET, Failed(GONE, Response(404, URL, content_type="text/plain")), 1, TIMES)
UNREACHED = Result(TARGET, Failed(REFUSED), 4, Times(started=MOMENT, total=0.5, queue=3.0))
BAD_LINE = Result(NO_TARGET, Failed(Failure(Kind.BAD_URL, "no scheme", transient=False)))
UNSTARTED = Result(TARGET, NotReached(UNFINISHED))
BROKEN_OFF = Result(TARGET, NotReached(UNFINISHED), 1, Times(total=9.0))

EVERY_RESULT = {
    "stored": STORED,
    "stored, little known": Result(TARGET, Stored(BARE, 0, SHA256), 1),
    "not modified": NOT_MODIFIED,
    "skipped": SKIPPED,
    "duplicate": DUPLICATE,
    "deferred": DEFERRED,
    "deferred unasked": DEFERRED_UNASKED,
    "failed": FAILED,
    "failed to connect": UNREACHED,
    "no target": BAD_LINE,
    "never started": UNSTARTED,
    "broken off": BROKEN_OFF,
}


def any_result() -> st.SearchStrategy[Result]:
    """Whatever can be built, with texts that nobody has cleaned."""
    text = st.text(st.characters(), max_size=20)  # lone surrogates too
    seconds = st.floats(0, 1e9)
    maybe = st.none() | text
    responses = st.builds(
        Response, st.integers(100, 999), text, maybe, maybe, maybe, maybe, maybe, st.integers(0, 10)
    )
    failures = st.builds(Failure, st.sampled_from(Kind), text)
    outcomes: st.SearchStrategy[Outcome] = st.one_of(
        st.builds(Stored, responses, st.integers(0, 1 << 50), st.just(SHA256)),
        st.builds(NotModified, responses),
        st.builds(Skipped, text),
        st.builds(Duplicate, st.integers(1, 1 << 40)),
        st.builds(Deferred, failures, st.none() | responses),
        st.builds(Failed, failures, st.none() | responses),
        st.builds(NotReached, failures, st.none() | responses),
    )
    durations = st.none() | seconds
    times = st.builds(Times, durations, durations, durations, durations, durations)
    expected = st.none() | st.just(Expected(1234, (("sha256", SHA256),)))
    targets = st.builds(
        Target, text, text, text, text, st.integers(0, 1 << 40), text, expected=expected
    )
    return st.builds(Result, targets, outcomes, st.integers(0, 1000), times)
