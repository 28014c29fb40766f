"""SMB, by fsspec's SMBFileSystem, which is smbprotocol's client.

fsspec's `mv` refuses an existing name, so smbclient's `replace` is called. Each of our connections
has one of TCP to itself: smbclient keeps one for each server, and a broken one would break all.

smbprotocol waits for an answer for ever. But it asks a server for a sign of life when it has heard
nothing for a while, and ends the connection when none comes. That while is our deadline.

Names are those of Windows: a server may map others, or refuse them.
"""

import logging
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import smbclient
from fsspec.implementations.smb import SMBFileSystem
from smbprotocol import exceptions as smb
from smbprotocol.header import NtStatus

from scraper.sinks.remote_files.address import HOME, Address
from scraper.sinks.remote_files.faults import (
    Fault,
    Trouble,
    of_os_error,
    of_text,
    was_made,
    words_of,
)
from scraper.sinks.remote_files.servers import Entry, Settings

_PIECE = 1 << 18
_SHARED = "rwd"  # others may read, write and delete meanwhile
_NS_OF_MS = 1_000_000
_HINT = "the name in the URL (DOMAIN;NAME), its password in SCRAPER_TO_PASSWORD or ~/.netrc"
_OF_STATUS = {
    NtStatus.STATUS_DISK_FULL: Trouble.FULL,
    0xC0000044: Trouble.FULL,  # STATUS_QUOTA_EXCEEDED
    0xC0000802: Trouble.FULL,  # STATUS_DISK_QUOTA_EXCEEDED
    0xC00000A2: Trouble.READ_ONLY,  # STATUS_MEDIA_WRITE_PROTECTED
    NtStatus.STATUS_ACCESS_DENIED: Trouble.DENIED,
    NtStatus.STATUS_SHARING_VIOLATION: Trouble.UNKNOWN,  # another program has it open: it may pass
    NtStatus.STATUS_OBJECT_NAME_NOT_FOUND: Trouble.MISSING,
    NtStatus.STATUS_OBJECT_PATH_NOT_FOUND: Trouble.MISSING,
    NtStatus.STATUS_NO_SUCH_FILE: Trouble.MISSING,
    NtStatus.STATUS_OBJECT_NAME_COLLISION: Trouble.EXISTS,
    NtStatus.STATUS_OBJECT_NAME_INVALID: Trouble.NAME,
    NtStatus.STATUS_LOGON_FAILURE: Trouble.SIGN_IN,
}
_NO_SHARE = {
    0xC00000CC,  # STATUS_BAD_NETWORK_NAME
    NtStatus.STATUS_NOT_FOUND,  # Samba's, asked whether another server has it (DFS)
    NtStatus.STATUS_OBJECT_NAME_NOT_FOUND,
    NtStatus.STATUS_OBJECT_PATH_NOT_FOUND,
}
_BUSY = {  # [MS-ERREF] 2.3.1
    NtStatus.STATUS_INSUFFICIENT_RESOURCES,
    NtStatus.STATUS_INSUFF_SERVER_RESOURCES,
    NtStatus.STATUS_REQUEST_NOT_ACCEPTED,  # "no more connections can be made at this time"
    NtStatus.STATUS_SERVER_UNAVAILABLE,
    0xC00000BF,  # STATUS_NETWORK_BUSY
    0xC00000CE,  # STATUS_TOO_MANY_SESSIONS
}


class _Alone(SMBFileSystem):  # type: ignore[misc]
    """fsspec's class, with a connection of its own."""

    cachable = False
    protocol = ()

    def _connect(self) -> None:
        self.connections: dict[str, Any] = {}
        try:
            smbclient.register_session(
                self.host,
                username=self.username,
                password=self.password,
                port=self._port,
                connection_timeout=self.timeout,
                connection_cache=self.connections,
            )
        except BaseException:
            self.disconnect()
            raise
        for connection in self.connections.values():
            connection._receive_timeout = max(1, self.timeout / 2)  # noqa: SLF001 - see the module

    @property
    def is_connected(self) -> bool:
        """Whether it is still the connection that was made."""
        return all(one.transport.connected for one in self.connections.values())

    def disconnect(self) -> None:
        """Close the connection. Never raises."""
        for connection in self.connections.values():
            with suppress(Exception):
                connection.transport.close()


