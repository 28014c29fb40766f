"""Puts by libcurl: one easy handle that carries a PutRequest, by itself or in a multi handle.

The curl engine adds the handle to its own multi handle. Who has a thread to wait in calls
`perform`. Both get the same `Answer` or `NoAnswer`.

Owns: libcurl's options for a put, and what its errors say. Does not know: stores, signatures, and
who waits. Needs pycurl 7.45.7 or later.

A body of more than one piece is read piece by piece, and before each it is asked whether it may
still be sent. What libcurl and the system have taken over can't be taken back.

Rejected: to read small bodies so too. It costs a call for each. Rejected: XFERINFOFUNCTION. It is
called after a piece was sent.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import pycurl

from scraper.model.version import __version__
from scraper.sinks.put_request import Answer, NoAnswer, PutRequest, Route, Trouble

_MOST_CONTENT = 64 * 1024  # bytes of an answer that are kept; errors are shorter
_FIRST_ERROR = 300
_PIECE = 64 * 1024  # bytes of a body; libcurl asks for no more at once
_LEFT_OUT = ("Expect:", "Accept:")  # libcurl would add them
_LEFT_OUT_AND_TYPE = (*_LEFT_OUT, "Content-Type:")  # it would say that the body is a form


class CurlPut:
    """See the module. One thread at a time uses it. `opened` is called with each new socket.

    `too_long`: an answer was broken off, since its body was longer than `most_content`.
    """

    most_content = _MOST_CONTENT

    def __init__(self, opened: Callable[[int], object] = lambda _fd: None) -> None:
        self.easy: Any = pycurl.Curl()
        self._opened = opened
        self._lines: list[bytes] = []
        self._content: list[bytes] = []
        self._size = 0
        self.too_long = False
        self._asked = False
        self._data = b""
        self._sent = 0  # bytes of it that libcurl took over
        self._may_be_sent: Callable[[], bool] = lambda: True
        self._route: Route | None = None
        self._timeout_s = 0.0
        self.easy.handle = self
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.PATH_AS_IS, 1),  # a key may have a segment `..`
            (pycurl.USERAGENT, f"scraper/{__version__}"),
            (pycurl.HTTP09_ALLOWED, 0),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (pycurl.NOPROXY, ""),
            (pycurl.PROXYAUTH, pycurl.HTTPAUTH_BASIC),
            (pycurl.TCP_NODELAY, 1),
            (pycurl.TCP_KEEPALIVE, 1),
            (pycurl.OPENSOCKETFUNCTION, self._open_socket),
            (pycurl.PREREQFUNCTION, self._ask),
            (pycurl.HEADERFUNCTION, self._lines.append),
            (pycurl.WRITEFUNCTION, self._take),
            (pycurl.READFUNCTION, self._give),
            (pycurl.SEEKFUNCTION, self._seek),
            (pycurl.POSTFIELDS, b""),
            (pycurl.CUSTOMREQUEST, "PUT"),
        ):
            self.easy.setopt(option, value)

    def begin(self, request: PutRequest) -> None:
        """Prepare the handle to carry out `request`. Raises pycurl.error for a URL it refuses."""
        easy = self.easy
        self._lines.clear()
        self._content.clear()
        self._size = 0
        self.too_long = self._asked = False
        self._may_be_sent = request.may_be_sent
        if request.route is not self._route:
            self._take_route(request.route)
        if request.timeout_s != self._timeout_s:
            self._timeout_s = request.timeout_s
            easy.setopt(pycurl.TIMEOUT_MS, max(1, int(request.timeout_s * 1000)))
        easy.setopt(pycurl.URL, request.url)
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        lines += _LEFT_OUT if "content-type" in request.headers else _LEFT_OUT_AND_TYPE
        easy.setopt(pycurl.HTTPHEADER, lines)
        if len(request.data) > _PIECE:
            self._data, self._sent = request.data, 0
            easy.setopt(pycurl.UPLOAD, 1)
            easy.setopt(pycurl.INFILESIZE_LARGE, len(request.data))
        else:
            easy.setopt(pycurl.POSTFIELDS, request.data)

    def outcome(self, code: int, message: str) -> Answer | NoAnswer:
        """How it ended. `code` is libcurl's, 0 for success. Lets go of the body.

        A store that refuses a body may answer before it has read all of it.
        """
        easy = self.easy
        if self._data:
            self._data = b""
            easy.setopt(pycurl.UPLOAD, 0)
        easy.setopt(pycurl.POSTFIELDS, b"")
        status = easy.getinfo(pycurl.RESPONSE_CODE)
        if status and (not code or status >= _FIRST_ERROR or self.too_long):
            return Answer(status, tuple(self._lines), b"".join(self._content))
        late = code == pycurl.E_OPERATION_TIMEDOUT
        if not self._asked or code == pycurl.E_COULDNT_CONNECT:
            number = easy.getinfo(pycurl.OS_ERRNO)
            known = number and code == pycurl.E_COULDNT_CONNECT
            why = os.strerror(number) if known else message
            return NoAnswer(Trouble.NO_CONNECTION_IN_TIME if late else Trouble.NO_CONNECTION, why)
        if code == pycurl.E_ABORTED_BY_CALLBACK:
            message = "closed without an answer"
        return NoAnswer(Trouble.NO_ANSWER_IN_TIME if late else Trouble.BROKEN, message)

    def perform(self, request: PutRequest) -> Answer | NoAnswer:
        """Carry out `request`, and wait for its end."""
        self.begin(request)
        return self._wait()

    def close(self) -> None:
        """Close its connections."""
        self.easy.close()

    def _wait(self) -> Answer | NoAnswer:
        try:
            self.easy.perform()
        except pycurl.error as error:
            return self.outcome(*error.args)
        return self.outcome(0, "")

    def _take_route(self, route: Route) -> None:
        easy, self._route = self.easy, route
        easy.setopt(pycurl.PROXY, route.proxy or "")  # "": not the environment's either
        easy.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(route.connect_timeout_s * 1000)))
        for options, path in (
            ((pycurl.CAINFO, pycurl.PROXY_CAINFO), route.ca_file),
            ((pycurl.CAPATH, pycurl.PROXY_CAPATH), route.ca_directory),
        ):
            for option in options:
                if path is None:
                    easy.unsetopt(option)
                else:
                    easy.setopt(option, path)

    # ------------------------------------------------------------ called by libcurl

    def _ask(self, *_where: object) -> int:
        """A connection stands. libcurl asks again where a kept one turns out to be closed.

        It may send a put again then: to put the same twice is as to put it once (RFC 9110 9.2.2).
        """
        if not self._may_be_sent():
            return pycurl.PREREQFUNC_ABORT  # type: ignore[no-any-return]
        self._asked = True
        return pycurl.PREREQFUNC_OK  # type: ignore[no-any-return]

    def _give(self, size: int) -> bytes | int:
        """The next bytes of the body, at most `size`. The put ends here if it may not go on."""
        if not self._may_be_sent():
            return pycurl.READFUNC_ABORT  # type: ignore[no-any-return]
        piece = self._data[self._sent : self._sent + size]
        self._sent += len(piece)
        return piece

    def _seek(self, offset: int, _origin: int) -> int:
        """Go back to the beginning: it is sent again."""
        self._sent = offset
        return pycurl.SEEKFUNC_OK  # type: ignore[no-any-return]

    def _open_socket(self, _purpose: int, wanted: Any) -> int:
        try:
            made = socket.socket(wanted.family, wanted.socktype, wanted.protocol)
        except OSError:
            return pycurl.SOCKET_BAD  # type: ignore[no-any-return]
        self._opened(made.fileno())
        return made.detach()

    def _take(self, chunk: bytes) -> int | None:
        """Take bytes of the answer. One that does not end is broken off."""
        self._size += len(chunk)
        if self._size > self.most_content:
            self.too_long = True
            return -1
        self._content.append(chunk)
        return None


_Handle = TypeVar("_Handle", bound=CurlPut)


class Handles(Generic[_Handle]):
    """Handles for threads that wait, each of which keeps its connection for the next thread."""

    def __init__(self, make: Callable[[], _Handle]) -> None:
        self._make = make
        self._idle: list[_Handle] = []
        self._closed = False

    @contextlib.contextmanager
    def one(self) -> Iterator[_Handle]:
        """A handle that nobody else has meanwhile."""
        try:
            handle = self._idle.pop()
        except IndexError:  # another thread may take the last one, so it is not asked before
            handle = self._make()
        yield handle
        if self._closed:
            handle.close()
        else:
            self._idle.append(handle)

    def close(self) -> None:
        """Close the connections that nobody waits for. The others follow when they are done."""
        self._closed = True
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()
