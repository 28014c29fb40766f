"""Puts that the curl engine carries beside its fetches, in the same multi handle.

The transfer keeps its slot until its put has ended. A put has a time limit of its own, which
libcurl watches: it is rarely reached. A put that the run has given up goes on until the engine is
closed, so that what is stored after all is known.

Owns: the easy handles of puts, and whose put each of them carries. Does not know: stores, and which
transfers may commit (`engine.py`).
"""

from scraper.engines.base import conclude
from scraper.engines.curl.multi import Multi
from scraper.sinks.curl_put import CurlPut
from scraper.sinks.put_request import PutRequest
from scraper.transfer import Transfer


class Puts:
    """See the module. Used by one thread."""

    def __init__(self, multi: Multi) -> None:
        self._multi = multi
        self._all: list[CurlPut] = []
        self._idle: list[CurlPut] = []
        self._carried: dict[CurlPut, tuple[Transfer, PutRequest]] = {}

    def begin(self, transfer: Transfer, request: PutRequest) -> None:
        """Carry out `request`. Raises pycurl.error for a URL that libcurl refuses."""
        put = self._idle.pop() if self._idle else self._make()
        try:
            put.begin(request)
        except BaseException:
            self._idle.append(put)
            raise
        self._carried[put] = transfer, request
        self._multi.add(put.easy)

    def take(self, put: CurlPut, code: int, message: str) -> Transfer:
        """Conclude the transfer whose put has ended. `code` is libcurl's, 0 for success."""
        transfer, request = self._carried.pop(put)
        self._multi.remove(put.easy)
        self._idle.append(put)
        error: Exception | None
        try:
            error = request.judge(put.outcome(code, message))
        except Exception as raised:  # noqa: BLE001 - `conclude` tells which is which
            error = raised
        conclude(transfer, error)
        return transfer

    def close(self) -> None:
        """Close all handles. The multi handle is closed before."""
        for put in self._all:
            put.close()
        for kept in (self._all, self._idle, self._carried):
            kept.clear()

    def _make(self) -> CurlPut:
        put = CurlPut(self._multi.forget)
        self._all.append(put)
        return put
