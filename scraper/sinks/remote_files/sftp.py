"""SFTP, by fsspec's SFTPFileSystem, which is paramiko's client.

fsspec accepts any host key. Here a server is known by known_hosts, or refused. What `ssh` reads of
its config is read too: HostName, Port, User, IdentityFile, UserKnownHostsFile, ProxyCommand and
ProxyJump. Keys of an agent and ~/.ssh/id_* are tried as paramiko does.

A file is replaced by the request posix-rename@openssh.com only: the rename of the protocol itself
refuses an existing name. A server without it is refused by the probe.

SFTP says "Failure" for a full disk and for a read-only one alike. Where the server has
statvfs@openssh.com, it is asked which it is.

Rejected: sshfs, which is asyncssh's client. Where posix-rename is missing its `mv` copies by a
shell, and deletes the first file even if that failed: the only copy was lost.
"""

import errno
import getpass
import logging
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem
from paramiko.sftp import CMD_EXTENDED
from paramiko.sftp_attr import SFTPAttributes

from scraper.sinks.remote_files.address import Address
from scraper.sinks.remote_files.faults import (
    CLOSED,
    Fault,
    Trouble,
    of_os_error,
    without_names,
    words_of,
)
from scraper.sinks.remote_files.servers import Entry, Settings
from scraper.sinks.remote_files.sftp_names import listed, sent
from scraper.sinks.remote_files.ssh_config import Route, fingerprint, route_to

_PIECE = 1 << 18
_KEEPALIVE_S = 15
_AT_ONCE = 64  # requests for pieces of 32 KiB: they bound the memory that a large file takes
_READ_ONLY = 1  # the flag ST_RDONLY of statvfs@openssh.com
_LEAST_FREE = 1 << 16  # bytes: below this a disk is full
_NO_BANNER = ("No existing session", "protocol banner")  # what paramiko says of silence
_ENDED = ("transport shut down", "Authentication timeout")  # a server that ended, or is too busy
_UNSUPPORTED = "unsupported"
_HINT = "a key in ~/.ssh or an agent, a password in SCRAPER_TO_PASSWORD or ~/.netrc"


class _UnknownHost(paramiko.MissingHostKeyPolicy):
    def __init__(self, route: Route) -> None:
        self._route = route

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        del client, hostname
        text = f"its host key is in no known_hosts file ({key.get_name()} {fingerprint(key)})"
        hint = f"compare that fingerprint with the server's, then: {self._route.scan}"
        raise Fault(Trouble.SIGN_IN, text, hint=hint)


class _KnownHosts(SFTPFileSystem):  # type: ignore[misc]
    """fsspec's class, but a server has to be known."""

    cachable = False
    protocol = ()  # so that fsspec does not take it for its own

    def __init__(self, route: Route, password: str | None, timeout_s: float) -> None:
        self._route = route
        self._password = password
        self._timeout_s = timeout_s
        super().__init__(route.host)

    def _connect(self) -> None:
        route, timeout_s = self._route, self._timeout_s
        client = self.client = paramiko.SSHClient()
        client.set_missing_host_key_policy(_UnknownHost(route))
        for path in route.known_hosts:
            with suppress(OSError):
                client.load_system_host_keys(path)
        proxy = paramiko.ProxyCommand(route.proxy_command) if route.proxy_command else None
        try:
            keys: Any = route.keys or None  # its types know one only
            client.connect(
                route.host,
                route.port,
                route.user or getpass.getuser(),
                self._password,
                key_filename=keys,
                timeout=timeout_s,
                banner_timeout=timeout_s,
                auth_timeout=timeout_s,
                channel_timeout=timeout_s,
                sock=proxy,
            )
            transport = client.get_transport()
            assert transport is not None, "it is connected"
            transport.set_keepalive(_KEEPALIVE_S)
            _bound(transport.sock, timeout_s)
            self.ftp = client.open_sftp()
            channel = self.ftp.get_channel()
            assert channel is not None, "it is open"
            channel.settimeout(timeout_s)
        except BaseException:
            client.close()
            raise


