"""What Prometheus is told of a run: counters, gauges, and how the last run ended.

    metrics = RunMetrics(labels, last)
    metrics.watch(run)                 once the run has begun
    metrics(*results), metrics.note(event)
    metrics.end(status, time.time())

`collect` is what prometheus_client asks for, at any time and from any thread. It looks at what the
run knows already, so a run pays for it only when it is asked.

Labels are bounded: statuses, kinds of failures, HTTP codes of errors, and a word or two for the
whole run. Hosts and URLs are no labels, since a list has any number of them.

Owns: the names, and what they mean. Does not know: files and ports (`metrics_outputs.py`).
Rejected: metrics that are counted on the way (`Counter.inc`); all of this is counted already.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from scraper.model.errors import Kind
from scraper.model.records import STATUSES, Deferred, Failed, Result
from scraper.model.version import __version__
from scraper.report.snapshot import Load
from scraper.report.tally import Tally

# What is counted of the events that a run tells. Those of a proxy are of all hosts behind it.
_PAUSES = {
    "wait": "retry_after",
    "deferred": "deferred",
    "host_down": "down",
    "host_given_up": "given_up",
    "proxy_down": "proxy_down",
    "proxy_given_up": "proxy_given_up",
}
_HOST_STATES = ("paused", "deferred", "down")
_ERROR_CODES = range(400, 600)

Samples = Sequence[tuple[Sequence[str], float]]


class LastRun(NamedTuple):
    """How the last run ended. None: there was none. Times are seconds since 1970 (UTC)."""

    exit_status: float | None = None
    ended: float | None = None
    success: float | None = None


class Measured(Protocol):
    """A run, as far as it is measured. From any thread."""

    @property
    def tally(self) -> Tally:
        """Its counts."""

    def load(self) -> Load:
        """How busy it is."""


class RunMetrics:
    """See the module. `labels` are on every metric: which run this is, among those of a machine."""

    def __init__(self, labels: Mapping[str, str], last: LastRun) -> None:
        self._names, self._values = [*labels], [*labels.values()]
        self._last = last
        self._begun = time.time()
        self._run: Measured | None = None
        self._is_running = False
        self._failures: Counter[tuple[str, str]] = Counter(
            {(kind.value, ""): 0 for kind in Kind if kind is not Kind.HTTP_STATUS}
        )
        self._pauses = Counter(dict.fromkeys(_PAUSES.values(), 0))
        self._retries = 0

    def watch(self, run: Measured) -> None:
        """From now on `run` is measured."""
        self._run, self._is_running = run, True

    def __call__(self, *results: Result) -> None:
        """Count the failures among these."""
        for one in results:
            if isinstance(one.outcome, Failed | Deferred):
                failure = one.outcome.failure
                code = failure.http_code if failure.kind is Kind.HTTP_STATUS else None
                known = "" if code is None else str(code) if code in _ERROR_CODES else "other"
                self._failures[failure.kind.value, known] += 1

    def note(self, event: str) -> None:
        """Count an event of the run."""
        if event == "retry":
            self._retries += 1
        elif event in _PAUSES:
            self._pauses[_PAUSES[event]] += 1

    def end(self, status: int, now: float) -> None:
        """The run is over. `now`: seconds since 1970."""
        self._is_running = False
        self._last = LastRun(status, now, self._last.success if status else now)

    def collect(self) -> Iterator[Any]:
        """The metrics now, as prometheus_client takes them."""
        run = self._run
        load = run.load() if run is not None and self._is_running else Load()
        statuses = Counter[str]() if run is None else run.tally.statuses.copy()
        yield self._gauge("info", "Version of scraper.", [((__version__,), 1)], "version")
        yield self._gauge("running", "1 while a run goes on.", _one(self._is_running))
        yield self._gauge("run_started_timestamp_seconds", "When the run began.", _one(self._begun))
        yield self._gauge(
            "updated_timestamp_seconds", "When these metrics were told.", _one(time.time())
        )
        yield self._counter(
            "targets",
            "Targets of the run that are done, by status.",
            [((status,), statuses[status]) for status in STATUSES.values()],
            "status",
        )
        yield self._counter(
            "failures",
            "Targets of the run that failed or were deferred, by kind and HTTP code.",
            list(self._failures.copy().items()),
            *("kind", "code"),
        )
        size = 0 if run is None else run.tally.size
        yield self._counter("stored_bytes", "Bytes of the bodies stored.", _one(size))
        yield self._counter("retries", "Attempts that are made again.", _one(self._retries))
        yield from self._of_hosts(load)
        yield self._gauge("transfers_in_flight", "Transfers now.", _one(load.in_flight))
        yield self._gauge("targets_waiting", "Targets in memory that wait.", _one(load.waiting))
        yield self._gauge(
            "destination_refusing",
            "1 while the destination takes no objects and is tried one by one.",
            _one(load.is_refused),
        )
        yield from self._of_last_run()

    def _of_hosts(self, load: Load) -> Iterator[Any]:
        pauses = [((reason,), count) for reason, count in self._pauses.copy().items()]
        text = "Pauses of hosts that began (Retry-After, no connection), by reason."
        yield self._counter("host_pauses", text, pauses, "reason")
        yield self._gauge(
            "hosts_waiting",
            "Hosts that nothing is sent to now, by state.",
            [((state,), load.hosts.get(state, 0)) for state in _HOST_STATES],
            "state",
        )

    def _of_last_run(self) -> Iterator[Any]:
        """How the last run ended. A run that goes on tells of the one before."""
        told = {
            "exit_status": "Exit status of the last run that ended.",
            "ended": "When the last run ended.",
            "success": "When a run ended with status 0 last.",
        }
        for name, value in self._last._asdict().items():
            if value is not None:
                yield self._gauge(name_of(name), told[name], _one(value))

    def _gauge(self, name: str, text: str, samples: Samples, *labels: str) -> Any:
        from prometheus_client.core import GaugeMetricFamily

        return self._filled(GaugeMetricFamily, name, text, samples, labels)

    def _counter(self, name: str, text: str, samples: Samples, *labels: str) -> Any:
        from prometheus_client.core import CounterMetricFamily

        return self._filled(CounterMetricFamily, name, text, samples, labels)

    def _filled(
        self, family: Any, name: str, text: str, samples: Samples, labels: Sequence[str]
    ) -> Any:
        metric = family(f"scraper_{name}", text, labels=[*self._names, *labels])
        for values, value in samples:
            metric.add_metric([*self._values, *values], value)
        return metric


def name_of(field: str) -> str:
    """The name of a metric of the last run, without `scraper_`. `field`: that of LastRun."""
    names = {
        "exit_status": "last_exit_status",
        "ended": "last_run_timestamp_seconds",
        "success": "last_success_timestamp_seconds",
    }
    return names[field]


def _one(value: float) -> Samples:
    return [((), value)]
