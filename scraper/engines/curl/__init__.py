"""The curl engine: libcurl's multi interface, all transfers on one thread.

Owns: libcurl's handles, their sockets, and the hops that wait for an origin. Does not know:
requests, frontier, retries. Others import `CurlEngine`, which needs pycurl 7.45.7 or later.
"""

from scraper.engines.curl.engine import CurlEngine

__all__ = ["CurlEngine"]
