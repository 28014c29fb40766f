"""Failures, grouped by reason: how many, at how many hosts, and the first URLs of each.

    groups = FailureGroups()
    groups.add(result)             of each target that failed or was deferred
    groups.frozen(), groups.worst_hosts()

Owns: what is one group, and the bounds of memory. Ten million failures of a million hosts take a
few megabytes. A group counts up to SET_HOSTS hosts one by one, then in a bitmap (linear counting:
Whang, Vander-Zanden, Taylor 1990; off by less than one percent up to three million hosts). The
hosts with most failures are found with RANKED counters (Misra and Gries 1982).
Does not know: how groups are shown (`closing.py`). Rejected: a set of all hosts; a million names
take 100 MB.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from scraper.model.errors import Kind
from scraper.model.records import Deferred, Failed, Result
from scraper.model.urls import printable, redact

URLS = 3  # of each group
SET_HOSTS = 1_000
RANKED = 1_000  # hosts with a counter
WORST = 10  # hosts that are told
_URL_CHARS = 1_000
_REASONS = 8  # of one kind; the others have a group together
_REASON_CHARS = 60
_BITS = 1 << 19
# Quoted texts, URLs, digests, and numbers that are no part of a name. Compiled on the first use.
_VARYING = r"(?<!\w)'[^']*'|\S*://\S*|\b[0-9a-f]{32,}\b|(?<![A-Za-z\d])\d[\d,.]*"
_HEAD = {Kind.BAD_URL, Kind.PROTOCOL, Kind.DNS, Kind.TRUNCATED, Kind.BLOCKED_ADDRESS}
_NAMES_HOST: Mapping[
    str, str
] = {  # kinds whose messages begin with the name of a host, or say nothing of a cause
    Kind.HOST_DOWN: "host is down",
    Kind.ROBOTS: "robots.txt",
    Kind.SINK: "refused by the destination",
}


_FAILURES = ("failed", "deferred")
_Key = tuple[str, str, int | None, str]  # status, kind, HTTP code, reason


class FailureGroup(NamedTuple):
    """Failures of one reason. `status`: `failed` or `deferred`.

    `http_code` is None unless the kind is `http_status`. `hosts` is their number, about, where it
    is over SET_HOSTS. `urls`: the first few, without secrets.
    """

    status: str
    kind: str
    http_code: int | None
    reason: str
    failures: int
    hosts: int
    urls: tuple[str, ...]

    def as_record(self) -> dict[str, Any]:
        """The group as JSON. `http_code` is absent if there is none."""
        facts = self._asdict() | {"urls": [*self.urls]}
        return {name: value for name, value in facts.items() if value is not None}


class HostFailures(NamedTuple):
    """A host and its failures: so many at least, and fewer than twice as many."""

    host: str
    failures: int


class FailureGroups:
    """See the module. `count`: all failures."""

    def __init__(self) -> None:
        self.count = 0
        self._groups: dict[_Key, _Group] = {}
        self._reasons: dict[str, set[str]] = {}
        self._ranked: dict[str, int] = {}
        self._missed = 0

    def add(self, result: Result) -> None:
        """Count the failure of `result`. Nothing happens if it is none."""
        outcome = result.outcome
        if not isinstance(outcome, Failed | Deferred):
            return
        failure, response, target = outcome.failure, outcome.response, result.target
        code = failure.http_code or (response.http_code if response is not None else None)
        reason = self._reason_of(failure.kind, code, failure.message)
        host = target.host if result.mirror is None else result.mirror.host
        self._count((result.status, *reason), host, target.listed)

    def add_record(self, record: Mapping[str, Any]) -> None:
        """The same for a record of a manifest."""
        from scraper.manifest import status_of
        from scraper.manifest.not_done import host_of  # a run needs none of its imports

        status, error = status_of(record), record.get("error")
        if status not in _FAILURES or not isinstance(error, dict):
            return
        kind, code = str(error.get("kind", "")), record.get("http_code")
        reason = self._reason_of(
            kind, code if isinstance(code, int) else None, str(error.get("message", ""))
        )
        self._count((status, *reason), host_of(record)[0], str(record.get("url", "")))

    def _count(self, key: "_Key", host: str, url: str) -> None:
        self.count += 1
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
        group.add(host, url)
        if host:
            self._rank(host)

    def frozen(self) -> tuple[FailureGroup, ...]:
        """The groups, the largest first."""
        groups = [
            FailureGroup(status, str(kind), code, reason, group.count, len(group.hosts), urls)
            for (status, kind, code, reason), group in self._groups.items()
            for urls in [tuple(group.urls)]
        ]
        return tuple(sorted(groups, key=lambda group: -group.failures))

    def worst_hosts(self) -> tuple[HostFailures, ...]:
        """The hosts with most failures, the worst first.

        None where no host stands out: a host may have had `_missed` failures more than it shows, so
        those that show fewer say nothing.
        """
        ranked = sorted(self._ranked.items(), key=lambda item: -item[1])[:WORST]
        return tuple(HostFailures(*item) for item in ranked if item[1] > self._missed)

    def _reason_of(self, kind: str, code: int | None, message: str) -> tuple[str, int | None, str]:
        if kind == Kind.HTTP_STATUS:
            return kind, code, f"HTTP {code}" if code else "HTTP"
        by_tag = kind == Kind.ROBOTS and message.startswith("X-Robots-Tag")
        as_told = by_tag or kind == Kind.PROXY  # proxies are few, and the code says why
        reason = message if as_told else _NAMES_HOST.get(kind) or _constant(kind, message)
        known = self._reasons.setdefault(kind, set())
        if reason not in known:
            if len(known) >= _REASONS:
                return kind, None, f"other ({kind})"
            known.add(reason)
        return kind, None, reason

    def _rank(self, host: str) -> None:
        ranked = self._ranked
        if host in ranked:
            ranked[host] += 1
        elif len(ranked) < RANKED:
            ranked[host] = 1
        else:  # all lose one, and so does this host: once in RANKED failures at most
            self._ranked = {name: count - 1 for name, count in ranked.items() if count > 1}
            self._missed += 1


class _Group:
    """One group that grows."""

    __slots__ = ("count", "hosts", "urls")

    def __init__(self) -> None:
        self.count = 0
        self.hosts = _Hosts()
        self.urls: list[str] = []

    def add(self, host: str, url: str) -> None:
        self.count += 1
        if host:
            self.hosts.add(host)
        if url and len(self.urls) < URLS:  # the place where a list broke off has none
            shown = printable(redact(url))
            if shown not in self.urls:
                self.urls.append(shown if len(shown) <= _URL_CHARS else f"{shown[:_URL_CHARS]}...")


class _Hosts:
    """Counts different hosts."""

    __slots__ = ("_bitmap", "_names")

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._bitmap: bytearray | None = None

    def add(self, name: str) -> None:
        if self._bitmap is not None:
            bit = hash(name) % _BITS
            self._bitmap[bit >> 3] |= 1 << (bit & 7)
            return
        self._names.add(name)
        if len(self._names) > SET_HOSTS:
            names, self._names, self._bitmap = self._names, set(), bytearray(_BITS >> 3)
            for one in names:
                self.add(one)

    def __len__(self) -> int:
        if self._bitmap is None:
            return len(self._names)
        empty = _BITS - int.from_bytes(self._bitmap, "little").bit_count()
        return round(_BITS * math.log(_BITS / max(empty, 1)))


def _constant(kind: str, message: str) -> str:
    """What all failures of one reason say: `message` without what differs from URL to URL."""
    if kind in _HEAD:
        message = message.partition(": ")[0]
    reason = re.sub(_VARYING, "...", message).removeprefix("connection was ")
    return reason if len(reason) <= _REASON_CHARS else f"{reason[:_REASON_CHARS]}..."


def by_kind(groups: tuple[FailureGroup, ...]) -> Mapping[str, int]:
    """How many targets failed by kind. Deferred ones are not among them."""
    kinds: dict[str, int] = {}
    for group in groups:
        if group.status == "failed":
            kinds[group.kind] = kinds.get(group.kind, 0) + group.failures
    return kinds


def by_code(groups: tuple[FailureGroup, ...]) -> Mapping[str, int]:
    """How many targets failed by HTTP code, as text: keys of JSON are."""
    codes: dict[str, int] = {}
    for group in groups:
        if group.status == "failed" and group.http_code is not None:
            codes[str(group.http_code)] = codes.get(str(group.http_code), 0) + group.failures
    return codes
