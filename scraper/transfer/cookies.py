"""Cookies: which of them go with a request (RFC 6265).

There are two sorts. Those of --cookies are the user's, and go to every URL that they belong to.
Those that a server sets belong to one target: they last from a redirect to the end of its chain,
as sites want it that check for cookies. No target and no other run sees them.

Owns: both, by the standard library's `http.cookiejar`, which knows domains, paths and `Secure`.
Does not know: which hop comes next. Rejected: one jar for a run. Targets would depend on their
order, and a site could follow a list through all its lines.
"""

from collections.abc import Iterable, Mapping
from email.message import Message
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from urllib.request import Request as JarRequest

from scraper.model.errors import UsageError
from scraper.transfer.exchange import Reply

_HTTP_ONLY = "#HttpOnly_"
# Without a Domain a cookie is for its host alone (RFC 6265 5.3).
_POLICY = DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain)


class _Answer:
    """A response as `http.cookiejar` wants it."""

    def __init__(self, values: list[str]) -> None:
        self._headers = Message()
        for value in values:
            self._headers["Set-Cookie"] = value

    def info(self) -> Message:
        return self._headers


def _asked(url: str) -> JarRequest:
    """A request as `http.cookiejar` wants it. Nobody opens it."""
    return JarRequest(url)  # noqa: S310


class ChainCookies:
    """Those that servers set on the way of one target."""

    def __init__(self) -> None:
        self._jar = CookieJar(_POLICY)

    def keep(self, url: str, reply: Reply) -> None:
        """Keep what `reply` to a request for `url` sets."""
        answer = _Answer(reply.all("set-cookie"))
        self._jar.extract_cookies(answer, _asked(url))  # type: ignore[arg-type]

    def added(self, headers: Mapping[str, str], url: str) -> Mapping[str, str]:
        """`headers` of a request for `url`, with the cookies that belong to it."""
        return with_cookies(headers, url, self._jar)


def with_cookies(headers: Mapping[str, str], url: str, jar: CookieJar) -> Mapping[str, str]:
    """`headers` with the cookies of `jar` that belong to `url`, beside those that are there.

    A cookie of the jar takes the place of one of its name.
    """
    asked = _asked(url)
    jar.add_cookie_header(asked)
    value = asked.get_header("Cookie")
    if not value:
        return headers
    fresh = {pair.partition("=")[0] for pair in value.split("; ")}
    old = (pair.strip() for pair in headers.get("cookie", "").split(";"))
    left = [pair for pair in old if pair and pair.partition("=")[0] not in fresh]
    return {**headers, "cookie": "; ".join([*left, value])}


def jar_of(cookies: Iterable[Cookie]) -> CookieJar:
    """A jar of --cookies that has these."""
    jar = CookieJar(_POLICY)
    for cookie in cookies:
        jar.set_cookie(cookie)
    return jar


def read_cookies(path: str) -> CookieJar:
    """The cookies of a file in Netscape's form, as curl, wget and browsers' extensions write it.

    Raises UsageError for a file that can't be read, and for a line that is no cookie. The message
    has the number of the line: the line is secret.
    """
    jar = jar_of(())
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(file, 1):
                text = line.rstrip("\r\n").removeprefix(_HTTP_ONLY)
                if not text.strip() or text.startswith("#"):
                    continue
                cookie = _read(text)
                if cookie is None:
                    message = f"--cookies: {path!r} has no cookie of seven fields in line {number}"
                    raise UsageError(message)
                if not cookie.is_expired():
                    jar.set_cookie(cookie)
    except OSError as error:
        raise UsageError(f"--cookies: can't read {path!r}: {error.strerror}") from None
    return jar


def _read(line: str) -> Cookie | None:
    """domain, whether subdomains count, path, secure, expiry in Unix seconds or 0, name, value."""
    fields = line.split("\t")
    if len(fields) == 6:  # an empty value, whose tab an editor has cut off
        fields.append("")
    if len(fields) != 7 or not fields[0] or not fields[5]:
        return None
    domain, below, path, secure, expires, name, value = fields
    if not (path.startswith("/") and expires.lstrip("-").partition(".")[0].isdigit()):
        return None
    if any(ord(char) < 0x20 or ord(char) > 0xFF or char == ";" for char in name + value):
        return None
    subdomains = below.upper() == "TRUE"
    host = domain.lstrip(".").lower()
    if subdomains:
        host = f".{host}"
    elif "." not in host:
        host += ".local"  # what http.cookiejar calls a name without dots
    until = int(float(expires))
    return Cookie(
        version=0,
        name=name,
        value=value,
        port=None,
        port_specified=False,
        domain=host,
        domain_specified=subdomains,
        domain_initial_dot=subdomains,
        path=path,
        path_specified=True,
        secure=secure.upper() == "TRUE",
        expires=until if until > 0 else None,
        discard=until <= 0,
        comment=None,
        comment_url=None,
        rest={},
    )
