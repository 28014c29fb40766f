"""Digest: answers that servers accept, by the examples of RFC 7616 3.9 and RFC 2617 3.5."""

import hashlib
import os
import re

import pytest

from scraper.model import urls
from scraper.transfer import digest

URL = urls.canonical("http://www.example.org/dir/index.html")
COMMON = (
    'realm="http-auth@example.org", qop="auth, auth-int", '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


@pytest.fixture
def known_cnonce(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"

    class Random(bytes):
        def hex(self, *_: object) -> str:
            return wanted

    monkeypatch.setattr(os, "urandom", lambda _: Random())


@pytest.mark.usefixtures("known_cnonce")
@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    said = digest.answer([f"Digest {COMMON}, algorithm={algorithm}"], "Mufasa:Circle of Life", URL)
    assert said is not None
    assert f'response="{response}"' in said
    assert 'uri="/dir/index.html"' in said
    assert f"algorithm={algorithm}" in said
    assert "nc=00000001" in said


def test_of_several_the_strongest_is_answered() -> None:
    both = [f"Basic realm=x, Digest {COMMON}, algorithm=MD5", f"Digest {COMMON}, algorithm=SHA-256"]
    said = digest.answer(both, "a:b", URL)
    assert said is not None
    assert "algorithm=SHA-256" in said


def test_a_challenge_of_the_old_kind_is_answered_without_counter() -> None:
    said = digest.answer(['Digest realm="r", nonce="n"'], "a:b", URL)
    assert said is not None

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    found = re.search(r'response="(\w+)"', said)
    assert found is not None
    assert found[1] == md5(f"{md5('a:r:b')}:n:{md5('GET:/dir/index.html')}")
    assert "nc=" not in said


@pytest.mark.parametrize(
    "challenge",
    [
        'Basic realm="x"',
        "Negotiate",
        'Digest realm="x"',
        'Digest realm="x", nonce="n", algorithm=WHIRLPOOL',
        'Digest realm="x", nonce="n", qop="auth-int"',
        'Digest realm="unclosed, nonce=',
        "",
    ],
)
def test_what_can_not_be_answered_is_not(challenge: str) -> None:
    assert digest.answer([challenge], "a:b", URL) is None
