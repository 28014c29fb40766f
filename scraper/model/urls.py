r"""URLs: parsed by one parser, compared, and shown without their secrets.

A URL is what the WHATWG URL standard says, by can_ada, the parser of Node.

Owns: parsing, which host a URL is of, which parts of a URL are secret, and which characters of a
text from outside must not reach a terminal. Does not know: lists and keys (`source/`).
Rejected: urllib.parse. It disagrees with HTTP clients about the host of
`http://ex.com\@evil.com/`. The same parser must decide what a URL is and where it connects.
"""

import base64
import hashlib
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

import can_ada

from scraper.model.errors import BadTarget

_NOTHING_HASHED = hashlib.blake2b(digest_size=8)  # to copy it takes half the time of a new one
_SCHEMES = ("http://", "https://")
# Patterns that many runs never need are texts here: `re` compiles them on first use.
_MAX_HOST = 254  # RFC 1035 2.3.4, with a final dot. It bounds the memory that each host takes.
# A field is secret if its name ends with one of the long words. A short word must be the whole
# name, or follow a mark (`user_key`, `a[key]`) or a word that makes it secret (`authkey`).
_CONFIDENTIAL_NAME = (
    r"(?:.*(?:token|secret|signature|pass(?:word|wd|phrase)|credentials?|authorization|assertion"
    r"|jwt|hmac|samlresponse|hdn(?:ts|ea|tl)|(?:api|access)[-_]?key|access[-_]?(?:key[-_]?)?id"
    r"|sess(?:ion)?[-_]?id)"
    r"|(?:.*[^a-z])?(?:access|app|auth|aws|client|consumer|id|private|session|user)?"
    r"(?:key|sign?|auth|pass|pwd|pin|otp|sid|ticket)"
    r"|(?:auth[-_]?)?code|appid)[\W_]*"
)
_NAME_CHARS = 64  # the end of a field's name that is looked at
_SHORT = 500  # characters of a text whose names of fields are remembered
# A pattern for the name of a field, and one for the end of its value: in a URL, and in a text
# that contains URLs.
_IN_URL = re.compile(r"[?&;#]([^=&;#?]*)="), re.compile(r"[&#]")
_IN_TEXT = re.compile(r"[?&;#]([^=&;#?\s]*)="), re.compile(r"[&#\s'\"<>]")
_BEHIND_PATH = re.compile(r"[?;#]")
_DROPPED = re.compile(r"[\t\r\n]")  # the URL standard drops them anywhere
# Texts: few runs need them, and `re` compiles one on its first use.
_CODED = r"(?i)%(?:25)*(?:23|26|3b|3d|3f|40)"  # one of #&;=?@
_USERINFO = r"(^[\x00-\x20]*(?:[A-Za-z][A-Za-z0-9+.-]*:[/\\]*|[/\\]{2,})|:[/\\]+)[^/\\?#]*@"
_SCHEME = r"[\x00-\x20]*[A-Za-z][A-Za-z0-9+.-]*:[/\\]*"
_OTHER_URL = r"([A-Za-z][\w+.-]+(?:::[A-Za-z][\w+.-]+)*)://"  # fsspec's too: simplecache::ftp://
# A name without a password at a file server: what is offered to be typed must have it.
_LOGIN = r"(?i)(?:s?ftp|smb|webdavs?|hdfs)://(?:[^/\\?#:@%]|%(?!3a))+@(?![^/\\?#]*@)"
_URL_IN_TEXT = r"[A-Za-z][A-Za-z0-9+.-]{0,19}://[^\s\]'\"<>][^\s'\"<>]*"
_CONFIDENTIAL_HEADER = (
    r"auth|cookie|token|secret|passw|passphrase|signature|credential|session|jwt|assertion"
    r"|api-?key|access-?key|(?:^|-)(?:key|sig)$"
)
# C0 and C1 controls, line ends of Unicode, marks that change the direction, lone surrogates.
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


class Origin(NamedTuple):
    """Scheme, host and port of a URL (RFC 6454 4). URLs of one origin may share a secret.

    `text` is all three together. `hostname` is ASCII, with IPv6 in brackets. `port` is "" for the
    scheme's default. `host` is the server, for politeness: http and https of a name are one.
    """

    text: str
    scheme: str
    hostname: str
    port: str
    host: str


class Url(NamedTuple):
    """A parsed http(s) URL.

    `href` is its WHATWG form without userinfo and fragment. `userinfo` is `user:password`,
    percent-decoded, or "".
    """

    href: str
    origin: Origin
    userinfo: str = ""

    @property
    def path(self) -> str:
        """The path, from its first slash on, without the query."""
        return self.href[len(self.origin.text) :].partition("?")[0]

    @property
    def search(self) -> str:
        """The query with its `?`, or "" without one. `/?` and `/` are two URLs."""
        return "".join(self.href.partition("?")[1:])


def parse(text: str) -> Url:
    """The URL that a browser would read in `text`. Raises BadTarget unless it is http(s)."""
    try:
        return _checked(can_ada.parse(text))
    except (ValueError, TypeError):  # TypeError for a lone surrogate
        raise BadTarget(_why_not(text)) from None


def normal(text: str) -> str:
    """The `href` of `text`, without userinfo: the same for every spelling of a URL.

    Raises ValueError or TypeError unless it is a URL.
    """
    url = can_ada.parse(text)
    if url.has_credentials():
        url.username = url.password = ""
    if url.has_hash():
        url.hash = ""
    return url.href


