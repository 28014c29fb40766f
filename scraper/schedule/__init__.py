"""Which target may start now: the frontier, its hosts, retries, circuit breaker, robots rules.

Owns: decisions, from state and a clock. Does not know: I/O, threads, how a target is
fetched or recorded. Others import the names below. `schedule.robots`,
`schedule.robots_known` and `schedule.shard_plan` are imported by their own names, since few runs
need them.
"""

from scraper.schedule.announced import Announced, announced
from scraper.schedule.circuit_breaker import CircuitBreaker
from scraper.schedule.frontier import Frontier
from scraper.schedule.host_memory import Down, HostMemory
from scraper.schedule.hosts import Charge, HostChange, HostStatistics, HostWait
from scraper.schedule.retry import (
    RETRIED_CODES,
    Again,
    Defer,
    RetryPolicy,
    Verdict,
    is_transient,
    patience_of,
    retry_after,
)

__all__ = [
    "RETRIED_CODES",
    "Again",
    "Announced",
    "Charge",
    "CircuitBreaker",
    "Defer",
    "Down",
    "Frontier",
    "HostChange",
    "HostMemory",
    "HostStatistics",
    "HostWait",
    "RetryPolicy",
    "Verdict",
    "announced",
    "is_transient",
    "patience_of",
    "retry_after",
]
