"""A list that lies on a file server, read into a temporary file before the run.

Owns: that. Does not know: the grammar of lists.
"""

import tempfile
from typing import BinaryIO

from scraper.model.errors import ListError
from scraper.model.urls import redact
from scraper.sinks.base import SinkOptions
from scraper.sinks.remote_files.address import HOME, Address, parse
from scraper.sinks.remote_files.faults import Fault
from scraper.sinks.remote_files.servers import Server, Settings, connector
from scraper.sinks.remote_files.sink import TIMEOUT_S
from scraper.sinks.remote_files.tree import is_directory


def open_file(url: str, options: SinkOptions) -> BinaryIO:
    """The file at `url`, whole, from its beginning. Raises UsageError, and ListError.

    The password of --to is not sent to the server of a list.
    """
    address = parse(url, "the list", variable=False)
    try:
        return _fetched(address, Settings(TIMEOUT_S, options.cacert))
    except ImportError as error:
        text = f"{address.scheme}:// needs what is not installed ({error.name or error})"
        raise ListError(text, hint="pip install 'scraper[fsspec]'") from None
    except Fault as fault:
        raise ListError(f"can't fetch the list {redact(url)!r}: {fault}", hint=fault.hint) from None
    except OSError as error:
        raise ListError(f"can't keep the list {redact(url)!r}: {error}") from None


def _fetched(address: Address, settings: Settings) -> BinaryIO:
    server = connector(address.scheme)(address, settings)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it is handed over
    try:
        path = _path(server, address.path)
        try:
            for piece in server.read(path):
                file.write(piece)
        except Fault as fault:  # many servers say no more than "Failure"
            if not fault.spent and is_directory(server, path or "/"):
                raise Fault(fault.trouble, "it is a directory") from None
            raise
        file.seek(0)
    except BaseException:
        file.close()
        raise
    finally:
        server.close()
    return file


def _path(server: Server, path: str) -> str:
    if path.startswith(f"{HOME}/"):
        return f"{server.home().rstrip('/')}{path.removeprefix(HOME)}"
    return path
