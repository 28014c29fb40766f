"""What a server is asked before the first object: whether it can replace a file in one step.

A small file is made under a temporary name and renamed over another one. Some FTP servers refuse
that, and SFTP servers without posix-rename@openssh.com. There a run would have to delete the old
object first, and a kill between the two would lose it. So such a destination is refused.

Owns: the questions. Does not know: what the sink does with the answers.
"""

from io import BytesIO
from typing import NamedTuple

from scraper.sinks.remote_files.faults import Fault, Trouble
from scraper.sinks.remote_files.servers import Server
from scraper.sinks.remote_files.temporary_names import TemporaryNames

_OLD, _NEW = b"scraper: the older one\n", b"scraper: this one replaced it\n"
_AWKWARD = " #%&'+,;=@~\u00e9"  # that keys may have, and that some server took for something else
_TIME_MS = 1_445_412_480_000  # any, in whole seconds, which is as fine as most servers keep it


class Probed(NamedTuple):
    """What was found out. `keeps_times`: whether a file keeps the time that it was given.

    `refused`: characters in a name that the server does not take, or takes for something else.
    """

    keeps_times: bool
    ignores_case: bool
    refused: str = ""


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
        refused = _refused(server, directory, names)
        return Probed(found.modified_ms == _TIME_MS, upper is not None, refused)
    finally:
        for left in (new, path):
            _tidy(server, left)


def _replace(server: Server, new: str, path: str) -> None:
    try:
        server.rename(new, path)
    except Fault as fault:
        if fault.spent:
            raise
        text = f"the server can't replace a file by a rename: {fault}"
        hint = "without that a reader could see a part of a file, or none"
        raise Fault(fault.trouble, text, hint=hint) from None
    if server.stat(new) is not None:
        raise Fault(Trouble.UNKNOWN, "the server copies a file where it should rename it")


def _refused(server: Server, directory: str, names: TemporaryNames) -> str:
    """Those of _AWKWARD that don't stay as they are. Each is asked only if all together fail."""
    if _takes(server, directory, names, _AWKWARD):
        return ""
    return "".join(one for one in _AWKWARD if not _takes(server, directory, names, one))


def _takes(server: Server, directory: str, names: TemporaryNames, characters: str) -> bool:
    """Whether a file with these in its name is there, and listed, under this very name."""
    start = f"probe-{names.run}-a"
    name, new = f"{start}{characters}b", names.beside(f"{directory}/probe")
    try:
        server.put(new, BytesIO(_NEW), None)
        server.rename(new, f"{directory}/{name}")
        taken = server.stat(f"{directory}/{name}") is not None
    except Fault as fault:
        if fault.spent:
            raise
        taken = False
    _tidy(server, new)
    listed = {one.name for one in server.list(directory) if one.name.startswith(start)}
    for one in listed | {name}:
        _tidy(server, f"{directory}/{one}")
    return taken


def _tidy(server: Server, path: str) -> None:
    try:
        server.remove(path)
    except Fault:
        return
