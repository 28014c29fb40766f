"""Where a destination keeps our own files: manifest, index, summary, lock, plans.

They lie in a directory on this machine, or they are objects of the destination's sink. Everything
that chooses between the two asks here, so a new kind of destination says it once.

Owns: that choice. Does not know: what the files are called (each has one owner).
"""

from pathlib import Path

from scraper.model.errors import UsageError
from scraper.sinks.base import scheme_of
from scraper.sinks.directory import path_of
from scraper.sinks.directory.names import refuse_tilde, root_of


def home_of(destination: str) -> Path | None:
    """The directory that holds our own files of `destination`. None: they are objects in it."""
    match scheme_of(destination):
        case "file":
            return path_of(destination)
        case "tar" | "zip":
            from scraper.sinks.archives.place import archive_home

            return archive_home(destination)
        case "warc":
            return archive_directory(destination)
        case _:
            return None


def is_stream(destination: str) -> bool:
    """Whether it is stdout, which keeps nothing: neither objects nor files of ours."""
    return destination in {"-", "tar:-"}


def is_archive(destination: str) -> bool:
    """Whether whole exchanges are kept there, not bodies alone."""
    return scheme_of(destination).partition("+")[0] == "warc"


def archive_directory(destination: str) -> Path:
    """The directory that `warc:DIR` names. Raises UsageError if it names none, or `~`."""
    path = destination.partition(":")[2].removeprefix("//")
    if not path:
        raise UsageError(f"--to {destination!r} names no directory: warc:DIR")
    refuse_tilde(destination, "warc:", path)
    return root_of(path)
