"""Digest: the answer to a server that asks for this kind of password (RFC 7616).

Owns: reading the challenge, and the value of Authorization that answers it. Does not know: whose
password goes where (`plan.py`), when a request is made again (`transfer.py`). Rejected: requests'
HTTPDigestAuth, which makes requests by itself, so that no gap or permit would be kept. Rejected:
the challenge kept for further targets, as its counter would join all threads.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.request import parse_http_list, parse_keqv_list

from scraper.model import urls

_ALGORITHMS: Mapping[str, Callable[[bytes], "hashlib._Hash"]] = {
    "SHA-256": hashlib.sha256,
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False),  # most servers know no other
}
_SCHEME = re.compile(r"(?:^|,\s*)([!#$%&'*+.^_`|~\w-]+)\s+(?=[\w-]+\s*=)")


def answer(challenges: Sequence[str], userinfo: str, url: urls.Url) -> str | None:
    """The value of Authorization for a GET of `url`, None if nobody asks for Digest.

    `challenges` are the values of WWW-Authenticate, `userinfo` is `user:password`. Of several the
    strongest is answered.
    """
    known = [one for one in _digests(challenges) if _algorithm(one) in _ALGORITHMS]
    known = [one for one in known if "nonce" in one and _auth_is_enough(one)]
    if not known:
        return None
    order = list(_ALGORITHMS)
    asked = min(known, key=lambda one: order.index(_algorithm(one)))
    return _answer(asked, userinfo, "/" + url.href.split("/", 3)[3])


def _answer(asked: Mapping[str, str], userinfo: str, target: str) -> str:
    user, _, password = userinfo.partition(":")
    make = _ALGORITHMS[_algorithm(asked)]

    def digest(*parts: str) -> str:
        return make(":".join(parts).encode()).hexdigest()

    realm, nonce, cnonce = asked.get("realm", ""), asked["nonce"], os.urandom(8).hex()
    secret = digest(user, realm, password)
    if asked.get("algorithm", "").lower().endswith("-sess"):
        secret = digest(secret, nonce, cnonce)
    said = {"username": user, "realm": realm, "nonce": nonce, "uri": target}
    plain = {"algorithm": asked["algorithm"]} if "algorithm" in asked else {}
    if "qop" in asked:
        said["cnonce"] = cnonce
        plain |= {"qop": "auth", "nc": "00000001"}
        said["response"] = digest(secret, nonce, "00000001", cnonce, "auth", digest("GET", target))
    else:
        said["response"] = digest(secret, nonce, digest("GET", target))
    if "opaque" in asked:
        said["opaque"] = asked["opaque"]
    quoted = [f'{name}="{_quoted(value)}"' for name, value in said.items()]
    return "Digest " + ", ".join([*quoted, *(f"{name}={value}" for name, value in plain.items())])


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _digests(challenges: Sequence[str]) -> Iterator[dict[str, str]]:
    """The parameters of each Digest challenge, with names in lower case."""
    for text in challenges:
        starts = [*_SCHEME.finditer(text)]
        ends = [*(found.start() for found in starts), len(text)][1:]
        for found, end in zip(starts, ends, strict=False):
            if found[1].lower() == "digest":
                pairs = [one for one in parse_http_list(text[found.end() : end]) if "=" in one]
                given = parse_keqv_list(pairs)
                yield {name.strip().lower(): value for name, value in given.items()}


def _algorithm(asked: Mapping[str, str]) -> str:
    return asked.get("algorithm", "MD5").upper().removesuffix("-SESS")


def _auth_is_enough(asked: Mapping[str, str]) -> bool:
    """Whether the server accepts an answer that does not cover the body."""
    offered = asked.get("qop")
    return offered is None or "auth" in {one.strip().lower() for one in offered.split(",")}
