"""Keys: where a body is stored, worked out from its target alone.

The rule `url` keeps the shape of a site: `https://example.com/docs/a.html` becomes
`example.com/docs/a.html`. Each name of the path is kept as it is (*plain*) or gets a *mark*:
`--` and 13 characters, which are a 64-bit hash of the URL (for a directory, of the URL up to
there).

A name is plain only if no other URL could have the same name, on any file system. Plain names
are lower case, without reserved or unsafe characters. A plain file name has an extension and a
plain directory name has none, so a file can never also be a directory. `index.html` stands for
a path that ends with a slash. No rule looks at other targets, so neither the order of a list nor
resuming changes a key.

Promised: by the rules `url` and `hash`, different URLs have different keys, also where case or
normal form do not count. Templates and keys from the list may clash; `duplicates.py` finds that.

Owns: the rules, and what makes a key safe. A segment has at most 255 bytes and a key 1,024 (the
limit of S3; 896 if a rule makes it, which leaves room for a prefix). No key has a character that
NTFS forbids or that S3 advises against (`~` and `#` may stand in keys from the list), a name that
NTFS reserves, a way out of the destination, or a first segment `.scraper`.

Does not know: sinks and responses. Rejected: numbering clashes (depends on the order);
pathvalidate (it returns `..` for `..`); an extension from Content-Type (needs a request).
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache, partial
from unicodedata import normalize
from urllib.parse import quote, unquote_to_bytes

from scraper.model.errors import BadTarget, UsageError
from scraper.model.urls import Origin, Url, hashed, redact

MAX_KEY_BYTES = 1024  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_MADE_BYTES = 896  # the most that a rule makes; 128 bytes are left for a prefix in a bucket
MAX_SEGMENT_BYTES = 255  # ext4, APFS and NTFS alike
MAX_READABLE_BYTES = 200  # of a name that gets a mark
OWN_DIRECTORY = ".scraper"
KEY_FIELDS = ("host", "path", "ext", "hash", "line", "date")

KeyRule = Callable[[Url, int], str]

_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|$)", re.IGNORECASE
)
_RESERVED_ASCII = "(?:con|prn|aux|nul|com[0-9]|lpt[0-9])"
_PLAIN_ASCII = re.compile(r"[a-z0-9_!(][a-z0-9_!()',=+@.-]*")
# A path of plain names only (see `_plain`), as most paths are. It matches in one step if it is not
# too long and has no `--`. A path with a query does not match.
PLAIN_NAME = rf"(?!{_RESERVED_ASCII}(?:[./?]|$))[a-z0-9_!(][a-z0-9_!()',=+@-]*+"
PLAIN_ENDING = r"(?:\.[a-z0-9_!()',=+@-]*+)++(?<!\.)(?<!/index\.html)"
PLAIN_DIRECTORIES = rf"/(?:{PLAIN_NAME}/)*+"
_PLAIN_PATH = re.compile(rf"{PLAIN_DIRECTORIES}(?:{PLAIN_NAME}{PLAIN_ENDING})?")
_MARKED = re.compile(r"--[a-z2-7]{13}(?:\.|$)")
_NOT_GIVEN = set('"%*/:<>?[\\]^`{|}')  # nor any character that NFKC turns into one of them
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_UNSAFE = re.compile(r"[^\w!()',=+@.-]")
# A name that is safe anywhere, whatever its case.
_SAFE_ASCII = re.compile(
    rf"(?!{_RESERVED_ASCII}(?:\.|$))[a-z0-9_!(][a-z0-9_!()',=+@.-]*(?<!\.)",
    re.IGNORECASE | re.ASCII,
)
_EXTENSION = re.compile(r"(\.[A-Za-z0-9]{1,10})$")
# A text: few runs need it, and `re` compiles it on its first use.
_DOUBLE = r"(?i)(\.tar\.[a-z0-9]{1,5})$"


def make_rule(template: str, now: datetime) -> KeyRule:
    """The rule that `--key` names: `url`, `hash` or a template of KEY_FIELDS.

    Raises UsageError for a template with an unknown field, or one whose keys
    would not tell any two targets apart.
    """
    if template == "url":
        return url_key
    if template == "hash":
        return hash_key
    names = re.findall(r"\{([^{}:]*)(?::[^{}]*)?\}", template)
    left = re.sub(r"\{[^{}]*\}", "", template)
    unknown = [name for name in names if name not in KEY_FIELDS]
    if unknown or "{" in left or "}" in left:
        what = f"unknown field {{{unknown[0]}}}" if unknown else "a stray brace"
        raise UsageError(f"--key {template!r} has {what}; fields are {', '.join(KEY_FIELDS)}")
    if not {"path", "hash", "line"} & set(names):
        raise UsageError(f"--key {template!r} gives every target one key: use path, hash or line")
    try:
        given_key(template.format(host="h", path="p", ext=".e", hash="0" * 64, line=1, date=now))
    except (ValueError, OverflowError, MemoryError, BadTarget) as error:
        raise UsageError(f"--key {template!r}: {error}") from None
    return partial(_template_key, template, now)


def url_key(url: Url, line: int = 0) -> str:
    """`host/path`, readable and injective: see the module's docstring."""
    del line
    href, origin, _ = url
    host, path = host_segment(origin), href[len(origin.text) :]
    if len(path) <= MAX_SEGMENT_BYTES and "--" not in path and _PLAIN_PATH.fullmatch(path):
        return f"{host}{path}index.html" if path[-1] == "/" else host + path
    path, query, _ = path.partition("?")
    above, _, name = path.rpartition("/")
    file = _file_name(name, href, has_query=bool(query))
    if not above:
        return f"{host}/{file}"
    if above.count("/") < _MADE_BYTES // 2:
        cached = len(path) <= 512  # long paths would make the cache large
        parts = (_directories if cached else _directories.__wrapped__)(origin, above)
        key = f"{host}/{parts}/{file}"
        if len(key) * 4 <= _MADE_BYTES or len(key.encode()) <= _MADE_BYTES:
            return key
    return f"{host}/{mark(href)}/{file}"


