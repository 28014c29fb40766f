"""Identity: what tells one target from another, in this run and in later ones.

A target is its key and its whole URL, with query and userinfo. 64 bits stand for it. Of two of
ten million targets share one with a chance of three in a million.

A record shows its URL redacted. A URL without secrets identifies itself. For any other the record
has a field `identity`: a keyed hash (BLAKE2b, RFC 7693 2.9). A plain hash would not do: the
values that look secret are often short (`code=US`, a PIN), and a dictionary finds those. The
secret of the hash is 16 random bytes. They lie beside the manifest, so that any machine that
can read the manifest of a bucket can go on with it, and they are not in what people pass on: the
manifest's lines, `--results`, logs. Who can read the whole destination can try a dictionary;
nobody else can.

An old record of a redacted URL has no such field and identifies no target. It still says that
its key has another owner now.

Owns: that hash, and which target a record is of. Does not know: where the secret is kept (the
stores), what follows (`history.py`). Rejected: a secret in the user's home (another machine would
fetch everything again); a slow hash (ten million targets); the secret in the lines themselves.
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from scraper.model import urls
from scraper.model.records import Target

SECRET_BYTES = 16
REDACTED = "REDACTED"  # how `urls.redact` marks what it took out


class Identity:
    """The identities of one manifest's targets.

    `secret` is what was found beside the manifest, or b"" for none; then there is a new one.
    `unsaved` says that the new one is in use and must be kept before the lines are.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self._is_new = len(secret) != SECRET_BYTES
        self.secret = os.urandom(SECRET_BYTES) if self._is_new else secret
        self.unsaved = False

    def of(self, target: Target) -> int:
        """The 64 bits that stand for `target`."""
        if REDACTED in urls.redact(target.listed):
            return self._keyed(target)
        if target.userinfo:
            return plain(target.key, target.url, target.userinfo)
        return urls.fingerprint(f"{target.key}\0{target.url}")  # `plain`, in less time

    def field(self, target: Target) -> str:
        """The `identity` of a record whose URL is redacted."""
        self.unsaved = self._is_new
        return f"{self._keyed(target) % 2**64:016x}"

    def saved(self) -> None:
        """The secret was kept: it is not new any more."""
        self._is_new = self.unsaved = False

    def _keyed(self, target: Target) -> int:
        text = f"{target.key}\0{target.url}\0{target.userinfo}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=8, key=self.secret).digest()
        return int.from_bytes(digest, signed=True)


def plain(key: str, url: str, userinfo: str = "") -> int:
    """The identity of a target whose URL hides nothing. `url` is an `href`."""
    return urls.fingerprint(f"{key}\0{url}\0{userinfo}" if userinfo else f"{key}\0{url}")


def of_record(record: Mapping[str, Any]) -> int:
    """The identity of the target that `record` is about.

    An old record of a redacted URL gets one that no target has. Raises LookupError, TypeError,
    ValueError, AttributeError and BadTarget for what is no record.
    """
    key, url = record["key"], record["url"]
    if REDACTED not in url:
        if "@" not in url:
            return urls.fingerprint(f"{key}\0{urls.normal(url)}")  # as below, in less time
        parsed = urls.parse(url)
        return plain(key, parsed.href, parsed.userinfo)
    given = record.get("identity")
    if isinstance(given, str) and len(given) == 16:
        return int.from_bytes(bytes.fromhex(given), signed=True)
    return urls.fingerprint(f"{key}\0redacted {url}")  # no href begins like that
