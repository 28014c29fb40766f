"""FTP, by fsspec's FTPFileSystem, which is ftplib's client.

fsspec keeps listings: an object that another client made does not exist then, and one that grew is
cut to its old size. So ftplib is asked itself.

MLST and MLSD (RFC 3659) give exact facts. A server without them (vsftpd) is asked SIZE and MDTM,
and its LIST is read, if its lines are those of `ls -l`. A name has no line end: it would be another
command.

An answer is known by its turn alone. So a connection is closed at once after an error that is no
answer: whatever is asked next would be given the answer to something else.

Rejected: the removal of the old file before a rename, where a server refuses to replace one. The
probe refuses such a server.
"""

import contextlib
import ftplib
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO

from fsspec.implementations.ftp import FTPFileSystem

from scraper.sinks.remote_files.address import Address
from scraper.sinks.remote_files.faults import GONE, Fault, Trouble, of_os_error, of_text, words_of
from scraper.sinks.remote_files.ftp_names import ENCODING
from scraper.sinks.remote_files.servers import Entry, Settings

_PIECE = 1 << 16
_TIME = "%Y%m%d%H%M%S"
# One line of `ls -l`: mode, links, owner, group, size, three fields of a date, one space, the name.
_LINE = re.compile(
    r"(?P<mode>[a-z-])[rwxstSTlL-]{9}[.+@]?\s+\d+\s+\S+\s+\S+\s+(?P<size>\d+)\s+\S+\s+\S+\s+\S+ "
    r"(?P<name>.+)"
)


class _Closing(FTPFileSystem):  # type: ignore[misc]
    """fsspec's class. It leaves the connection open when nobody is let in."""

    cachable = False
    protocol = ()

    def _connect(self) -> None:
        try:
            super()._connect()
        except BaseException:
            if hasattr(self, "ftp"):
                self.ftp.close()
            raise


