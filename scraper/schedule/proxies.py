"""Proxies that can't be reached: one breaker for each, whatever hosts are asked through it.

A proxy that is down says nothing of hosts. So a failure to connect to it is charged to no host and
costs no target an attempt. All hosts behind it wait together, and a target now and then tries. It
is given up after `--retry-max-time` without a connection, or after ten failures that no later try
makes better (no such name, a certificate that is not good). Its targets end at once then.

Owns: these decisions. Does not know: which URL goes through which proxy (`Frontier.through`).
"""

import math
from collections.abc import Callable

from scraper.model.errors import Kind
from scraper.model.records import Failed, Failure
from scraper.schedule.circuit_breaker import CircuitBreaker
from scraper.schedule.hosts import Charge, HostChange
from scraper.schedule.retry import is_transient

_PROBE_S = 1.0  # a try may take so long before the next one begins beside it


class Proxy:
    """One proxy, by its `name`, `host:port`. Times are monotonic seconds."""

    __slots__ = ("_breaker", "_reason", "name")

    def __init__(self, name: str, patience_s: float) -> None:
        self.name = name
        self._breaker = CircuitBreaker.of_host(patience_s)
        self._reason = ""

    @property
    def is_down(self) -> bool:
        """Whether the last connection to it could not be made."""
        return self._breaker.failures > 0

    @property
    def until(self) -> float:
        """Nothing goes through it before."""
        return self._breaker.until if self._breaker.is_open else -math.inf

    def tried(self, now: float) -> None:
        """Note that a target starts, which goes through it."""
        if self._breaker.is_open:
            self._breaker.until = max(self._breaker.until, now + _PROBE_S)

    def ended(
        self, lost: Failure | None, started: float, now: float
    ) -> tuple[HostChange | None, Charge]:
        """Note that it was `lost`, or that something came through it (None).

        What is told of that, and what it costs the target.
        """
        was_down, was_given_up = self.is_down, self.given_up
        charge = Charge.ATTEMPT
        if lost is None:
            self._breaker.succeeded()
        else:
            self._reason, final = lost.message, not is_transient(lost)
            if not self._breaker.failed(started, now, final=final):
                charge = Charge.LAST
            elif self._breaker.is_open and not final:
                charge = Charge.NOTHING
        if self.given_up and not was_given_up:
            return self._told("proxy_given_up"), charge
        if self.is_down == was_down:
            return None, charge
        if not self.is_down:
            return HostChange("proxy_up", {"proxy": self.name}), charge
        return self._told("proxy_down", delay_s=round(max(0.0, self.until - now), 3)), charge

    def early_end(self, now: float) -> Failed | None:
        """How a target behind it ends without a try, if it does."""
        if not self._breaker.given_up or now >= self._breaker.until:
            return None
        return Failed(Failure(Kind.PROXY, self._reason, transient=False))

    def _told(self, event: str, **more: float) -> HostChange:
        return HostChange(event, {"proxy": self.name, **more, "reason": self._reason})

    @property
    def given_up(self) -> bool:
        """Whether it is not waited for any more."""
        return self._breaker.given_up


class Proxies:
    """All of them. `through(url)` names the one that a URL goes through; None: there are none.

    `any`: whether there may be any.
    """

    def __init__(self, through: Callable[[str], str | None] | None, patience_s: float) -> None:
        self._through = through
        self.any = through is not None
        self._patience_s = patience_s
        self._all: dict[str, Proxy] = {}

    def of(self, url: str) -> Proxy | None:
        """The one that `url` goes through."""
        name = None if self._through is None else self._through(url)
        return None if name is None else self.named(name)

    def named(self, name: str) -> Proxy:
        """The one with this name."""
        if name not in self._all:
            self._all[name] = Proxy(name, self._patience_s)
        return self._all[name]


def shows_life(failure: Failure | None) -> bool:
    """Whether the end of an attempt shows that its proxy can be reached."""
    if failure is None:
        return True
    return failure.http_code is not None or failure.unreachable or failure.kind is Kind.PROXY
