"""Any small request to a store by libcurl, waited for by its caller: PUT, GET, HEAD, DELETE.

Owns: the methods, and how long an answer may be. Does not know: stores and signatures. The options
of libcurl, and what its errors say, are those of a put (`curl_put.py`).

Rejected: bodies of any size, piece by piece. A multi handle and a poller for each would be needed,
and boto3 reads them already.
"""

import pycurl

from scraper.sinks.curl_put import CurlPut
from scraper.sinks.put_request import Answer, NoAnswer, PutRequest

MOST_BYTES = 4 << 20  # of a body; a page of a list has about 1 MB at most


class CurlCall(CurlPut):
    """One handle. One thread at a time uses it."""

    most_content = MOST_BYTES

    def __init__(self) -> None:
        self._repeats = False  # whether libcurl may send it again where a kept connection broke
        super().__init__()

    def ask(self, method: str, request: PutRequest) -> Answer | NoAnswer:
        """The answer to a request, with its body."""
        easy = self.easy
        self._repeats = method != "PUT"  # a second put may not meet the condition of the first
        easy.setopt(pycurl.NOBODY, 0)
        self.begin(request)
        easy.unsetopt(pycurl.CUSTOMREQUEST)
        if method == "HEAD":
            easy.setopt(pycurl.NOBODY, 1)
        elif method != "PUT":
            easy.setopt(pycurl.HTTPGET, 1)
        if method in {"PUT", "DELETE"}:
            easy.setopt(pycurl.CUSTOMREQUEST, method)
        return self._wait()

    # ------------------------------------------------------------ called by libcurl

    def _ask(self, *where: object) -> int:
        if self._asked and not self._repeats:
            return pycurl.PREREQFUNC_ABORT  # type: ignore[no-any-return]
        return super()._ask(*where)
