"""Which process holds a lease, and whether it is known to have ended.

A process is known by its number and its start time, among the processes of one machine since its
last start and of one PID namespace (a container has its own). Only a process of the same machine
and namespace can judge another one. Of all others nothing is known.

This module owns these facts of Linux. It does not know leases.

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
    was, started = process.get("started"), _started(pid)
    return type(was) is int and started is not None and started != was


def _started(pid: int) -> int | None:
    """The start time of a process in clock ticks since boot. None if it can't be read.

    It is the 22nd field of /proc/PID/stat (proc_pid_stat(5)); the second may contain anything.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        stat = (_PROC / str(pid) / "stat").read_bytes()
        return int(stat[stat.rindex(b")") + 1 :].split()[19])
    return None


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
