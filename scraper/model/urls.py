r"""URLs: parsed by one parser, compared, and shown without their secrets.

Owns: what counts as a URL here (the WHATWG URL standard, by can_ada, the
parser of Node), who a host is, what of a URL is secret, and what of a text from
outside must not reach a terminal as it is. Refuses to know:
lists (`lists.py`) and keys (`keys.py`). Rejected: urllib.parse, which
disagrees with HTTP clients about where `http://ex.com\@evil.com/` leads; the
parser that decides identity must be the one that decides the connection.
"""

import base64
import hashlib
import re
import struct
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

import can_ada

from scraper.model.errors import BadTarget

_SIGNED = struct.Struct(">q").unpack
_NOTHING_HASHED = hashlib.blake2b(digest_size=8)  # a copy is made in half the time
_SCHEMES = ("http://", "https://")
# Patterns that many runs never need are texts, which `re` compiles when they are first used.
_MAX_HOST = 254  # RFC 1035 2.3.4, with a dot at its end; much is remembered by host
# A field is secret if its name ends with one of the long words, or is a short one: alone, after
# a mark (`user_key`, `a[key]`), or after a word that makes it one (`authkey`).
_CONFIDENTIAL_NAME = (
    r"(?:.*(?:token|secret|signature|pass(?:word|wd|phrase)|credentials?|authorization|assertion"
    r"|jwt|hmac|samlresponse|hdn(?:ts|ea|tl)|(?:api|access)[-_]?key|access[-_]?(?:key[-_]?)?id"
    r"|sess(?:ion)?[-_]?id)"
    r"|(?:.*[^a-z])?(?:access|app|auth|aws|client|consumer|id|private|session|user)?"
    r"(?:key|sign?|auth|pass|pwd|pin|otp|sid|ticket)"
    r"|(?:auth[-_]?)?code|appid)[\W_]*"
)
_NAME_CHARS = 64  # of a name's end that decide
# Names of fields, and where a value ends: of a URL, and of a text with URLs in it.
_IN_URL = re.compile(r"[?&;#]([^=&;#?]*)="), re.compile(r"[&#]")
_IN_TEXT = re.compile(r"[?&;#]([^=&;#?\s]*)="), re.compile(r"[&#\s'\"<>]")
_BEHIND_PATH = re.compile(r"[?;#]")
_CODED = re.compile(r"%(?:25)*(?:23|26|3b|3d|3f|40)", re.IGNORECASE)  # one of #&;=?@
_USERINFO = re.compile(
    r"(^[\x00-\x20]*(?:[A-Za-z][A-Za-z0-9+.-]*:[/\\]*|[/\\]{2,})|:[/\\]+)[^/\\?#]*@"
)
_SCHEME = re.compile(r"[\x00-\x20]*[A-Za-z][A-Za-z0-9+.-]*:[/\\]*")
_DROPPED = re.compile(r"[\t\r\n]")  # by the URL standard, wherever they stand
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,19}://[^\s\]'\"<>][^\s'\"<>]*")
_CONFIDENTIAL_HEADER = (
    r"auth|cookie|token|secret|passw|passphrase|signature|credential|session|jwt|assertion"
    r"|api-?key|access-?key|(?:^|-)(?:key|sig)$"
)
# C0 and C1 controls, line ends of Unicode, marks that turn the direction, lone surrogates.
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


class Origin(NamedTuple):
    """What may share a secret: scheme, host and port (RFC 6454 4), and as `text` all three.

    `hostname` is ASCII (IPv6 in brackets), `port` is "" for the scheme's default. `host` is who
    is asked, for politeness: http and https of a name are one server.
    """

    text: str
    scheme: str
    hostname: str
    port: str
    host: str


class Url(NamedTuple):
    """A parsed http(s) URL. `href` is its WHATWG form with neither userinfo nor fragment.

    `userinfo` is `user:password` percent-decoded, or "".
    """

    href: str
    origin: Origin
    userinfo: str = ""

    @property
    def path(self) -> str:
        """From the first slash on, without the query."""
        return self.href[len(self.origin.text) :].partition("?")[0]

    @property
    def search(self) -> str:
        """The query with its `?`, or "": `/?` is another URL than `/`."""
        return "".join(self.href.partition("?")[1:])


def parse(text: str) -> Url:
    """The URL that a browser would see in `text`; raises BadTarget when it is none for us."""
    try:
        return _checked(can_ada.parse(text))
    except (ValueError, TypeError):  # TypeError: a lone surrogate
        raise BadTarget(_why_not(text)) from None


def normal(text: str) -> str:
    """The `href` of `text`, secrets redacted: the same for every spelling of a URL.

    `text` may be redacted already. Raises ValueError, TypeError for what is no URL.
    """
    url = can_ada.parse(text)
    if url.has_credentials():
        url.username = url.password = ""
    if url.has_hash():
        url.hash = ""
    return redact(url.href)


def join(base: Url, reference: str) -> Url:
    """`reference` as a browser would resolve it against `base`; raises BadTarget."""
    try:
        return _checked(can_ada.parse(base.href) + reference)
    except (ValueError, TypeError):
        raise BadTarget("not a valid URL") from None