class SmbServer:
    """See `servers.Server`."""

    def __init__(self, files: _Alone) -> None:
        self._files = files
        self._how: dict[str, Any] = {
            "port": files._port,  # noqa: SLF001
            "connection_cache": files.connections,
            "username": files.username,
            "password": files.password,
        }

    def home(self) -> str:
        """There is none."""
        raise Fault(Trouble.NAME, "the URL names no share: smb://user@host/share/path")

    def look_for_share(self, name: str) -> None:
        """Raise Fault if there is no such share. Whether it may be read is not asked."""
        with _told():
            try:
                smbclient.lstat(self._unc(f"/{name}"), **self._how)
            except smb.SMBOSError as error:
                if error.ntstatus in _NO_SHARE:
                    raise Fault(Trouble.SIGN_IN, f"there is no share {name!r}") from None

    def put(self, path: str, file: BinaryIO, modified_ms: int | None) -> None:
        """See `Server`."""
        with _told(), self._open(path, "wb") as remote:
            while piece := file.read(_PIECE):
                written = 0
                while written < len(piece):
                    written += remote.write(memoryview(piece)[written:].tobytes())
            remote.fd.flush()
        if modified_ms is not None:
            with _told():
                ns = (modified_ms * _NS_OF_MS, modified_ms * _NS_OF_MS)
                smbclient.utime(self._unc(path), ns=ns, **self._how)

    def put_new(self, path: str, data: bytes) -> bool:
        """See `Server`."""

        def put() -> None:
            with _told(), self._open(path, "xb") as remote:
                remote.write(data)

        return was_made(put)

    def stat(self, path: str) -> Entry | None:
        """See `Server`."""
        try:
            with _told():
                found = smbclient.lstat(self._unc(path), **self._how)
        except Fault as fault:
            if fault.trouble is Trouble.MISSING:
                return None
            raise
        mode = found.st_mode
        at_ms = found.st_mtime_ns // _NS_OF_MS
        return Entry(path, stat.S_ISREG(mode), stat.S_ISDIR(mode), found.st_size, at_ms)

    def leads_to_directory(self, path: str) -> bool:
        """See `Server`."""
        try:
            with _told():
                return stat.S_ISDIR(smbclient.stat(self._unc(path), **self._how).st_mode)
        except Fault as fault:
            if fault.trouble is Trouble.MISSING:
                return False
            raise

    def rename(self, old: str, new: str) -> None:
        """See `Server`. A file that somebody has open without sharing is "denied": it may pass."""
        try:
            with _told():
                smbclient.replace(self._unc(old), self._unc(new), **self._how)
        except Fault as fault:
            if fault.trouble is Trouble.DENIED and self.stat(new) is not None:
                text = f"{fault}; another program may have the file open"
                raise Fault(Trouble.UNKNOWN, text) from None
            raise

    def read(self, path: str) -> Iterator[bytes]:
        """See `Server`."""
        with _told(), self._open(path, "rb") as remote:
            while piece := remote.read(_PIECE):
                yield piece

    def list(self, path: str) -> Iterator[Entry]:
        """See `Server`."""
        with _told():
            entries = [_entry(one) for one in smbclient.scandir(self._unc(path), **self._how)]
        yield from entries

    def make_directory(self, path: str) -> None:
        """See `Server`."""
        with _told():
            smbclient.mkdir(self._unc(path), **self._how)

    def remove(self, path: str) -> None:
        """See `Server`."""
        with _told():
            smbclient.remove(self._unc(path), **self._how)

    def remove_directory(self, path: str) -> None:
        """See `Server`."""
        with _told():
            smbclient.rmdir(self._unc(path), **self._how)

    def close(self) -> None:
        """See `Server`. The server is not waited for."""
        self._files.disconnect()

    def _open(self, path: str, mode: str) -> Any:
        unc = self._unc(path)
        return smbclient.open_file(unc, mode, buffering=0, share_access=_SHARED, **self._how)

    def _unc(self, path: str) -> str:
        """The path as it is called there. smbclient would replace a broken connection silently."""
        if not self._files.is_connected:
            raise Fault(Trouble.BROKEN, "the connection was closed")
        return f"\\\\{self._files.host}{path}".replace("/", "\\")


