"""What a server is asked before the first object: whether it can replace a file in one step.

A small file is made under a temporary name and renamed over another one. Some FTP servers refuse
that, and SFTP servers without posix-rename@openssh.com. There a run would have to delete the old
object first, and a kill between the two would lose it. So such a destination is refused.

Owns: the questions. Does not know: what the sink does with the answers.
"""

from io import BytesIO
from typing import NamedTuple

from scraper.sinks.remote_files.faults import GONE, Fault, Trouble
from scraper.sinks.remote_files.servers import Server
from scraper.sinks.remote_files.temporary_names import TemporaryNames

_OLD, _NEW = b"scraper: the older one\n", b"scraper: this one replaced it\n"
_TIME_MS = 1_445_412_480_000  # any, in whole seconds, which is as fine as most servers keep it


class Probed(NamedTuple):
    """What was found out. `keeps_times`: whether a file keeps the time that it was given."""

    keeps_times: bool
    ignores_case: bool


def probe(server: Server, directory: str, names: TemporaryNames) -> Probed:
    """Ask in `directory`, which exists. Nothing stays there. Raises Fault."""
    path, new = f"{directory}/probe-{names.run}", names.beside(f"{directory}/probe")
    try:
        server.put(path, BytesIO(_OLD), None)
        server.put(new, BytesIO(_NEW), _TIME_MS)
        _replace(server, new, path)
        found = server.stat(path)
        listed = {entry.name: entry for entry in server.list(directory)}
        name = path.rpartition("/")[2]
        if found is None or found.size != len(_NEW) or b"".join(server.read(path)) != _NEW:
            raise Fault(Trouble.UNKNOWN, "the server gives back other bytes than it was sent")
        if name not in listed or listed[name].size != len(_NEW):
            raise Fault(Trouble.UNKNOWN, "the server does not list what it was sent")
        upper = server.stat(f"{directory}/{name.upper()}")
        return Probed(found.modified_ms == _TIME_MS, upper is not None)
    finally:
        for left in (new, path):
            _tidy(server, left)


def _replace(server: Server, new: str, path: str) -> None:
    try:
        server.rename(new, path)
    except Fault as fault:
        if fault.trouble in GONE:
            raise
        text = f"the server can't replace a file by a rename: {fault}"
        hint = "without that a reader could see a part of a file, or none"
        raise Fault(fault.trouble, text, hint=hint) from None
    if server.stat(new) is not None:
        raise Fault(Trouble.UNKNOWN, "the server copies a file where it should rename it")


def _tidy(server: Server, path: str) -> None:
    try:
        server.remove(path)
    except Fault:
        return
