"""WebDAV, by the WebdavFileSystem of webdav4, which is a class of fsspec on httpx.

Its `mv` copies, refuses an existing name and deletes; here a file is replaced by one MOVE with
`Overwrite: T` (RFC 4918 9.9.3). It takes `p%41c` for an encoded `pAc`, so every path is encoded
before it gets one. A handle of its `open("wb")` that is merely dropped uploads what it has, so no
handle is opened.

A file gets its time by X-OC-Mtime, where a server knows that header (Nextcloud, ownCloud).

Rejected: the deletion of directories. A DELETE of a collection deletes what is in it (9.6.1), also
what another program has put there in this moment.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, BinaryIO
from urllib.parse import quote
from xml.etree.ElementTree import ParseError

import httpx
from webdav4 import client as dav
from webdav4.fsspec import WebdavFileSystem
from webdav4.multistatus import Response

from scraper.schedule import RETRIED_CODES
from scraper.sinks.remote_files.address import Address
from scraper.sinks.remote_files.faults import Fault, Trouble, of_text, was_made
from scraper.sinks.remote_files.servers import Entry, Settings

_HINT = "the name in the URL, its password in SCRAPER_TO_PASSWORD or ~/.netrc"
_OF_CODE = {
    400: Trouble.NAME,
    401: Trouble.SIGN_IN,
    403: Trouble.DENIED,
    404: Trouble.MISSING,
    407: Trouble.SIGN_IN,
    409: Trouble.MISSING,  # of a directory above it
    410: Trouble.MISSING,
    412: Trouble.EXISTS,
    414: Trouble.NAME,
    507: Trouble.FULL,
}
_READ = 1000  # characters of an answer that are looked at


class WebdavServer:
    """See `servers.Server`."""

    def __init__(self, files: WebdavFileSystem) -> None:
        self._client: dav.Client = files.client

    def home(self) -> str:
        """See `Server`."""
        return ""

    def put(self, path: str, file: BinaryIO, modified_ms: int | None) -> None:
        """See `Server`."""
        headers = {} if modified_ms is None else {"X-OC-Mtime": str(modified_ms // 1000)}
        self._put(path, file, headers)

    def put_new(self, path: str, data: bytes) -> bool:
        """See `Server`. A server may ignore the condition, so it is looked first."""
        from io import BytesIO

        if self.stat(path) is not None:
            return False
        return was_made(lambda: self._put(path, BytesIO(data), {"If-None-Match": "*"}))

    def stat(self, path: str) -> Entry | None:
        """See `Server`."""
        try:
            with _told():
                found = self._client.propfind(quote(path) or "/", headers={"Depth": "0"})
                return next((_entry(path, one) for one in found.responses.values()), None)
        except Fault as fault:
            if fault.trouble is Trouble.MISSING:
                return None
            raise

    def leads_to_directory(self, path: str) -> bool:
        """Never: no answer tells a link."""
        del path
        return False

    def rename(self, old: str, new: str) -> None:
        """See `Server`."""
        with _told():
            self._client.move(quote(old), quote(new), overwrite=True)

    def read(self, path: str) -> Iterator[bytes]:
        """See `Server`."""
        url = self._client.join_url(quote(path))
        identity = {"Accept-Encoding": "identity"}
        with _told(), self._client.http.stream("GET", url, headers=identity) as response:
            if not response.is_success:
                response.read()
                raise _of_response(response)
            yield from response.iter_raw()

    def list(self, path: str) -> Iterator[Entry]:
        """See `Server`."""
        with _told():
            quoted = f"{quote(path).rstrip('/')}/"
            found = self._client.propfind(quoted, headers={"Depth": "1"})
            top = self._client.join_url(quoted).path
            entries = [
                _entry(one.path_norm.rpartition("/")[2], one)
                for one in found.responses.values()
                if one.path_norm.rstrip("/") != top.rstrip("/")
            ]
        yield from entries

    def make_directory(self, path: str) -> None:
        """See `Server`."""
        with _told():
            self._client.mkdir(quote(path))

    def remove(self, path: str) -> None:
        """See `Server`."""
        with _told():
            self._client.remove(quote(path))

    def remove_directory(self, path: str) -> None:
        """Nothing: see the module."""

    def close(self) -> None:
        """See `Server`."""
        with suppress(Exception):
            self._client.http.close()

    def _put(self, path: str, file: BinaryIO, headers: dict[str, str]) -> None:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        with _told():
            self._client.upload_fileobj(
                file, quote(path), overwrite=True, size=size, headers=headers
            )


def connect(address: Address, settings: Settings) -> WebdavServer:
    """A new client. It connects at its first request. Raises Fault."""
    scheme = "https" if address.scheme == "webdavs" else "http"
    host = f"[{address.host}]" if ":" in address.host else address.host
    url = f"{scheme}://{host}" + (f":{address.port}" if address.port else "")
    auth = None if address.user is None else (address.user, address.password or "")
    # Without TLS there is no certificate; redirects, which could lead to TLS, are not followed.
    verify: Any = _trusted(settings.cacert) if scheme == "https" else False
    with _told():
        files = WebdavFileSystem(
            url,
            auth=auth,
            retry=False,  # a run has its own attempts
            timeout=settings.timeout_s,
            verify=verify,
            skip_instance_cache=True,
        )
        return WebdavServer(files)


@lru_cache(maxsize=4)
def _trusted(cacert: str | None) -> ssl.SSLContext:
    """One for all connections: it takes a while to read the authorities. Raises Fault."""
    try:
        if cacert is not None or os.environ.get("SSL_CERT_FILE"):
            return ssl.create_default_context(cafile=cacert or os.environ["SSL_CERT_FILE"])
        return httpx.create_ssl_context()
    except OSError as error:
        raise Fault(Trouble.SIGN_IN, f"the authorities can't be read: {error}") from None


def _entry(name: str, found: Response) -> Entry:
    facts = found.properties
    is_directory = facts.resource_type == "directory"
    modified_ms = None if facts.modified is None else int(facts.modified.timestamp()) * 1000
    return Entry(name, not is_directory, is_directory, facts.content_length or 0, modified_ms)


# Those that webdav4 makes of a status. Their own texts guess at the reason.
_OF_CLASS = {
    dav.ResourceNotFound: (Trouble.MISSING, "there is no such file (HTTP 404)"),
    dav.InsufficientStorage: (Trouble.FULL, "no space is left on the server (HTTP 507)"),
    dav.ResourceAlreadyExists: (Trouble.EXISTS, "there is one already"),
    dav.ResourceConflict: (Trouble.MISSING, "the directory is missing (HTTP 409)"),
    dav.ForbiddenOperation: (Trouble.DENIED, "HTTP 403 Forbidden"),
}


@contextmanager
def _told() -> Iterator[None]:
    """Errors of webdav4 and httpx become Faults. None of them is an OSError."""
    try:
        yield
    except dav.HTTPError as error:
        raise _of_response(error.response) from None
    except dav.ClientError as error:
        text, about = str(error), str(getattr(error, "path", ""))
        raise Fault(*_OF_CLASS.get(type(error), (of_text(text, about=about), text))) from None
    except httpx.TimeoutException:
        raise Fault(Trouble.SILENT, "the server did not answer in time") from None
    except httpx.TransportError as error:
        raise Fault(Trouble.BROKEN, str(error) or type(error).__name__) from None
    except (httpx.InvalidURL, UnicodeError) as error:
        raise Fault(Trouble.NAME, str(error)) from None
    except (ParseError, AssertionError, KeyError, ValueError) as error:
        text = f"the answer is not that of a WebDAV server ({type(error).__name__})"
        raise Fault(Trouble.UNKNOWN, text) from None


def _of_response(response: httpx.Response) -> Fault:
    """What a status says, or where it says little, the words of the answer."""
    code = response.status_code
    text = f"HTTP {code} {response.reason_phrase}".strip()
    asked = response.request.url.path
    trouble = _OF_CODE.get(code) or of_text(response.text[:_READ], about=asked)
    if response.has_redirect_location:
        text = f"{text}: another URL has it now"
    hint = _HINT if trouble is Trouble.SIGN_IN else ""
    return Fault(trouble, text, hint=hint, passing=code in RETRIED_CODES)
