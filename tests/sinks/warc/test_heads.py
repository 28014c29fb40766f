"""Heads as an archive keeps them: the bytes that came, but for framing and secrets."""

import pytest

from scraper.sinks.warc.heads import Head, carries_secret, protocols, request_head

STATUS = b"HTTP/1.1 200 OK\r\n"


def test_framing_is_replaced_and_all_else_stays_byte_for_byte() -> None:
    odd = (b"X:v\r\n", b"x-a: 1 \r\n", b"X-A:\t2\r\n", b"Caf\xe9: \xc3\xa9\r\n")
    lines = (STATUS, *odd, b"transfer-ENCODING: chunked\r\n", b" folded\r\n", b"Last: 1\r\n")
    head = Head(lines, secret=False)
    assert head.framed(7) == STATUS + b"".join(odd) + b"Last: 1\r\nContent-Length: 7\r\n\r\n"
    assert head.bare() == STATUS + b"".join(odd) + b"Last: 1\r\n\r\n"


def test_a_body_that_was_cut_off_says_how_long_it_was_to_be() -> None:
    head = Head((STATUS, b"content-length: 9\r\n"), secret=False)
    assert head.framed(9) == STATUS + b"content-length: 9\r\n\r\n"
    cut = b"Content-Length: 4\r\nX-Archive-Orig-Content-Length: 9\r\n\r\n"
    assert head.framed(4) == STATUS + cut


def test_no_secret_of_a_request_is_kept() -> None:
    fields = (
        *(("User-Agent", "t"), ("Authorization", "Basic c2VjcmV0"), ("Cookie", "s=secret")),
        *(("X-Api-Key", "secret"), ("Referer", "http://a.example/?token=secret&a=1")),
        ("Proxy-Authorization", "secret"),
    )
    head = request_head("http://h.example/p?sig=REDACTED", fields, "h.example:8080")
    assert head == (
        b"GET /p?sig=REDACTED HTTP/1.1\r\nHost: h.example:8080\r\nUser-Agent: t\r\n"
        b"Referer: http://a.example/?token=REDACTED&a=1\r\n\r\n"
    )
    assert carries_secret("http://h.example/p", fields)
    assert carries_secret("http://h.example/p", fields[4:5])  # the URL in its Referer
    assert carries_secret("http://h.example/p?sig=REDACTED", fields[:1])
    assert not carries_secret("http://h.example/p", fields[:1])


@pytest.mark.parametrize("secret", [False, True])
def test_a_response_keeps_cookies_unless_a_secret_led_to_them(secret: bool) -> None:
    lines = [STATUS, b"Location: /p?token=abc&a=1\r\n", b"Set-Cookie: s=abc; Path=/\r\n"]
    lines.append(b'Link: <http://h.example/?token=abc&a=1>; rel="next", </q?sig=abc>; rel=prev\r\n')
    head = Head((*lines, b"Location: http://u:abc@h.example/\r\n"), secret=secret).bare()
    link = b'Link: <http://h.example/?token=REDACTED&a=1>; rel="next", </q?sig=REDACTED>; rel=prev'
    assert link in head
    assert head.count(b"abc") == (0 if secret else 1)
    assert b"Location: /p?token=REDACTED&a=1\r\n" in head
    assert b"Location: http://REDACTED@h.example/\r\n" in head


def test_no_secret_hides_behind_a_fold() -> None:
    folded = (
        b"Set-Cookie: a=1;\r\n",
        b" s=abc\r\n",
        b"Location: http://h.example/\r\n",
        b"\t?token=abc\r\n",
    )
    head = Head((STATUS, *folded, b"Last: 1\r\n"), secret=True).bare()
    assert b"abc" not in head
    assert head.startswith(STATUS + b"Set-Cookie: REDACTED\r\nLocation: ")
    assert head.endswith(b"token=REDACTED\r\nLast: 1\r\n\r\n")


def test_bare_line_feeds_become_line_ends_that_all_readers_know() -> None:
    head = Head(
        (b"HTTP/1.1 200 OK\n", b"A: 1\n", b"Content-Length: 2\n", b"B: 2\r\n"), secret=False
    )
    assert head.framed(2) == STATUS + b"A: 1\r\nB: 2\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize(
    ("line", "tls", "told"),
    [
        (b"HTTP/2 200\r\n", "TLSv1.3", ["h2", "tls/1.3"]),
        (b"HTTP/1.0 200 OK\r\n", None, ["http/1.0"]),
        (b"HTTP/3 200\r\n", "TLSv1.2", ["h3", "tls/1.2"]),
    ],
)
def test_protocols_have_the_names_of_the_proposed_field(
    line: bytes, tls: str | None, told: list[str]
) -> None:
    assert list(protocols(line, tls)) == told
