"""Objects whose directory lies on another file system than the temporary files.

A file can't be renamed from one mount to another, not even between two mounts of one file
system. Such an object is copied to a temporary name beside its final one, flushed to the disk and
renamed there. A note among the temporary files of the run says in which directory the copy is, so
that the next run finds and removes the copy of a run that was killed.

Owns: copies, their names, and their removal; and which errors concern one mount only.
Does not know: how directories are opened.
Rejected: writing the body there at once. It needs the object's directory before the body has
come, and directories would be made for bodies that never come.
"""

import contextlib
import os
import re
from pathlib import Path

from scraper.sinks.directory.names import from_disk, to_disk
from scraper.sinks.directory.open_directories import OpenDirectories, OpenDirectory

_NOTE = ".copied-into"
# A text: few runs need it, and `re` compiles it on its first use.
_COPY = r"\.scraper-run-[0-9a-f]{16}-[0-9a-f]+"
_NOTE_BYTES = 1 << 16  # more than any path
_PIECE = 1 << 20
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PLAIN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_copy(name: str) -> bool:
    """Whether a file of this name is a copy that was not renamed yet, and so no object."""
    return bool(re.fullmatch(_COPY, name))


class CopyOnMount:
    """Copies of one run's temporary files. `temporary` is its directory for them, named `run`."""

    def __init__(self, temporary: OpenDirectory, run: str) -> None:
        self._temporary = temporary
        self._run = run

    def place(self, name: str, target: OpenDirectory, path: str, final: str) -> None:
        """Move the temporary file `name` to `final` in `target`, which is at `path`.

        Raises OSError. The temporary file is there still then, and nothing else is left.
        """
        note, copy = f"{name}{_NOTE}", _copy_name(self._run, name)
        _write(note, to_disk(path), self._temporary)
        try:
            try:
                _copy(name, self._temporary, copy, target)
                os.rename(copy, to_disk(final), src_dir_fd=target.fd, dst_dir_fd=target.fd)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(copy, dir_fd=target.fd)
                raise
        finally:
            with contextlib.suppress(OSError):
                os.unlink(note, dir_fd=self._temporary.fd)
        with contextlib.suppress(OSError):  # `close` removes it at the latest
            os.unlink(name, dir_fd=self._temporary.fd)


def remove_copies(run: Path, directories: OpenDirectories) -> None:
    """Remove the copies that the notes in `run` speak of, as far as possible."""
    notes: list[Path] = []
    with contextlib.suppress(OSError):
        notes += run.glob(f"*{_NOTE}")
    for note in notes:
        copy = _copy_name(run.name, note.name.removesuffix(_NOTE))
        if not is_copy(copy):  # nothing else is ever removed, whatever was planted
            continue
        with contextlib.suppress(OSError):
            target = directories.existing(from_disk(_read(note)))
            os.unlink(copy, dir_fd=target.fd)


def mount_point(path: str, directories: OpenDirectories) -> str | None:
    """Where the file system that `path` lies on is mounted below the root. None: not below it.

    Of a directory that is not there, its nearest parent decides. Raises OSError.
    """
    found, mount = None, _mount_of(directories.existing(""))
    steps = path.split("/") if path else []
    for end in range(1, len(steps) + 1):
        below = "/".join(steps[:end])
        try:
            its_mount = _mount_of(directories.existing(below))
        except OSError:
            break
        if its_mount != mount:
            found, mount = below, its_mount
    return found


def _mount_of(directory: OpenDirectory) -> tuple[int, str]:
    """The device, and where the system tells it (Linux) the mount: a device may have several."""
    mounted = ""
    with contextlib.suppress(OSError):
        facts = Path(f"/proc/self/fdinfo/{directory.fd}").read_text(encoding="ascii")
        mounted = next((line for line in facts.splitlines() if line.startswith("mnt_id:")), "")
    return os.fstat(directory.fd).st_dev, mounted


def _copy_name(run: str, name: str) -> str:
    return f".scraper-{run}-{name}"


def _copy(name: str, source: OpenDirectory, copy: str, target: OpenDirectory) -> None:
    """Copy a file with its times, and flush it to the disk. Raises OSError."""
    with (
        open(os.open(name, _PLAIN_FILE, dir_fd=source.fd), "rb", buffering=0) as old,
        open(os.open(copy, _NEW_FILE, 0o666, dir_fd=target.fd), "wb", buffering=0) as new,
    ):
        while piece := old.read(_PIECE):
            _write_all(new.fileno(), piece)
        found = os.fstat(old.fileno())
        os.utime(new.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
        os.fsync(new.fileno())


def _write(name: str, content: bytes, directory: OpenDirectory) -> None:
    fd = os.open(name, _NEW_FILE, 0o666, dir_fd=directory.fd)
    try:
        _write_all(fd, content)
    finally:
        os.close(fd)


def _write_all(fd: int, content: bytes) -> None:
    written = os.write(fd, content)
    while written < len(content):
        written += os.write(fd, memoryview(content)[written:])


def _read(note: Path) -> bytes:
    fd = os.open(note, _PLAIN_FILE)
    try:
        return os.read(fd, _NOTE_BYTES)
    finally:
        os.close(fd)
