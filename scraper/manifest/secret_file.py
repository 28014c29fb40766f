"""The file beside a manifest with the secret of the identities in it (see `identity.py`).

Owns: its place, and that it is written whole. Does not know: when that is due (`file_store.py`).
"""

import contextlib
import os
from pathlib import Path

from scraper.sinks.directory import open_own

NEW = ".new"  # the end of its name until it is whole


def secret_path_of(file: Path) -> Path:
    """Where the secret of the identities in the manifest `file` is kept."""
    return file.with_name(file.name + ".key")


def read_secret(path: Path) -> bytes:
    """The secret at `path`, b"" for none. Raises OSError."""
    try:
        fd = open_own(path, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    with open(fd, "rb") as file:
        return file.read()


def write_secret(path: Path, secret: bytes) -> None:
    """Keep `secret` at `path`, whole or not at all. Others than owner and group can't read it."""
    fresh = path.with_name(path.name + NEW)
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660)
    with open(fd, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(fd)
    fresh.replace(path)