def hash_key(url: Url, line: int = 0) -> str:
    """`ab/cd/<sha256 of the URL>` with the extension of its path."""
    del line
    digest = _sha256(url)
    return f"{digest[:2]}/{digest[2:4]}/{digest}{extension(url.path)}"


def part_key(key: str, first: int, size: int) -> str:
    """The key of `size` bytes of the file with this key, from byte `first` on: below that key."""
    name = key.rpartition("/")[2].lower()
    ending = extension(name)
    if ".warc" in name and ending != ".warc":
        ending = ".warc" + ending
    return f"{key}/{first}-{first + size - 1}{ending}"


def given_key(key: str) -> str:
    """A key from the list, made safe. Raises BadTarget if it leaves the destination or is a URL.

    Characters that some file system or S3 refuses become `_`; letters of any script stay.
    """
    if "://" in key and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", key):
        raise BadTarget(f"key {redact(key)!r} is a URL: a line has one URL")
    safe = _safe(key)
    if len(safe.encode()) > MAX_KEY_BYTES:
        raise BadTarget(f"key of {len(safe.encode())} bytes is longer than {MAX_KEY_BYTES}")
    return safe


def _safe(key: str) -> str:
    if key.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", key):
        raise BadTarget(f"key {key!r} is absolute: it leaves the destination")
    parts = [part for part in re.split(r"[/\\]", key) if part not in {"", "."}]
    if ".." in parts:
        raise BadTarget(f"key {key!r} leaves the destination")
    if not parts:
        raise BadTarget(f"key {key!r} names nothing")
    if parts[0][0] == "." and _composed(parts[0]).casefold() == OWN_DIRECTORY:
        raise BadTarget(f"key {key!r}: {OWN_DIRECTORY}/ is the manifest's own")
    return "/".join(map(_sanitised, parts))


def folded(key: str) -> str:
    """The form of `key` in which case and normal form do not count.

    Two keys with the same form may be one file on some file systems.
    """
    if key.isascii():
        return key.lower()
    return normalize("NFC", normalize("NFC", key).upper().casefold())


def extension(path: str) -> str:
    """The extension of a URL's path with its dot, lower-case, or ""."""
    name = path.rpartition("/")[2]
    if "." not in name:
        return ""
    found = re.search(_DOUBLE, name) if ".tar." in name.lower() else None
    found = found or _EXTENSION.search(name)
    return found[1].lower() if found and found.start() else ""


@lru_cache(maxsize=16384)
def host_segment(origin: Origin) -> str:
    """One directory for each origin: plain for https on 443, else `host_http`, `host_8080`...

    An underscore of the host itself is doubled, so no host name looks like another with a suffix.
    """
    _, scheme, hostname, port, _ = origin
    if hostname.startswith("["):
        words = hostname[1:-1].replace("::", ":z:").split(":")
        name = "-".join(word or "0" for word in words) + "_ipv6"
    else:
        name = hostname.replace("_", "__")
    if scheme != "https":
        name += f"_{scheme}"
    if port:
        name += f"_{port}"
    unsafe = name[0] in ".-" or name[-1] == "." or not _PLAIN_ASCII.fullmatch(name)
    if unsafe or len(name) > 200 or _MARKED.search(name):
        readable = _UNSAFE.sub("_", name)[:200].strip(".-_")
        return readable + mark(f"{scheme}://{hostname}:{port}")
    return f"_{name}" if _RESERVED.match(name) else name


@lru_cache(maxsize=16384)
def _directories(origin: Origin, path: str) -> str:
    """The names of the directories in `path`, which begins with a slash, as segments of a key."""
    prefix = f"{origin.scheme}://{origin.hostname}:{origin.port}"
    parts = []
    for name in path[1:].split("/"):
        prefix += "/" + name
        text = _decoded(name)
        plain = "" if "." in name else _plain(name, text)
        parts.append(plain or _shortened(_readable(name, text)) + mark(prefix + "/"))
    return "/".join(parts)


