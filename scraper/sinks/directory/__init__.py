"""The sink of a directory: one file an object, written beside its place and renamed.

Owns: the files below the destination. Does not know: URLs, HTTP.
Others import `open_sink`, `path_of`, and `OWN`, the directory of our own files.
"""

from scraper.sinks.directory.sink import OWN, open_sink, path_of

__all__ = ["OWN", "open_sink", "path_of"]