def connect(address: Address, settings: Settings) -> SmbServer:
    """A new connection. Raises Fault."""
    logging.getLogger("smbprotocol").setLevel(logging.CRITICAL)  # it logs what it raises
    domain, semicolon, user = (address.user or "").partition(";")
    name = f"{domain}\\{user}" if semicolon else domain
    with _told():
        server = SmbServer(
            _Alone(
                address.host,
                address.port,
                name or None,
                address.password,
                timeout=settings.timeout_s,
            )
        )
    share = address.path.lstrip("/").partition("/")[0]
    if share not in {"", HOME.lstrip("/")}:  # then `home` says so
        try:
            server.look_for_share(share)
        except Fault:
            server.close()
            raise
    return server


def _entry(found: Any) -> Entry:
    """An entry of a list, without another request."""
    info = found.smb_info
    at_ms = int(info.last_write_time.timestamp() * 1000)
    is_file = found.is_file(follow_symlinks=False)
    return Entry(found.name, is_file, found.is_dir(follow_symlinks=False), info.end_of_file, at_ms)


@contextmanager
def _told() -> Iterator[None]:
    """Errors of smbprotocol become Faults. Some are OSErrors, DiskFull and others are none."""
    try:
        yield
    except (smb.SMBAuthenticationError, smb.LogonFailure) as error:
        text = words_of(error).partition("\n")[0]
        raise Fault(Trouble.SIGN_IN, text, hint=_HINT) from None
    except smb.SMBConnectionClosed as error:
        silent = "timed out" in str(error)
        text = "the server did not answer in time" if silent else "the connection was closed"
        trouble = Trouble.SILENT if silent else Trouble.BROKEN
        raise Fault(trouble, text, passing=not silent) from None
    except smb.SMBOSError as error:
        trouble = _OF_STATUS.get(error.ntstatus) or of_os_error(error)
        raise Fault(trouble, words_of(error), passing=error.ntstatus in _BUSY) from None
    except smb.SMBResponseException as error:
        trouble = _OF_STATUS.get(error.status) or of_text(str(error))
        raise Fault(trouble, _status_words(str(error)), passing=error.status in _BUSY) from None
    except smb.SMBException as error:
        raise Fault(Trouble.BROKEN, words_of(error)) from None
    except TimeoutError:
        raise Fault(Trouble.SILENT, "the server did not answer in time") from None
    except OSError as error:  # of a connection that was made: nobody there is a ValueError
        trouble = of_os_error(error)
        if trouble in {Trouble.BROKEN, Trouble.UNKNOWN}:  # closed by the receiving thread: EBADF
            raise Fault(Trouble.BROKEN, "the connection was closed", passing=True) from None
        raise Fault(trouble, words_of(error)) from None
    except ValueError as error:  # how smbprotocol says that nobody listens
        trouble = Trouble.BROKEN if "connect" in str(error).lower() else Trouble.NAME
        raise Fault(trouble, words_of(error)) from None


def _status_words(text: str) -> str:
    """`Received unexpected status from the server: words (number) NAME: code` as `words NAME`."""
    return text.rpartition("from the server: ")[2]
