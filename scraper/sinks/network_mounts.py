"""Directories that other machines see, where a lock of this machine keeps nobody out there.

flock(2) reaches other machines on NFS from Linux 2.6.12 on, on SMB and on most cluster file
systems. Some mounts keep it to themselves: NFS with `local_lock=flock`, `local_lock=all` or
`nolock` (nfs(5)), SMB with `nobrl` (mount.cifs(8)), Lustre with `localflock` (mount.lustre(8)),
sshfs, and what shows an object store as files.

Owns: which mounts these are, by what Linux tells (proc_pid_mountinfo(5)). Does not know: locks.
Nothing is known on other systems. Rejected: trying it out; it takes a second machine.
"""

import contextlib
import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_LOCAL = {
    "nfs": {"local_lock=all", "local_lock=flock", "nolock"},
    "nfs4": {"local_lock=all", "local_lock=flock", "nolock"},
    "cifs": {"nobrl"},
    "smb3": {"nobrl"},
    "lustre": {"localflock"},
}
_NEVER = {
    *("fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.mountpoint-s3", "fuse.mount-s3"),
    *("fuse.goofys", "fuse.gcsfuse", "fuse.blobfuse", "fuse.blobfuse2"),
}


def local_lock(path: Path) -> str:
    """Why a lock below `path` keeps out no other machine; "" if nothing speaks against it."""
    with contextlib.suppress(OSError):
        return local_lock_by(MOUNTS.read_text("utf-8", "surrogateescape"), os.path.realpath(path))
    return ""


def local_lock_by(mounts: str, path: str) -> str:
    """The same, by the lines of `mounts`. `path` is absolute, without links."""
    found, longest = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if len(left) < 6 or len(right) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), left[4])
        below = path == point or path.startswith(point.rstrip("/") + "/")
        if below and len(point) >= longest:  # of two at one place the later one is seen
            longest, kind = len(point), right[0]
            options = {*left[5].split(","), *right[2].split(",")}
            why = next(iter(sorted(options & _LOCAL.get(kind, set()))), "")
            found = f"{kind} with {why}" if why else kind if kind in _NEVER else ""
    return found
