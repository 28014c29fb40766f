"""`--metrics` and `--metrics-port`: when the metrics of a run are opened, written and ended.

    with metrics_of(ours, options) as metrics:     None if nobody asked
        metrics.begin(run, stack, note)
        metrics(*results); metrics.note(event)
        metrics.end(status)

The file is written from the moment the run holds its destination. So a run that leaves because
another one is there (75) does not replace what that one tells. One that is refused for another
reason writes its exit status.

Owns: this order. Does not know: what is told, and how (`report/metrics*.py`).
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from scraper.model.errors import Held, UsageError, status_of

if TYPE_CHECKING:
    from scraper.model.records import Result
    from scraper.run.loop import Run

_MOST_PORT = 65_535


@contextmanager
def metrics_of(ours: Mapping[str, Any], options: Mapping[str, Any]) -> "Iterator[Metrics | None]":
    """The metrics that are asked for, None if there are none. An error is told there too.

    `options`: those of the command that a run has. Raises UsageError.
    """
    path, port = ours["metrics"], ours["metrics_port"]
    nothing_runs = ours["dry_run"] or ours["show_config"]
    if (path is None and port is None) or nothing_runs:
        yield None
        return
    metrics = Metrics(path, port, _labels(options))
    try:
        yield metrics
    except Exception as error:
        if not (isinstance(error, Held) and not metrics.has_begun):
            metrics.end(getattr(error, "exit_code", None) or status_of(error))
        raise
    finally:
        metrics.close()


def _labels(options: Mapping[str, Any]) -> dict[str, str]:
    """Which run it is, among those of a machine. They stay the same from night to night."""
    from scraper.model.urls import printable, redact

    labels = {"destination": redact(options["to"] or "./out")}
    if options["shard"]:
        labels["shard"] = options["shard"]
    # A path may have bytes that are no UTF-8.
    return {
        name: printable(text.encode(errors="replace").decode()) for name, text in labels.items()
    }


class Metrics:
    """See the module. Raises UsageError if they can't be told. `url`: of the port, or None."""

    def __init__(self, path: str | None, port: int | None, labels: dict[str, str]) -> None:
        from scraper.report.metrics_outputs import MetricsFile, MetricsPort, demand, registry_of

        demand("--metrics" if path is not None else "--metrics-port")
        from scraper.report.metrics import LastRun, RunMetrics

        if port is not None and not 0 <= port <= _MOST_PORT:
            raise UsageError(f"--metrics-port {port} is not from 0 to {_MOST_PORT}")
        self._file: MetricsFile | None = None if path is None else MetricsFile(path)
        last = LastRun() if self._file is None else self._file.last_run(labels)
        self._metrics: RunMetrics = RunMetrics(labels, last)
        self._registry = registry_of(self._metrics)
        self._port: MetricsPort | None = None
        if port is not None:
            self._port = MetricsPort(port, self._registry)
        self.url = None if self._port is None else self._port.url
        self.has_begun = False

    def begin(self, run: "Run", stack: ExitStack, lost: Callable[[str], None]) -> None:
        """The run has begun: write until the stack ends. `lost`: what is said of a failure."""
        from scraper.report.metrics_outputs import Writer

        self.has_begun = True
        self._metrics.watch(run.view())
        if self._file is not None:
            stack.enter_context(Writer(self._file, self._registry, lost))

    def __call__(self, *results: "Result") -> None:
        """Count these."""
        self._metrics(*results)

    def note(self, event: str) -> None:
        """Count an event of the run."""
        self._metrics.note(event)

    def end(self, status: int) -> None:
        """The run has ended with this exit status: write for the last time."""
        self._metrics.end(status, time.time())
        if self._file is None:
            return
        try:
            self._file.write(self._registry)
        except OSError as error:
            with suppress(OSError):
                print(f"scraper: --metrics: not written: {error.strerror}", file=sys.stderr)  # noqa: T201

    def close(self) -> None:
        """Serve no more."""
        if self._port is not None:
            self._port.close()
