"""How a sink is made of a URL. It uses neither the network nor the disk.

Owns: what a destination must name. Does not know: servers.
"""

from scraper.sinks.base import SinkOptions
from scraper.sinks.remote_files.address import parse
from scraper.sinks.remote_files.sink import RemoteSink


def open_sink(destination: str, options: SinkOptions) -> RemoteSink:
    """The sink for `sftp://user@host:port/path`, and other schemes. Raises UsageError."""
    address = parse(destination, "--to", variable=True)
    return RemoteSink(address, options)
