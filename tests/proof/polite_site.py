"""A site that keeps a log of who asked what and when, and holds its pages for a while.

    with PoliteSite() as site:
        site.wait_until(lambda: len(site.pages_of("0-1")) >= 8)
        site.judge()

A request belongs to the run that its header `X-Run` names. Requests of which the client is gone
are not in flight any more, also if nobody has noticed that yet. One page of each host is refused
once in each run, with `Retry-After`. That is sent while as many requests are in flight as may be,
and the others stay a while. So what comes before the pause is over was started by who knew of it.

Owns: this log, and what must hold in it. Does not know: who is killed when (`test_polite.py`).
"""

import socket
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

from tests.conformance.test_gaps import CLOCK_S, arrival, page
from tests.servers import RawServer, read_head, readable

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 7))
PAGES = 12  # of each host
CAP, DELAY_S, RETRY_AFTER_S = 2, 0.06, 1
RULES = b"User-agent: *\nDisallow: /private\n"
_HELD_S = 0.2  # so that the cap binds as well as the delay
_FIRST_REFUSED = 3  # which page of a host may be
_SO_TIMESTAMPNS = 35  # as in test_gaps.py


class Asked(NamedTuple):
    """One request. `came` is seconds since 1970, by the kernel."""

    host: str
    run: str
    path: str
    came: float


class PoliteSite(RawServer):
    """See the module."""

    def __init__(self) -> None:
        self.log: list[Asked] = []
        self.refusals: list[Asked] = []  # `came` is when that was sent
        self.most: Counter[str] = Counter()  # in flight at once, by host
        self._may_refuse = True
        self._in_flight: defaultdict[str, set[socket.socket]] = defaultdict(set)
        super().__init__(self._talk, HOSTS)
        for listening in self._listening:
            listening.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    @property
    def listed(self) -> list[str]:
        """Its pages, some of which nobody may ask for."""
        paths = [f"/{number}" for number in range(PAGES)] + ["/private/1", "/private/2"]
        return [url + path for path in paths for url in self.urls]

    def pages_of(self, run: str) -> list[Asked]:
        """Requests of `run` so far, without those for robots.txt."""
        return [one for one in self.log if one.run == run and one.path != "/robots.txt"]

    @contextmanager
    def refusing_nobody(self) -> Iterator[int]:
        """Yields how many refusals have been sent, or are about to be."""
        with self._changed:
            self._may_refuse = False
        try:
            yield len(self.refusals)
        finally:
            with self._changed:
                self._may_refuse = True

    def judge(self) -> None:
        """What must hold over all processes, and within the life of each run."""
        assert max(self.most.values()) == CAP
        assert not [one for one in self.log if one.path.startswith("/private")]
        of_runs: defaultdict[tuple[str, str], list[Asked]] = defaultdict(list)
        for one in sorted(self.log, key=lambda one: one.came):
            of_runs[one.run, one.host].append(one)
        for (run, host), asked in of_runs.items():
            gaps = [later.came - earlier.came for earlier, later in pairwise(asked)]
            assert min(gaps, default=DELAY_S) >= DELAY_S - CLOCK_S, (run, host, gaps)
            assert [one.path for one in asked].count("/robots.txt") == 1, (run, host)
            assert asked[0].path == "/robots.txt"
        assert {one.host for one in self.refusals} == {*HOSTS}
        for refused in self.refusals:
            early = [
                one.came - refused.came
                for one in of_runs[refused.run, refused.host]
                if refused.came < one.came < refused.came + RETRY_AFTER_S - CLOCK_S
            ]
            assert not early, (refused, early)

    def _talk(self, _number: int, sock: socket.socket) -> None:
        while (came := arrival(sock)) is not None and (head := read_head(sock)):
            words = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in words)}
            host = headers["host"].partition(":")[0]
            asked = Asked(host, headers.get("x-run", ""), words[0].split()[1], came)
            self._begin(asked, sock)
            if asked.path == "/robots.txt":
                answer = page(RULES)
            elif self._refuses(asked, sock):
                answer = page(b"", "429 Too Many Requests", f"Retry-After: {RETRY_AFTER_S}")
            else:
                answer = page(f"{host}{asked.path}".encode())
                self._hold(host, sock)
            self._end(host, sock)
            sock.sendall(answer)

    def _begin(self, asked: Asked, sock: socket.socket) -> None:
        with self._changed:
            there = {one for one in self._in_flight[asked.host] if not is_gone(one)}
            self._in_flight[asked.host] = there | {sock}
            self.most[asked.host] = max(self.most[asked.host], len(there) + 1)
            self.log.append(asked)
            self._changed.notify_all()

    def _end(self, host: str, sock: socket.socket) -> None:
        with self._changed:
            self._in_flight[host].discard(sock)
            self._changed.notify_all()

    def _hold(self, host: str, sock: socket.socket) -> None:
        """Until its time is over, and that after a refusal, or its client is gone."""
        until = time.time() + _HELD_S
        while (left_s := until - time.time()) > 0 and not readable(sock, timeout_s=left_s):
            with self._changed:
                told = [one.came + _HELD_S for one in self.refusals if one.host == host]
                until = max(until, *told, 0.0)
                if time.time() >= until:
                    self._in_flight[host].discard(sock)

    def _refuses(self, asked: Asked, sock: socket.socket) -> bool:
        """Whether to refuse it: once for each host and run, beside another request."""
        if int(asked.path.rpartition("/")[2]) < _FIRST_REFUSED:
            return False
        with self._changed:
            if any((one.host, one.run) == (asked.host, asked.run) for one in self.refusals):
                return False
            full = self._changed.wait_for(
                lambda: len(self._in_flight[asked.host]) == CAP or is_gone(sock), _HELD_S / 2
            )
            if not full or is_gone(sock) or not self._may_refuse:
                return False
            self.refusals.append(asked._replace(came=time.time()))
            return True


def is_gone(sock: socket.socket) -> bool:
    """Whether its client is."""
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
