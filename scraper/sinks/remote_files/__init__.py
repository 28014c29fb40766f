"""The sink for file servers that fsspec has a class for: SFTP, FTP, WebDAV, SMB, HDFS.

This room owns the requests to them and the meaning of their errors. It does not know targets or how
they are fetched. It needs the extra `fsspec`.
Others import `open_sink`, and `open_file`, which reads a list that lies on such a server.
"""

from scraper.sinks.remote_files.open_file import open_file
from scraper.sinks.remote_files.open_sink import open_sink

__all__ = ["open_file", "open_sink"]
