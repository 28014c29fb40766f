"""Where a file server is: `sftp://user@host:port/path`, taken apart, and the password for it.

fsspec does not undo the percent-encoding of a password, so this is done here. A password comes from
the URL, else from SCRAPER_TO_PASSWORD, else from ~/.netrc (or $NETRC), as for other FTP programs.

Owns: that. Does not know: keys and agents of SSH (`sftp.py`). A password is in no text that is
shown: `Address` has no password in its `repr`.
"""

import contextlib
import os
import re
import unicodedata
from dataclasses import dataclass, field
from urllib.parse import unquote

from scraper.model.errors import UsageError
from scraper.model.urls import redact_wreck

PASSWORD = "SCRAPER_TO_PASSWORD"  # noqa: S105 - the name of a variable
HOME = "/~"  # a path that begins so is below the directory of who has signed in, as for curl
_SHAPE = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<userinfo>[^/]*)@)?"
    r"(?P<host>\[[^\]/]*\]|[^:/]*)(?::(?P<port>\d*))?(?P<path>/.*|)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Address:
    """A server, who signs in there, and a directory or file. `path` is absolute, or "".

    `user` and `password` are None if nobody has said them, `port` is.
    """

    scheme: str
    host: str
    port: int | None
    user: str | None
    path: str
    password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The server, for people."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")


def parse(url: str, what: str, *, variable: bool) -> Address:
    """The address in `url`. `what` names it in errors.

    `variable`: whether the variable's password is for this server. Raises UsageError.
    """
    found, shown = _SHAPE.fullmatch(url), f"{what} {redact_wreck(url)!r}"
    if not found:
        raise UsageError(f"{shown} is no URL of a server: scheme://user@host:port/path")
    scheme, host = found["scheme"].lower(), unquote(found["host"]).strip("[]")
    if not host:
        raise UsageError(f"{shown} names no host: {scheme}://user@host:port/path")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port < 65536:
        raise UsageError(f"{shown}: no port is {port}")
    if re.search(r"[?#\\]", found["userinfo"] or ""):
        raise UsageError(f"{shown}: in a password, ? is %3F, # is %23 and \\ is %5C")
    user, colon, secret = (found["userinfo"] or "").partition(":")
    name = unquote(user) or None
    password = unquote(secret) if colon else None
    if password is None and variable:
        password = os.environ.get(PASSWORD) or None
    if password is None:
        name, password = _of_netrc(host, name)
    names = unquote(found["path"], errors="surrogateescape").split("/")  # of any bytes
    path = "/" + "/".join(filter(None, names))
    if any(part == ".." for part in path.split("/")):
        raise UsageError(f"{shown}: '..' can't be in the path")
    if any(unicodedata.category(one) == "Cc" for one in path):
        raise UsageError(f"{shown}: a path has no control characters")
    return Address(scheme, host, port, name, "" if path == "/" else path, password)


def _of_netrc(host: str, user: str | None) -> tuple[str | None, str | None]:
    """The name and the password that the file has for `host`; `user` and None without one."""
    import netrc

    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    with contextlib.suppress(OSError, netrc.NetrcParseError, UnicodeDecodeError):
        entry = netrc.netrc(path).hosts.get(host)
        if entry is not None and user in {None, entry[0]}:
            return entry[0] or user, entry[2] or None
    return user, None
