"""The curl engine: libcurl's multi interface, all transfers on one thread.

Owns: libcurl's handles. Does not know: requests. Others import `CurlEngine`, which needs pycurl.
"""

from scraper.engines.curl.engine import CurlEngine

__all__ = ["CurlEngine"]