def canonical(href: str, userinfo: str = "") -> Url:
    """The URL whose `href` this is. Raises BadTarget for a host that is too long."""
    return Url(href, _origin(origin_of(href)), userinfo)


def origin_of(href: str) -> str:
    """`scheme://host` or `scheme://host:port`: the beginning of an `href`."""
    return href[: href.index("/", 8)]


def _checked(url: can_ada.URL) -> Url:
    userinfo = ""
    if url.has_credentials():
        userinfo = _unquoted(url.username) + ":" + _unquoted(url.password)
        url.username = url.password = ""
    if url.has_hash():
        url.hash = ""
    href = url.href
    if not href.startswith(_SCHEMES):
        raise BadTarget(f"scheme {url.protocol[:-1]!r} is not http or https")
    return canonical(href, userinfo)


@lru_cache(maxsize=4096)
def _origin(text: str) -> Origin:
    """Of the beginning of an `href`, for which it is nearly always one that was met before."""
    url = can_ada.parse(text)
    if len(url.hostname) > _MAX_HOST:
        raise BadTarget(f"host name is longer than {_MAX_HOST} bytes")
    host = f"{url.hostname}:{url.port}" if url.port else url.hostname
    return Origin(text, url.protocol[:-1], url.hostname, url.port, host)


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


def _why_not(text: str) -> str:
    head = text.strip()
    if not head:
        return "no URL"
    if "://" not in head and not head.lower().startswith(("http:", "https:")):
        return "no scheme: a URL begins with http:// or https://"
    odd = next((char for char in text if not char.isprintable()), None)
    if odd is not None:  # a byte order mark, a blank that is none: nobody sees them in the list
        return f"not a valid URL: it has the character U+{ord(odd):04X}"
    return "not a valid URL"


def fingerprint(text: str) -> int:
    """64 bits (signed) that stand for `text`, the same in every process."""
    hashed = _NOTHING_HASHED.copy()
    hashed.update(text.encode("utf-8", "surrogatepass"))
    number: int
    (number,) = _SIGNED(hashed.digest())
    return number


def basic_authorization(userinfo: str) -> str:
    """The Authorization value for `user:password` (RFC 7617 2, UTF-8)."""
    return "Basic " + base64.b64encode(userinfo.encode()).decode()


def redact(url: str) -> str:
    """`url` with userinfo and secret-looking query values replaced by `REDACTED`.

    What has a secret in it that shows only when it is decoded is cut off as a whole.
    """
    if "@" in url or "=" in url:
        url = _redacted(_DROPPED.sub("", url))
    if "%" in url and (found := _BEHIND_PATH.search(url)) and _CODED.search(url, found.start()):
        plain = unquote(unquote(url[found.start() :]))
        if _redacted(plain) != plain:
            url = url[: found.end()] + "REDACTED"
    return url


def redact_wreck(text: str) -> str:
    """The same for a text that is no URL: nobody knows where its userinfo ends.

    `http://me:pass/word@host/` is none, for the slash, but has a password all the same.
    """
    text = text.replace("\0", "")
    head, at, rest = text.rpartition("@")
    scheme = found[0] if (found := _SCHEME.match(head)) else ""
    if at and ":" in head[len(scheme) :]:
        text = f"{scheme}REDACTED@{rest}"
    return redact(text)


def redact_text(text: str) -> str:
    """A message in which every URL is redacted."""
    if "://" not in text and "=" not in text:
        return text
    text = _URL_IN_TEXT.sub(lambda found: redact(found[0]), text)
    return _without_secrets(text, *_IN_TEXT)


def _redacted(url: str) -> str:
    if "@" in url:
        url = _USERINFO.sub(r"\1REDACTED@", url)
    return _without_secrets(url, *_IN_URL) if "=" in url else url


def _without_secrets(text: str, names: re.Pattern[str], ends: re.Pattern[str]) -> str:
    parts: list[str] = []
    kept = 0
    for found in names.finditer(text):
        if found.start() >= kept and _is_secret_name(found[1][-_NAME_CHARS:]):
            parts += text[kept : found.end()], "REDACTED"
            end = ends.search(text, found.end())
            kept = end.start() if end else len(text)
    return "".join(parts) + text[kept:] if parts else text


@lru_cache(4096)
def _is_secret_name(name: str) -> bool:
    plain = unquote(unquote(name)).strip(" \t\r\n+")
    return bool(re.fullmatch(_CONFIDENTIAL_NAME, plain, re.IGNORECASE | re.DOTALL))


def printable(text: str) -> str:
    r"""`text` with control characters as `\u001b`, so that no list or server drives a terminal.

    JSON without line breaks is still JSON afterwards, and means the same.
    """
    if text.isprintable():  # nearly always, and far faster
        return text
    return re.sub(_CONTROL, lambda found: f"\\u{ord(found[0]):04x}", text)


def is_secret_header(name: str) -> bool:
    """Whether a header of this name may carry a credential."""
    return bool(re.search(_CONFIDENTIAL_HEADER, name, re.IGNORECASE))
