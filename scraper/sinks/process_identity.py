"""Which process holds a lease, and whether it is known to have ended.

A process is known by its number and its start time, among the processes of one machine since its
last start and of one PID namespace (a container has its own). Only a process of the same machine
and namespace can judge another one. Of all others nothing is known.

This module owns these facts of Linux. It does not know leases.

One that was killed and that its parent has not waited for yet (a zombie) has ended: nothing of it
runs any more, though its number and its start time are there.

Rejected: a host's name; containers share it. Rejected: the absence of /proc/PID; `hidepid` hides
the processes of other users. Rejected: the number alone; it is used again.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROC = Path("/proc")


def own_process() -> dict[str, Any]:
    """Our own process, as JSON: `pid`, `started` (clock ticks since boot) and `processes`.

    `processes` names the set in which `pid` is unique. It is "" where that can't be found.
    """
    return {"pid": os.getpid(), "started": _started(os.getpid()), "processes": _processes()}


def has_ended(process: Mapping[str, Any]) -> bool:
    """Whether the process that `own_process` described is known to have ended."""
    pid, processes = process.get("pid"), process.get("processes")
    if not processes or processes != _processes() or type(pid) is not int or pid <= 0:
        return False
    try:
        os.kill(pid, 0)  # signal 0 only asks
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # EPERM: it is another user's, and alive
        pass
    was, fields = process.get("started"), _stat(pid)
    if type(was) is not int or fields is None:
        return False
    return _started_at(fields) != was or _is_zombie(fields)


def _started(pid: int) -> int | None:
    """The start time of a process in clock ticks since boot. None if it can't be read."""
    fields = _stat(pid)
    return None if fields is None else _started_at(fields)


def _stat(pid: int) -> list[bytes] | None:
    """/proc/PID/stat from its third field on (proc_pid_stat(5)). None if it can't be read.

    The second field may contain anything. The 20th and the 22nd are numbers.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        stat = (_PROC / str(pid) / "stat").read_bytes()
        fields = stat[stat.rindex(b")") + 1 :].split()
        int(fields[17]), int(fields[19])
        return fields
    return None


def _started_at(fields: list[bytes]) -> int:
    return int(fields[19])


def _is_zombie(fields: list[bytes]) -> bool:
    """Whether it has ended, with all of its threads: the first may end before others."""
    return fields[0] in {b"Z", b"X"} and int(fields[17]) <= 1


def _processes() -> str:
    """Boot, PID namespace and time namespace, of which start times depend."""
    try:
        if os.readlink(_PROC / "self") != str(os.getpid()):
            return ""  # /proc shows the processes of another namespace
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespaces = [os.stat(_PROC / "self/ns" / kind).st_ino for kind in _namespaces()]
    except OSError:
        return ""
    return ":".join([boot, *map(str, namespaces)])


def _namespaces() -> tuple[str, ...]:
    return ("pid", "time") if (_PROC / "self/ns/time").exists() else ("pid",)
