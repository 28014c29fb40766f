"""Directories at a server: made when they are missing, and walked.

fsspec's own walk leaves out a directory that it can't read, as if it were empty.

Links on the way to the destination are those of its owner, and are followed. Below it no link is:
a body would be put outside, or found twice.

Owns: which directories are known to be there. Does not know: what the files mean.
"""

from collections.abc import Iterator

from scraper.sinks.remote_files.faults import Fault, Trouble
from scraper.sinks.remote_files.servers import Entry, Server

_DIRECTORY = "a file or a link is where a directory should be"


class Directories:
    """Those that this process has seen. Many threads use it: a set of names is enough.

    `root`: the destination.
    """

    def __init__(self) -> None:
        self.root = ""
        self._there = {""}

    def ensure(self, server: Server, path: str) -> None:
        """Make the directory, and those above it. Raises Fault."""
        if path in self._there:
            return
        found = server.stat(path)
        if found is None:
            self.ensure(server, path.rpartition("/")[0])
            try:
                server.make_directory(path)
            except Fault as fault:
                if fault.spent:
                    raise
                # Made by another in this moment? How servers say "exists" differs, so it is looked.
                found = server.stat(path)
                if found is None or not found.is_directory:
                    raise
        elif not found.is_directory and not (self._is_above(path) and is_directory(server, path)):
            raise Fault(Trouble.NAME, _DIRECTORY)
        self._there.add(path)

    def forget(self) -> None:
        """Look again: somebody has removed one."""
        self._there = {""}

    def _is_above(self, path: str) -> bool:
        """Whether this is the destination, or on the way to it."""
        return f"{self.root}/".startswith(f"{path}/")


def is_directory(server: Server, path: str) -> bool:
    """Whether a directory is there, or a link to one. Raises Fault."""
    found = server.stat(path)
    if found is None or found.is_file or found.is_directory:
        return found is not None and found.is_directory
    return server.leads_to_directory(path)


def walk(server: Server, top: str, prefix: str = "") -> Iterator[tuple[str, Entry]]:
    """Every file below the directory `top`, with its path from there. Links are not followed.

    `prefix`: only paths that begin with it. A missing directory has no files. Raises Fault.
    """
    start = prefix.rpartition("/")[0]
    left = [start]
    while left:
        below = left.pop()
        try:
            entries = list(server.list(f"{top}/{below}" if below else top))
        except Fault as fault:
            # Removed meanwhile, or never there. Some servers have one answer for all refusals.
            if fault.spent or is_directory(server, f"{top}/{below}".rstrip("/") or "/"):
                raise
            continue
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_directory:
                if f"{path}/".startswith(prefix) or path.startswith(prefix):
                    left.append(path)
            elif entry.is_file and path.startswith(prefix):
                yield path, entry
