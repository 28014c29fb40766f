"""Redirects: where they lead, how many are followed, and what the next hop may connect to."""

import pytest

from scraper.model import urls
from scraper.model.errors import Kind, TransferError
from scraper.transfer.exchange import Reply
from scraper.transfer.redirects import Hop, follow, is_redirect

PUBLIC, PRIVATE = "93.184.216.34", "127.0.0.1"
START = Hop(urls.canonical("http://host/a/b?c"))


def redirect(location: str = "/next", status: int = 302, remote_ip: str | None = PRIVATE) -> Reply:
    return Reply(status, [("location", location)], remote_ip)


def refused(hop: Hop, reply: Reply, max_redirects: int = 10) -> TransferError:
    with pytest.raises(TransferError) as caught:
        follow(hop, reply, max_redirects)
    assert caught.value.transient is False
    return caught.value


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_has_a_location(status: int) -> None:
    assert is_redirect(redirect(status=status))
    assert not is_redirect(Reply(status, []))


@pytest.mark.parametrize("status", [200, 201, 300, 304, 305, 306, 400, 503])
def test_a_location_alone_is_no_redirect(status: int) -> None:
    assert not is_redirect(redirect(status=status))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/next", "http://host/next"),
        ("next", "http://host/a/next"),
        ("?d", "http://host/a/b?d"),
        ("#part", "http://host/a/b?c"),
        ("//other/x", "http://other/x"),
        ("https://other:8443/x", "https://other:8443/x"),
        ("/\u00c3\u00a9", "http://host/%C3%A9"),  # UTF-8, which HTTP reads as Latin-1
    ],
)
def test_a_location_is_resolved_as_a_browser_does_it(location: str, expected: str) -> None:
    hop = follow(START, redirect(location), 10)
    assert (hop.url.href, hop.redirects) == (expected, 1)


def test_the_first_of_several_locations_counts() -> None:
    reply = Reply(302, [("location", "/first"), ("location", "/second")], PRIVATE)
    assert follow(START, reply, 10).url.href == "http://host/first"


@pytest.mark.parametrize("most", [0, 1, 10])
def test_so_many_are_followed_and_no_more(most: int) -> None:
    hop = START
    for number in range(most):
        hop = follow(hop, redirect(f"/{number}"), most)
    error = refused(hop, redirect(), most)
    assert (error.kind, error.message) == (Kind.TOO_MANY_REDIRECTS, f"more than {most} redirects")


@pytest.mark.parametrize("location", ["ftp://host/", "javascript:alert(1)", "//[::1", "http://"])
def test_a_location_that_is_no_url_of_ours_is_a_failure(location: str) -> None:
    assert refused(START, redirect(location)).kind is Kind.PROTOCOL


def test_a_message_shows_no_secret_of_the_location() -> None:
    location = "ftp://me:hunter2@host/?token=hunter2&" + "x" * 1000
    error = refused(START, redirect(location))
    assert "hunter2" not in error.message
    assert len(error.message) < 300


def test_what_is_forbidden_is_not_followed() -> None:
    asked: list[str] = []

    def forbids(href: str) -> str | None:
        asked.append(href)
        return "robots.txt says no" if "private" in href else None

    assert follow(START, redirect("/open"), 10, forbids).url.href == "http://host/open"
    with pytest.raises(
        TransferError, match=r"robots.txt says no: redirect to .*REDACTED"
    ) as caught:
        follow(START, redirect("/private?token=x"), 10, forbids)
    assert (caught.value.kind, caught.value.transient) == (Kind.ROBOTS, False)
    assert asked == ["http://host/open", "http://host/private?token=x"]


@pytest.mark.parametrize(
    ("href", "remote_ip", "guarded"),
    [
        ("http://host/", PUBLIC, "redirected from a public address"),
        ("http://host/", PRIVATE, ""),
        ("http://host/", None, "redirected through a proxy"),
        ("http://localhost/", None, ""),
        ("http://10.0.0.1/", None, ""),
    ],
)
def test_a_public_server_must_not_lead_into_a_private_network(
    href: str, remote_ip: str | None, guarded: str
) -> None:
    hop = follow(Hop(urls.canonical(href)), redirect(remote_ip=remote_ip), 10)
    assert hop.guarded == guarded


def test_a_hop_that_is_guarded_stays_so_with_its_first_reason() -> None:
    hop = follow(START, redirect(remote_ip=PUBLIC), 10)
    for remote_ip in (PRIVATE, None):
        hop = follow(hop, redirect(remote_ip=remote_ip), 10)
        assert hop.guarded == "redirected from a public address"
    start = START._replace(guarded="--public-only")
    assert follow(start, redirect(remote_ip=PUBLIC), 10).guarded == "--public-only"
