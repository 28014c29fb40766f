"""Where an archive lies, by its destination: `tar:FILE`, `tar:-` or `zip:FILE`.

Our own files of `tar:pages.tar` lie beside it, in `pages.tar.scraper/`: an archive can't hold a
manifest that grows. A link to an archive is another name of it: our files lie beside the archive
itself, so that all runs have one lock and one manifest, whichever name they are given.

Owns: these names. Does not know: what is in an archive.
"""

import os
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from scraper.model.errors import UsageError
from scraper.sinks.directory.names import refuse_tilde

HOME = ".scraper"  # the end of the name of the directory for our own files
STREAM = "tar:-"


class Form(Enum):
    """What an archive is made of."""

    TAR = "tar"
    TAR_GZ = "tar.gz"
    ZIP = "zip"


class ArchivePlace(NamedTuple):
    """An archive that is a file, and no link. `home`: the directory for our own files."""

    form: Form
    path: Path

    @property
    def home(self) -> Path:
        """The directory that holds our own files."""
        return self.path.with_name(self.path.name + HOME)


_TAR = {".tar": Form.TAR, ".tar.gz": Form.TAR_GZ, ".tgz": Form.TAR_GZ}


def archive_place(destination: str) -> ArchivePlace:
    """The file that `destination` names. Raises UsageError."""
    scheme, _, path = destination.partition(":")
    if not path or path.endswith("/"):
        raise UsageError(f"--to {destination!r} names no file: {scheme}:FILE.{scheme}")
    if path == "-":
        raise UsageError(
            f"--to {destination!r}: a zip has its directory at the end and is written in a file;"
            " tar:- goes to stdout"
        )
    refuse_tilde(destination, f"{scheme}:", path)
    name = path.rpartition("/")[2].lower()
    if scheme == "zip":
        if not name.endswith(".zip"):
            raise UsageError(f"--to {destination!r}: the name of a zip ends with .zip")
        return ArchivePlace(Form.ZIP, _followed(Path(path)))
    for ending, form in _TAR.items():
        if name.endswith(ending):
            return ArchivePlace(form, _followed(Path(path)))
    raise UsageError(
        f"--to {destination!r}: the name of a tar ends with .tar, .tar.gz or .tgz (others through"
        " a pipe: --to tar:- | zstd > FILE.tar.zst)"
    )


def _followed(path: Path) -> Path:
    """The file that `path` leads to, if that is a link to one. It may not be there yet."""
    if not path.is_symlink():
        return path
    real = Path(os.path.realpath(path))
    return real if real.is_file() or not real.exists() else path


def archive_home(destination: str) -> Path | None:
    """The directory for our own files of an archive. None: it is a stream, and has none."""
    return None if destination == STREAM else archive_place(destination).home
