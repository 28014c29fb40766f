"""Sizes and digests as lists write them."""

import base64
import hashlib
from typing import Any

import pytest

from scraper.model.errors import BadTarget
from scraper.model.expected import DIGESTS, Digests, Expected, expected_of

BODY = b"abc"
HEX = {name: hashlib.new(name, BODY).hexdigest() for name in DIGESTS}
BASE64 = {name: base64.b64encode(bytes.fromhex(value)).decode() for name, value in HEX.items()}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_digest_is_read_in_each_form_that_publishers_use(name: str) -> None:
    in_base64 = BASE64[name]
    forms = [
        HEX[name],
        HEX[name].upper(),
        f"{name}:{HEX[name]}",
        f"  {HEX[name]}\n",
        in_base64,
        in_base64.rstrip("="),
        in_base64.replace("+", "-").replace("/", "_"),
        f"{name}-{in_base64}",  # Subresource Integrity
        f"{name}-{in_base64}?ct=text/plain",
    ]
    for form in forms:
        assert expected_of({name: form}) == Expected(None, ((name, HEX[name]),)), form


@pytest.mark.parametrize(
    "given",
    [
        {"md5": "no digest"},
        {"md5": HEX["sha1"]},
        {"sha256": HEX["sha256"][:-1]},
        {"sha256": HEX["sha256"] + "0"},
        {"sha256": f"sha512-{BASE64['sha256']}"},
        {"sha1": 17},
        {"size": -1},
        {"size": 1.5},
        {"size": True},
        {"size": "12 KB"},
        {"size": "1e3"},
        {"size": 2**63},
        {"size": "9" * 30},
    ],
)
def test_what_is_none_is_said(given: dict[str, Any]) -> None:
    with pytest.raises(BadTarget, match=f'"{next(iter(given))}" is no '):
        expected_of(given)


def test_what_is_empty_says_nothing() -> None:
    assert expected_of({}) is None
    assert expected_of({"size": None, "md5": "", "sha256": None, "url": "x"}) is None
    assert expected_of({"size": ""}) is None
    assert expected_of({"size": "0"}) == Expected(0)


def test_the_strongest_digest_comes_first_and_all_of_them_count() -> None:
    expected = expected_of({**dict(reversed(HEX.items())), "size": "3"})
    assert expected == Expected(3, tuple(HEX.items()))
    assert [*expected.as_fields()] == ["size", *DIGESTS]
    assert expected_of(expected.as_fields()) == expected
    digests = Digests(expected)
    digests.update(b"a")
    digests.update(b"bc")
    assert digests.difference(expected) is None
    assert digests.hexdigest() == HEX["sha256"]
    for name in DIGESTS:
        other = Expected(3, tuple({**HEX, name: "0" * len(HEX[name])}.items()))
        said = digests.difference(other)
        assert said is not None
        assert said.startswith(f"{name} of the body is {HEX[name]}, 0")
    assert digests.difference(expected._replace(size=4)) == "body has 3 bytes, 4 were expected"
