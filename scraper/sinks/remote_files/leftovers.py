"""Temporary files of runs that were killed: found and removed by the next run.

They lie beside the objects, anywhere in the destination. A run that has such files puts a mark
first, and removes it at its end. So only where a mark of a dead run is left, the whole destination
is walked, once.

A mark is of a dead run if its process is known to have ended, or if this run holds the destination
alone. Runs of shards go on side by side: they leave alone what they can't judge.

Owns: who removes what, when. Does not know: locks. It is called after the lock is held, before the
first file of the run is written.
"""

import json
from collections.abc import Callable, Iterable
from io import BytesIO

from scraper.sinks.process_identity import has_ended, own_process
from scraper.sinks.remote_files.faults import Fault, Trouble
from scraper.sinks.remote_files.servers import Server
from scraper.sinks.remote_files.temporary_names import MARKS, mark_of, run_of
from scraper.sinks.remote_files.tree import walk
from scraper.source.keys import OWN_DIRECTORY

_LOCK = "/lock.json"
_PLANS = f"{OWN_DIRECTORY}/plans/"


def put_mark(server: Server, root: str, run: str) -> None:
    """Say that this run has temporary files. The directory exists. Raises Fault."""
    server.put(f"{root}/{mark_of(run)}", BytesIO(json.dumps(own_process()).encode()), None)


def remove_mark(server: Server, root: str, run: str) -> None:
    """Say that it has none any more. Raises Fault."""
    remove(server, f"{root}/{mark_of(run)}")


def sweep(server: Server, root: str, run: str, stopped: Callable[[], bool]) -> None:
    """Remove what dead runs have left below `root`. Raises Fault.

    `stopped`: whether the run has ended meanwhile. Then a later one goes on.
    """
    alone = not any(key.endswith(_LOCK) for key, _ in walk(server, root, _PLANS))
    others = [one for one in _marked(server, root) if one != run]
    dead = {one for one in others if alone or _is_dead(server, root, one)}
    if alone:  # leases are put before a mark is
        for entry in list(server.list(f"{root}/{OWN_DIRECTORY}")):
            if entry.is_file and run_of(entry.name) not in {"", run}:
                remove(server, f"{root}/{OWN_DIRECTORY}/{entry.name}")
    if not dead:
        return
    for key, entry in walk(server, root):
        if stopped():
            return
        if run_of(entry.name) in dead:
            remove(server, f"{root}/{key}")
    for one in dead:
        remove_mark(server, root, one)


def remove(server: Server, path: str) -> None:
    """Remove a file, if it is there. Raises Fault."""
    try:
        server.remove(path)
    except Fault as fault:
        if fault.trouble is Trouble.MISSING:
            return
        if fault.spent or server.stat(path) is not None:
            raise


def _marked(server: Server, root: str) -> Iterable[str]:
    for key, _ in walk(server, root, MARKS):
        name = key.removeprefix(MARKS)
        if name.endswith(".json"):
            yield name.removesuffix(".json")


def _is_dead(server: Server, root: str, run: str) -> bool:
    try:
        said = json.loads(b"".join(server.read(f"{root}/{mark_of(run)}")))
    except (Fault, ValueError):
        return False
    return isinstance(said, dict) and has_ended(said)