class SftpServer:
    """See `servers.Server`."""

    def __init__(self, files: SFTPFileSystem) -> None:
        self._files = files
        self._sftp: paramiko.SFTPClient = files.ftp
        self._syncs = True  # until the server says that it can't

    def home(self) -> str:
        """See `Server`."""
        with _told():
            return str(self._sftp.normalize("."))

    def put(self, path: str, file: BinaryIO, modified_ms: int | None) -> None:
        """See `Server`."""
        with self._judged(path), self._sftp.open(sent(path), "wb") as remote:
            remote.set_pipelined(True)
            while piece := file.read(_PIECE):
                remote.write(piece)
                self._await_writes(remote, _AT_ONCE)
            self._await_writes(remote, 0)
            if modified_ms is not None:
                remote.utime((modified_ms // 1000, modified_ms // 1000))
            self._sync(remote)

    def put_new(self, path: str, data: bytes) -> bool:
        """See `Server`."""
        try:
            with self._judged(path), self._sftp.open(sent(path), "wxb") as remote:
                remote.write(data)
        except Fault as fault:  # SFTP's answer for a file that is there is "Failure"
            if not fault.spent and self.stat(path) is not None:
                return False
            raise
        return True

    def stat(self, path: str) -> Entry | None:
        """See `Server`."""
        try:
            with _told(path):
                return _entry(path, self._sftp.lstat(sent(path)))
        except Fault as fault:
            if fault.trouble is Trouble.MISSING:
                return None
            raise

    def leads_to_directory(self, path: str) -> bool:
        """See `Server`."""
        try:
            with _told(path):
                return _entry(path, self._sftp.stat(sent(path))).is_directory
        except Fault as fault:
            if fault.trouble is Trouble.MISSING:
                return False
            raise

    def rename(self, old: str, new: str) -> None:
        """See `Server`."""
        with self._judged(new), _told(f"{old}/{new}"):
            self._sftp.posix_rename(sent(old), sent(new))

    def read(self, path: str) -> Iterator[bytes]:
        """See `Server`."""
        with _told(path), self._sftp.open(sent(path), "rb") as remote:
            remote.prefetch(max_concurrent_requests=_AT_ONCE)
            while piece := remote.read(_PIECE):
                yield piece

    def list(self, path: str) -> Iterator[Entry]:
        """See `Server`."""
        with _told(path):
            for name, found in listed(self._sftp, path):
                yield _entry(name, found)

    def make_directory(self, path: str) -> None:
        """See `Server`."""
        with self._judged(path):
            self._sftp.mkdir(sent(path))

    def remove(self, path: str) -> None:
        """See `Server`."""
        with self._judged(path):
            self._sftp.remove(sent(path))

    def remove_directory(self, path: str) -> None:
        """See `Server`."""
        with _told(path):
            self._sftp.rmdir(sent(path))

    def close(self) -> None:
        """See `Server`."""
        with suppress(Exception):
            self._files.client.close()

    def _await_writes(self, remote: paramiko.SFTPFile, left: int) -> None:
        """Read the answers to writes until `left` are outstanding.

        paramiko itself reads them too, but passes over what they say: a write that failed would
        leave a hole in the file.
        """
        asked = remote._reqs  # type: ignore[attr-defined]  # noqa: SLF001
        while len(asked) > left:
            self._sftp._read_response(asked.popleft())  # type: ignore[attr-defined]  # noqa: SLF001

    def _sync(self, remote: paramiko.SFTPFile) -> None:
        """Have the bytes on the server's disk. PROTOCOL of OpenSSH, 3.6 fsync@openssh.com."""
        if not self._syncs:
            return
        try:
            self._extended("fsync@openssh.com", remote.handle)
        except OSError as error:
            if _UNSUPPORTED not in str(error).lower():
                raise
            self._syncs = False

    def _extended(self, name: str, *values: Any) -> Any:
        found: tuple[int, Any] = self._sftp._request(  # type: ignore[attr-defined] # noqa: SLF001
            CMD_EXTENDED, name, *values
        )
        return found[1]

    @contextmanager
    def _judged(self, path: str) -> Iterator[None]:
        """Errors of a change become Faults. A bare "Failure" is asked about."""
        try:
            with _told(path):
                yield
        except Fault as fault:
            if fault.trouble is Trouble.UNKNOWN:
                raise self._asked(path, fault) from None
            raise

    def _asked(self, path: str, fault: Fault) -> Fault:
        """The same, where the file system says why. 3.5 of the PROTOCOL: statvfs@openssh.com."""
        above = path.rpartition("/")[0] or "/"
        try:
            told = self._extended("statvfs@openssh.com", sent(above))
            numbers = [told.get_int64() for _ in range(11)]
        except Exception:  # noqa: BLE001 - the first error is the one that is told
            return fault
        if numbers[9] & _READ_ONLY:
            return Fault(Trouble.READ_ONLY, "the file system is read-only")
        if numbers[4] * numbers[1] < _LEAST_FREE or (numbers[5] and not numbers[7]):
            return Fault(Trouble.FULL, "no space is left on the server")
        return fault


def connect(address: Address, settings: Settings) -> SftpServer:
    """A new connection. Raises Fault."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it logs the errors that it raises
    route = route_to(address)
    with _told():
        return SftpServer(_KnownHosts(route, address.password, settings.timeout_s))


def _bound(sock: Any, timeout_s: float) -> None:
    """Have a connection end that takes no bytes, where a write itself has no deadline."""
    with suppress(OSError, AttributeError):  # a proxy's pipe is no socket
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, int(timeout_s * 1000))


def _entry(name: str, found: SFTPAttributes) -> Entry:
    mode = found.st_mode or 0
    modified_ms = None if found.st_mtime is None else found.st_mtime * 1000
    size = found.st_size or 0
    return Entry(name, stat.S_ISREG(mode), stat.S_ISDIR(mode), size, modified_ms)


@contextmanager
def _told(path: str = "") -> Iterator[None]:
    """Errors of paramiko become Faults. `path` is what was asked for."""
    try:
        yield
    except paramiko.BadHostKeyException as error:
        shown = f"{error.key.get_name()} {fingerprint(error.key)}"
        text = f"its host key is another than known_hosts has ({shown})"
        hint = "somebody may be in between; if the server has a new key: ssh-keygen -R HOST"
        raise Fault(Trouble.SIGN_IN, text, hint=hint) from None
    except (paramiko.AuthenticationException, paramiko.PasswordRequiredException) as error:
        if any(words in str(error) for words in _ENDED):
            raise Fault(Trouble.BROKEN, words_of(error), passing=True) from None
        raise Fault(Trouble.SIGN_IN, words_of(error), hint=_HINT) from None
    except paramiko.SSHException as error:
        raise _of_ssh(error) from None
    except TimeoutError:
        raise Fault(Trouble.SILENT, "the server did not answer in time") from None
    except EOFError:
        raise Fault(Trouble.BROKEN, "the server closed the connection", passing=True) from None
    except OSError as error:
        raise Fault(_trouble(error, path), words_of(error)) from None
    except UnicodeEncodeError:
        raise Fault(Trouble.NAME, "a name that can't be sent as UTF-8") from None
    except (paramiko.SFTPError, ValueError) as error:  # words of an answer that are not UTF-8
        raise Fault(Trouble.UNKNOWN, f"no answer of SFTP: {words_of(error)}", spent=True) from None


def _of_ssh(error: paramiko.SSHException) -> Fault:
    """What an error of the protocol says, which is no answer to a request."""
    if "No authentication methods" in str(error):
        return Fault(Trouble.SIGN_IN, "there is no key and no password", hint=_HINT)
    if isinstance(error.__context__, EOFError | ConnectionError):  # it has no room: MaxStartups
        text = "the server closed the connection before it said who it is"
        return Fault(Trouble.BROKEN, text, passing=True)
    if any(words in str(error) for words in _NO_BANNER):
        return Fault(Trouble.SILENT, "no SSH server answered there in time")
    return Fault(Trouble.BROKEN, words_of(error))


def _trouble(error: OSError, path: str) -> Trouble:
    """An error without a number is an answer of the server, or of paramiko's closed socket."""
    numbers = {errno.EPIPE, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOTCONN, errno.EBADF}
    broken = isinstance(error, socket.gaierror | paramiko.ssh_exception.NoValidConnectionsError)
    if broken or error.errno in numbers or CLOSED in without_names(str(error), path).lower():
        return Trouble.BROKEN
    return of_os_error(error, path)
