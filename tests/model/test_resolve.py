"""The texts of --resolve."""

import pytest

from scraper.model.errors import UsageError
from scraper.model.resolve import entries
from scraper.model.settings import Settings


@pytest.mark.parametrize(
    ("text", "host", "port", "addresses"),
    [
        ("host.example:80:127.0.0.1", "host.example", 80, ("127.0.0.1",)),
        ("HOST.example:80:127.0.0.1", "host.example", 80, ("127.0.0.1",)),
        ("+host.example:80:127.0.0.1", "host.example", 80, ("127.0.0.1",)),
        ("b\u00fccher.example:80:127.0.0.1", "xn--bcher-kva.example", 80, ("127.0.0.1",)),
        ("*:443:10.0.0.1", "*", 443, ("10.0.0.1",)),
        ("h:80:127.0.0.1,127.0.0.2", "h", 80, ("127.0.0.1", "127.0.0.2")),
        ("h:80:[::1],127.0.0.2", "h", 80, ("::1", "127.0.0.2")),
        ("h:80:::1", "h", 80, ("::1",)),
        ("[::1]:80:127.0.0.1", "[::1]", 80, ("127.0.0.1",)),
        ("127.0.0.1:80:127.0.0.2", "127.0.0.1", 80, ("127.0.0.2",)),
    ],
)
def test_they_are_read_as_by_curl(
    text: str, host: str, port: int, addresses: tuple[str, ...]
) -> None:
    assert entries([text]) == {(host, port): addresses}


def test_the_last_entry_counts() -> None:
    assert entries(["h:80:127.0.0.1", "h:80:127.0.0.2"]) == {("h", 80): ("127.0.0.2",)}


@pytest.mark.parametrize(
    "text",
    [
        *("", "h", "h:80", "h:80:"),
        "h:0:127.0.0.1",
        "h:65536:127.0.0.1",
        "h:80:name",
        ":80:127.0.0.1",
        "h:80:127.0.0.1,",
        "h/x:80:127.0.0.1",
        "-h:80",
        "h:80:127.0.0.1 ",
        "a..b:80:127.0.0.1:80",
    ],
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--resolve"):
        Settings.of(resolve=text)


def test_one_or_several_and_one_family() -> None:
    assert Settings.of(resolve="h:80:::1").http.resolve == ("h:80:::1",)
    assert Settings.of(resolve=["h:80:::1", "i:80:::1"]).http.resolve[1] == "i:80:::1"
    with pytest.raises(UsageError, match="contradict"):
        Settings.of(ipv4=True, ipv6=True)