def _file_name(name: str, href: str, *, has_query: bool) -> str:
    if not name and not has_query:
        return "index.html"
    text = _decoded(name)
    if not has_query and name != "index.html" and "." in name and (plain := _plain(name, text)):
        return plain
    readable = _readable(name, text) or "index.html"
    ending = extension("/" + readable)
    stem = readable[: len(readable) - len(ending)] if ending else readable
    return _shortened(stem) + mark(href) + ending


def _plain(name: str, text: str) -> str:
    """The plain form of `name`, "" if it has none. `text` is what it says, decoded."""
    if not _PLAIN_ASCII.fullmatch(name):
        if text != text.casefold() or ("%" in name and not name.isascii()):
            return ""
        if not text or len(text) > MAX_SEGMENT_BYTES or _UNSAFE.search(text) or text[0] in ".-":
            return ""
        # NTFS compares names in upper case, where the dotless i becomes an I.
        if not text == text.upper().casefold() == normalize("NFC", text):
            return ""
        if quote(text, safe="!()',=+@.-_") != name:  # another spelling would give the same text
            return ""
    if text[-1] == "." or ("--" in text and _MARKED.search(text)) or _RESERVED.match(text):
        return ""
    return text if len(text.encode()) <= MAX_SEGMENT_BYTES else ""


def _decoded(name: str) -> str:
    if "%" not in name and name.isascii():
        return name
    try:
        return unquote_to_bytes(name).decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _composed(text: str) -> str:
    """The normal form of `text`, or `text` if it is too long for a key.

    Normalising 26,000 accents takes half a second.
    """
    return text if text.isascii() or len(text) > MAX_KEY_BYTES else normalize("NFC", text)


def _readable(name: str, text: str) -> str:
    """The part of `name` that is safe anywhere, for a marked name. It may be "".

    `text` is what it says, decoded.
    """
    if _SAFE_ASCII.fullmatch(text):
        return text
    text = _UNSAFE.sub("_", _composed(text or name))
    text = text.lstrip(".-").rstrip(". ")
    return f"_{text}" if _RESERVED.match(text) else text


def _sanitised(part: str) -> str:
    """A segment of a given key, unsafe characters replaced. Dots, case and all scripts stay."""
    if _PLAIN_ASCII.fullmatch(part) and part[-1] != "." and len(part) <= MAX_SEGMENT_BYTES:
        return f"_{part}" if _RESERVED.match(part) else part
    text = _composed(part)
    text = "".join(char if char.isalnum() or _may_be_given(char) else "_" for char in text)
    text = re.sub(r"[. ]$", "_", text)
    text = f"_{text}" if _RESERVED.match(text) else text
    if len(text.encode()) <= MAX_SEGMENT_BYTES:
        return text
    ending = extension("/" + text)
    return _shortened(text[: len(text) - len(ending)] if ending else text) + mark(part) + ending


def _may_be_given(char: str) -> bool:
    """Whether a key of a list may have `char`: no control, nothing with a meaning in a path."""
    if char.isascii():
        return char.isprintable() and char not in _NOT_GIVEN
    looks = set(normalize("NFKC", char))
    return char.isprintable() and looks.isdisjoint(_NOT_GIVEN | {"."})


def _shortened(text: str, limit: int = MAX_READABLE_BYTES) -> str:
    """At most `limit` bytes of `text`, no character cut."""
    if len(text) * 4 <= limit:
        return text
    return text.encode()[:limit].decode("utf-8", "ignore")


def mark(text: str) -> str:
    """`--` and a hash of `text`: 64 bits in base 32 (RFC 4648 6), in lower case.

    Two digits at a time, in a third of the time of `base64.b32encode`.
    """
    bits, two = int.from_bytes(hashed(text)) << 1, _PAIRS  # 65 bits are 13 digits
    return (
        f"--{two[bits >> 55]}{two[bits >> 45 & 1023]}{two[bits >> 35 & 1023]}"
        f"{two[bits >> 25 & 1023]}{two[bits >> 15 & 1023]}{two[bits >> 5 & 1023]}"
        f"{_DIGITS[bits & 31]}"
    )


def _sha256(url: Url) -> str:
    return hashlib.sha256(url.href.encode()).hexdigest()


def _template_key(template: str, now: datetime, url: Url, line: int) -> str:
    ending = extension(url.path)
    path = url_key(url).partition("/")[2]
    digest = _sha256(url) if "{hash" in template else ""
    key = _safe(
        template.format(
            host=host_segment(url.origin),
            path=path.removesuffix(ending),
            ext=ending,
            hash=digest,
            line=line,
            date=_Day(now),
        )
    )
    if len(key.encode()) > _MADE_BYTES:
        first, *_, last = key.split("/")
        return f"{first}/{mark(url.href)}/{last}"
    return key


class _Day:
    """The value of `{date}`: ISO 8601 by default, `{date:%Y/%m}` by strftime."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def __format__(self, spec: str) -> str:
        return self._now.strftime(spec or "%Y-%m-%d")
