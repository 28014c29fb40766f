"""A small disk of one's own: a tmpfs in a mount namespace that ends with its test.

with SmallDisk(cli.directory, "out", "500k") as disk:
    cli.prefix = disk.prefix        # the program, in its directory, finds it at `out`
    place = Directory(disk.view)    # and we look into it
    disk.resize("10M")
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.command import Command

_UNSHARE = ["unshare", "--mount", "--map-root-user"]


def disks_can_be_had() -> bool:
    """Whether this user may mount in a namespace of its own."""
    command = [*_UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"]
    with suppress(OSError):
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    return False


class SmallDisk:
    """`prefix` begins a command that finds it at `home/name`; `view` is `home` as it sees it."""

    def __init__(self, home: Path, name: str, holder: int) -> None:
        enter = ["nsenter", f"--target={holder}", "--user", "--preserve-credentials", "--mount"]
        self.prefix = [*enter, "env", "--chdir", str(home)]
        self.view = Command(Path(f"/proc/{holder}/root{home}"))
        self._place = home / name

    def resize(self, size: str) -> None:
        """Give it another size."""
        remount = ["mount", "-o", f"remount,size={size}", str(self._place)]
        subprocess.run([*self.prefix, *remount], check=True)


@contextmanager
def small_disk(home: Path, name: str, size: str) -> Iterator[SmallDisk]:
    """A disk of `size`, as mount takes it."""
    place = home / name
    place.mkdir(exist_ok=True)
    script = f"mount -t tmpfs -o size={size} none '{place}'; echo mounted; read _"
    command = [*_UNSHARE, "sh", "-ec", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        yield SmallDisk(home, name, holder.pid)
        holder.communicate(b"\n")
