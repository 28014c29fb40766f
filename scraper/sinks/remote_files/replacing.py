"""The one way in which a file gets its name: put beside it, compared, renamed.

The body goes under a temporary name into the same directory, so the rename is one step also where
something else is mounted below the destination. The size is asked of the server before the rename
and after it.

A server that was silent may carry out later what it was asked, and make a temporary file that was
looked for in vain. So such names are looked for again at the end.

Owns: that order, and temporary files that could not be removed yet. Does not know: keys.
"""

from typing import BinaryIO

from scraper.sinks.remote_files.faults import Fault, Trouble
from scraper.sinks.remote_files.leftovers import remove
from scraper.sinks.remote_files.servers import Server
from scraper.sinks.remote_files.temporary_names import TemporaryNames
from scraper.sinks.remote_files.tree import Directories


class Replacing:
    """See the module. Many threads use it. `holds`: whether anything may be changed still."""

    def __init__(self, names: TemporaryNames, directories: Directories) -> None:
        self.names = names
        self.holds = _nobody_else
        self._directories = directories
        self._left: list[str] = []
        self._late: set[str] = set()  # names that may come to be

    def put(self, server: Server, path: str, file: BinaryIO, size: int, at_ms: int | None) -> None:
        """Make `file`, of `size` bytes, the file at `path`. May be called again. Raises Fault."""
        self.remove_left(server)
        try:
            self._directories.ensure(server, path.rpartition("/")[0])
            self._replace(server, path, file, size, at_ms)
        except Fault as fault:
            if fault.trouble is Trouble.MISSING:
                self._directories.forget()
            raise

    def remove_left(self, server: Server) -> None:
        """Remove files that could not be removed when their connection was lost. Raises Fault."""
        while (path := self._pop()) is not None:
            try:
                remove(server, path)
            except Fault:
                self._left.append(path)
                raise

    def settle(self, server: Server) -> bool:
        """Leave nothing, at the end of a run. Whether nothing can come later. Raises Fault."""
        self.remove_left(server)
        for path in list(self._late):
            if server.stat(path) is not None:
                remove(server, path)
                self._late.discard(path)
        return not self._late

    def _replace(
        self, server: Server, path: str, file: BinaryIO, size: int, at_ms: int | None
    ) -> None:
        name = self.names.beside(path)
        file.seek(0)
        try:
            server.put(name, file, at_ms)
            _compare(server, name, size)
            self._refuse_late()
            server.rename(name, path)
        except BaseException as error:
            self._left.append(name)
            if isinstance(error, Fault) and error.trouble is Trouble.SILENT:
                self._late.add(name)
            if not (isinstance(error, Fault) and error.spent):
                self._try_to_remove_left(server)
            raise
        _compare(server, path, size)

    def _try_to_remove_left(self, server: Server) -> None:
        try:
            self.remove_left(server)
        except Fault:
            return

    def _refuse_late(self) -> None:
        if not self.holds():
            raise Fault(Trouble.UNKNOWN, "the lease of the destination ran out")

    def _pop(self) -> str | None:
        try:
            return self._left.pop()
        except IndexError:
            return None


def _nobody_else() -> bool:
    """Whether no other run may be at work, where there is no lock."""
    return True


def _compare(server: Server, path: str, size: int) -> None:
    found = server.stat(path)
    there = found.size if found is not None and found.is_file else None
    if there != size:
        text = "nothing" if there is None else f"{there:,} bytes"
        raise Fault(Trouble.UNKNOWN, f"the server was sent {size:,} bytes and has {text}")
