"""The directory sink: one file for each object, written under a temporary name and renamed.

Owns: the files below the destination. Does not know: URLs, HTTP.
Others import `open_sink`, `path_of`, `OWN` (the name of the directory for our own files);
`is_copy`; `open_own`, `check_own` and `replace_own`, which open these files; `make_directory` and
`flush_path`, which make names durable.
The S3 sink also imports `temporary_files`, for bodies that wait on disk, and the lock of a
directory imports `own_files.lock_own` and `temporary_files.remove_workspace`.
"""

from scraper.sinks.directory.changed_directories import flush_path, make_directory
from scraper.sinks.directory.mounts import is_copy
from scraper.sinks.directory.own_files import check_own, open_own, replace_own
from scraper.sinks.directory.sink import OWN, open_sink, path_of

__all__ = [
    "OWN",
    "check_own",
    "flush_path",
    "is_copy",
    "make_directory",
    "open_own",
    "open_sink",
    "path_of",
    "replace_own",
]