class FtpServer:
    """See `servers.Server`."""

    def __init__(self, files: FTPFileSystem) -> None:
        self._files = files
        self._ftp: ftplib.FTP = files.ftp
        self._home = ""  # known once it is asked for, or left
        self._hides = True  # LIST leaves out names that begin with a dot, as far as is known
        try:
            with self._told():
                self._can = _features(self._ftp)
                self._ftp.voidcmd("TYPE I")
        except Fault:
            self.close()
            raise

    def home(self) -> str:
        """See `Server`."""
        with self._told():
            self._home = self._home or self._ftp.pwd()
        return self._home

    def put(self, path: str, file: BinaryIO, modified_ms: int | None) -> None:
        """See `Server`."""
        with self._told(path):
            self._ftp.storbinary(f"STOR {path}", file, _PIECE)
            if modified_ms is not None and "MFMT" in self._can:
                at = datetime.fromtimestamp(modified_ms // 1000, UTC).strftime(_TIME)
                with contextlib.suppress(ftplib.error_perm):  # the time is not what matters most
                    self._ftp.voidcmd(f"MFMT {at} {path}")

    def put_new(self, path: str, data: bytes) -> bool:
        """See `Server`. FTP has no such request: it is looked first."""
        if self.stat(path) is not None:
            return False
        import io

        self.put(path, io.BytesIO(data), None)
        return True

    def stat(self, path: str) -> Entry | None:
        """See `Server`."""
        try:
            with self._told(path):
                if "MLST" in self._can:
                    return self._mlst(path)
                return self._size(path)
        except Fault as fault:
            # Some say no more than "550 Can't check". Any other answer does not say "none".
            unsaid = fault.trouble is Trouble.UNKNOWN and str(fault).startswith("550")
            if fault.trouble is Trouble.MISSING or unsaid:
                return None
            raise

    def leads_to_directory(self, path: str) -> bool:
        """See `Server`."""
        with self._told(path):
            return self._is_directory(path)

    def rename(self, old: str, new: str) -> None:
        """See `Server`."""
        with self._told(f"{old}/{new}"):
            self._ftp.rename(old, new)

    def read(self, path: str) -> Iterator[bytes]:
        """See `Server`."""
        with self._told(path):
            with self._ftp.transfercmd(f"RETR {path}") as connection:
                while piece := connection.recv(_PIECE):
                    yield piece
            self._ftp.voidresp()

    def list(self, path: str) -> Iterator[Entry]:
        """See `Server`."""
        with self._told(path):
            self._change_to(path)
            if "MLSD" in self._can or "MLST" in self._can:
                entries = map(_of_mlsd, _lines(self._ftp, "MLSD"))
            else:
                entries = map(_of_list, self._all_lines())
        yield from filter(None, entries)

    def make_directory(self, path: str) -> None:
        """See `Server`."""
        with self._told(path):
            self._ftp.mkd(path)

    def remove(self, path: str) -> None:
        """See `Server`."""
        with self._told(path):
            self._ftp.delete(path)

    def remove_directory(self, path: str) -> None:
        """See `Server`."""
        with self._told(path):
            self._change_to("/")
            self._ftp.rmd(path)

    def close(self) -> None:
        """See `Server`."""
        with contextlib.suppress(Exception):
            self._ftp.close()

    @contextmanager
    def _told(self, path: str = "") -> Iterator[None]:
        """See `_told` below. A connection that is of no use any more is closed at once."""
        try:
            with _told(path):
                yield
        except Fault as fault:
            if fault.spent:
                self.close()
            raise

    def _all_lines(self) -> Iterable[str]:
        """LIST, with names that begin with a dot: vsftpd and others leave them out unless asked.

        A server that takes `-a` for a path does not list the directory itself.
        """
        if self._hides:
            with contextlib.suppress(ftplib.error_perm):
                lines = _lines(self._ftp, "LIST -a")
                if any(line.endswith(" .") for line in lines):
                    return lines
            self._hides = False
        return _lines(self._ftp, "LIST")

    def _change_to(self, path: str) -> None:
        """For a list: not every server takes a path with blanks or a dash as its argument."""
        self._home = self._home or self._ftp.pwd()
        self._ftp.voidcmd(f"CWD {path}")

    def _mlst(self, path: str) -> Entry | None:
        """RFC 3659 7.2: the facts are the second line, after a blank."""
        lines = self._ftp.sendcmd(f"MLST {path}").split("\n")
        return _of_mlsd(lines[1].lstrip(" ")) if len(lines) > 1 else None

    def _size(self, path: str) -> Entry | None:
        try:
            size = self._ftp.size(path)
        except ftplib.error_perm as error:
            if self._is_directory(path):
                return Entry(path, is_file=False, is_directory=True, size=0)
            raise error from None
        at = self._ftp.sendcmd(f"MDTM {path}")[4:] if "MDTM" in self._can else ""
        return Entry(path, True, False, size or 0, _ms(at))  # noqa: FBT003 - as they stand there

    def _is_directory(self, path: str) -> bool:
        try:
            self._change_to(path)
        except ftplib.error_perm:
            return False
        return True


def connect(address: Address, settings: Settings) -> FtpServer:
    """A new connection. Raises Fault."""
    with _told():
        files = _Closing(
            address.host,
            address.port or ftplib.FTP_PORT,
            address.user,
            address.password,
            timeout=settings.timeout_s,
            encoding=ENCODING,
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        return FtpServer(files)


def _features(ftp: ftplib.FTP) -> set[str]:
    """What FEAT names. RFC 2389 3.2: a line each, after a blank."""
    try:
        lines = ftp.sendcmd("FEAT").splitlines()
    except ftplib.error_perm:
        return set()
    return {line.split()[0].upper() for line in lines if line[:1] == " " and line.strip()}


def _lines(ftp: ftplib.FTP, command: str) -> list[str]:
    """What a command lists of the directory."""
    lines: list[str] = []
    try:
        ftp.retrlines(command, lines.append)
    except (ftplib.error_perm, ftplib.error_temp):  # no other error is an answer
        ftp.voidcmd("TYPE I")
        raise
    ftp.voidcmd("TYPE I")
    return lines


def _of_mlsd(line: str) -> Entry | None:
    """`fact=value;fact=value; name`, RFC 3659 7.2. None for the directory itself."""
    told, _, name = line.partition("; ")
    facts: dict[str, str] = {}
    for fact in told.split(";"):
        key, _, value = fact.partition("=")
        facts[key.lower()] = value
    kind = facts.get("type", "").lower()
    if kind in {"cdir", "pdir"} and name in {".", ".."}:
        return None
    is_directory = kind in {"dir", "cdir", "pdir"}
    size = int(facts["size"]) if facts.get("size", "").isdecimal() else 0
    return Entry(name, kind == "file", is_directory, size, _ms(facts.get("modify", "")))


def _of_list(line: str) -> Entry | None:
    found = _LINE.fullmatch(line.rstrip("\r\n"))
    if found is None:
        if line.startswith("total ") or not line.strip():
            return None
        raise Fault(Trouble.UNKNOWN, "the server has no MLSD, and its LIST is not that of ls -l")
    if found["name"] in {".", ".."}:
        return None
    mode = found["mode"]
    return Entry(found["name"], mode == "-", mode == "d", int(found["size"]))


def _ms(text: str) -> int | None:
    """A time of RFC 3659 2.3, in milliseconds since 1970. None if it is none."""
    try:
        return int(datetime.strptime(text[:14], _TIME).replace(tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        return None


@contextmanager
def _told(path: str = "") -> Iterator[None]:
    """Errors of ftplib become Faults. Its error_temp and error_perm are no OSErrors."""
    try:
        yield
    except (ftplib.error_perm, ftplib.error_temp) as error:
        raise _of_answer(str(error), path) from None
    except ftplib.Error as error:  # an answer in the wrong place, or none
        raise Fault(of_text(str(error), about=path), str(error), spent=True) from None
    except EOFError:
        raise Fault(Trouble.BROKEN, "the server closed the connection") from None
    except TimeoutError:
        raise Fault(Trouble.SILENT, "the server did not answer in time") from None
    except (socket.gaierror, ConnectionError) as error:
        raise Fault(Trouble.BROKEN, words_of(error)) from None
    except OSError as error:
        trouble = of_os_error(error)
        trouble = Trouble.BROKEN if trouble is Trouble.UNKNOWN else trouble
        raise Fault(trouble, str(error), spent=True) from None
    except AttributeError:  # of ftplib
        raise Fault(Trouble.BROKEN, "the connection was closed") from None
    except ValueError as error:  # a name, or a body that was closed while it was sent
        raise Fault(Trouble.NAME, words_of(error), spent=True) from None


def _of_answer(text: str, path: str) -> Fault:
    """What an answer says, by its code (RFC 959 4.2.1) and its words. `path` was asked for."""
    code = text[:3]
    if code in {"530", "532", "430", "331", "332"}:
        hint = "the name in the URL, its password in SCRAPER_TO_PASSWORD or ~/.netrc"
        return Fault(Trouble.SIGN_IN, text, hint=hint)
    if code in {"421", "425"}:
        return Fault(Trouble.BROKEN, text, passing=True)
    if code in {"452", "552"}:
        return Fault(Trouble.FULL, text)
    if code == "553":
        return Fault(of_text(text, Trouble.NAME, path), text)
    # After a transfer that broke off, pyftpdlib did not answer the next command.
    trouble, passes = of_text(text, about=path), code[:1] == "4"
    return Fault(trouble, text, spent=passes, passing=passes or trouble in GONE)