def join(base: Url, reference: str) -> Url:
    """`reference`, resolved against `base` as a browser would. Raises BadTarget."""
    try:
        return _checked(can_ada.parse(base.href) + reference)
    except (ValueError, TypeError):
        raise BadTarget("not a valid URL") from None


def canonical(href: str, userinfo: str = "") -> Url:
    """The URL that has this `href`. Raises BadTarget for a host that is too long."""
    return Url(href, _origin(origin_of(href)), userinfo)


def origin_of(href: str) -> str:
    """The beginning of an `href`: `scheme://host` or `scheme://host:port`."""
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


@lru_cache(maxsize=16384)
def _origin(text: str) -> Origin:
    """The origin that `text` names. Cached: most URLs share their origin with others."""
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
    if odd is not None:  # nobody sees it in the list: a byte order mark, a no-break space
        return f"not a valid URL: it has the character U+{ord(odd):04X}"
    return "not a valid URL"


def hashed(text: str) -> bytes:
    """A hash of `text`: 8 bytes, the same in every process."""
    made = _NOTHING_HASHED.copy()
    made.update(text.encode("utf-8", "surrogatepass"))
    return made.digest()


def fingerprint(text: str) -> int:
    """The same as a signed 64-bit number."""
    return int.from_bytes(hashed(text), signed=True)


def basic_authorization(userinfo: str) -> str:
    """The value of Authorization for `user:password` (RFC 7617 2, in UTF-8)."""
    return "Basic " + base64.b64encode(userinfo.encode()).decode()


def scheme_in(text: str) -> str | None:
    """The scheme, in lower case, of a text that begins as a URL of any kind, else None.

    A single letter is a drive of Windows.
    """
    found = re.match(_OTHER_URL, text) if "://" in text else None
    return found[1].lower() if found else None


def redact(url: str) -> str:
    """`url` with `REDACTED` for its userinfo and for the values of secret-looking fields.

    A name alone stays in the URL of a file server (sftp, ftp, smb, webdav, hdfs). In one of http it
    may be a token.
    If a secret shows only after percent-decoding, everything after the path is redacted.
    """
    if "@" in url or "=" in url:
        url = _redacted(url if url.isprintable() else _DROPPED.sub("", url))
    behind = _BEHIND_PATH.search(url) if "%" in url else None
    if behind and re.search(_CODED, url[behind.start() :]):
        plain = unquote(unquote(url[behind.start() :]))
        if _redacted(plain) != plain:
            url = url[: behind.end()] + "REDACTED"
    return url


def redact_wreck(text: str) -> str:
    """A text that is no URL, with its secrets redacted. Where its userinfo ends is not certain.

    `http://me:pass/word@host/` is no URL, because of the slash, and yet it has a password.
    """
    text = text.replace("\0", "")
    head, at, rest = text.rpartition("@")
    scheme = found[0] if (found := re.match(_SCHEME, head)) else ""
    if at and ":" in head[len(scheme) :]:
        text = f"{scheme}REDACTED@{rest}"
    return redact(text)


def redact_text(text: str) -> str:
    """A message with every URL in it redacted."""
    if "://" not in text and "=" not in text:
        return text
    text = re.sub(_URL_IN_TEXT, lambda found: redact(found[0]), text)
    return _without_secrets(text, *_IN_TEXT)


def _redacted(url: str) -> str:
    if "@" in url:
        if found := re.match(_LOGIN, url):
            return found[0] + _redacted(url[found.end() :])
        url = re.sub(_USERINFO, r"\1REDACTED@", url)
    return _without_secrets(url, *_IN_URL) if "=" in url else url


def _without_secrets(text: str, names: re.Pattern[str], ends: re.Pattern[str]) -> str:
    if len(text) <= _SHORT and not _has_secret(tuple(names.findall(text))):
        return text
    parts: list[str] = []
    kept = 0
    for found in names.finditer(text):
        if found.start() >= kept and _is_secret_name(found[1][-_NAME_CHARS:]):
            parts += text[kept : found.end()], "REDACTED"
            end = ends.search(text, found.end())
            kept = end.start() if end else len(text)
    return "".join(parts) + text[kept:] if parts else text


@lru_cache(4096)
def _has_secret(names: tuple[str, ...]) -> bool:
    """Whether a field has a secret-looking name. Most URLs of a list have the same names."""
    return any(_is_secret_name(name[-_NAME_CHARS:]) for name in names)


@lru_cache(4096)
def _is_secret_name(name: str) -> bool:
    plain = unquote(unquote(name)).strip(" \t\r\n+")
    return bool(re.fullmatch(_CONFIDENTIAL_NAME, plain, re.IGNORECASE | re.DOTALL))


def printable(text: str) -> str:
    r"""`text` with control characters written as `\u001b`, so that they can't drive a terminal.

    JSON in one line is still JSON afterwards, with the same meaning.
    """
    if text.isprintable():  # true for nearly every text, and far faster than the pattern
        return text
    return re.sub(_CONTROL, lambda found: f"\\u{ord(found[0]):04x}", text)


def is_secret_header(name: str) -> bool:
    """Whether a header of this name may carry a credential."""
    if re.search(_CONFIDENTIAL_HEADER, name, re.IGNORECASE):
        return True
    return _is_secret_name(name[-_NAME_CHARS:])  # `X-Pin`, like the field `pin` of a query
