"""Where metrics go: a file for node_exporter's textfile collector, and a port on loopback.

The file is replaced as a whole, by a rename, every EVERY_S seconds and at the end. It also keeps
from run to run how the last one ended: a run reads it before it writes. A file that has something
else in it is refused, and stays as it is: it may be the list.

Owns: that file and that port. Does not know: what is told (`metrics.py`). prometheus_client is
imported here, when somebody asks for metrics. Rejected: a push gateway, which is a server of its
own, and keeps metrics of runs that are long gone.
"""

import math
import os
import stat
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from scraper.model.errors import NoThread, UsageError
from scraper.model.threads import start_thread
from scraper.report.metrics import LastRun, RunMetrics, name_of

EVERY_S = 15.0
LOOPBACK = "127.0.0.1"
NEED = "prometheus_client is missing: pip install 'scraper[metrics]'"
_BEGINS = b"# HELP "
_MOST_BYTES = 1 << 20  # of the older file that is read


def demand(option: str) -> None:
    """Make sure that prometheus_client is there. Raises UsageError."""
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise UsageError(f"{option}: {NEED}") from None


def registry_of(metrics: RunMetrics) -> Any:
    """A registry of prometheus_client that has these metrics only."""
    from prometheus_client import CollectorRegistry

    registry: Any = CollectorRegistry()
    registry.register(metrics)
    return registry


class MetricsFile:
    """The file at `path`. Raises UsageError if it can't be one."""

    def __init__(self, path: str) -> None:
        if path in {"", "-"} or "\0" in path:
            raise UsageError(f"--metrics {path!r} is no name of a file")
        self._path = os.path.realpath(path)
        directory = os.path.dirname(self._path)
        try:
            self._look(path)
        except FileNotFoundError:
            if not os.path.isdir(directory):
                raise UsageError(
                    f"--metrics {path!r}: there is no directory {directory!r}"
                ) from None
        except OSError as error:
            raise UsageError(f"--metrics {path!r}: {error.strerror}") from None
        if not os.access(directory, os.W_OK | os.X_OK):
            raise UsageError(f"--metrics {path!r}: can't write into {directory!r}")

    def _look(self, path: str) -> None:
        """Refuse what must not be replaced."""
        found = os.stat(self._path)
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"--metrics {path!r} is no file")
        with open(self._path, "rb") as file:
            if found.st_size and file.read(len(_BEGINS)) != _BEGINS:
                raise UsageError(f"--metrics {path!r} is a file of something else")

    def last_run(self, labels: Mapping[str, str]) -> LastRun:
        """How the last run with these labels ended, as the file says. Empty if it does not."""
        from prometheus_client.parser import text_string_to_metric_families

        wanted = {f"scraper_{name_of(field)}": field for field in LastRun._fields}
        found: dict[str, float] = {}
        try:
            with open(self._path, encoding="utf-8") as file:
                text = file.read(_MOST_BYTES)
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    field = wanted.get(sample.name)
                    if field and sample.labels == labels and math.isfinite(sample.value):
                        found[field] = sample.value
        except Exception:  # noqa: BLE001 - whatever lies there; the parser has errors of many kinds
            return LastRun()
        return LastRun(**found)

    def write(self, registry: Any) -> None:
        """Replace the file. Raises OSError."""
        from prometheus_client import write_to_textfile

        write_to_textfile(self._path, registry)


class Writer:
    """A context manager that writes `file` at once and every EVERY_S seconds.

    `lost` hears of the first write that fails, or that there is no thread for the later ones.
    """

    def __init__(self, file: MetricsFile, registry: Any, lost: Callable[[str], None]) -> None:
        self._file = file
        self._registry = registry
        self._lost = lost
        self._told = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin."""
        self.write()
        try:
            self._thread = start_thread("metrics", self._work)
        except NoThread as error:
            self._lost(f"--metrics: written at the end only: {error}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def write(self) -> None:
        """Write now."""
        try:
            self._file.write(self._registry)
        except OSError as error:
            if not self._told:
                self._lost(f"--metrics: not written: {error.strerror}")
            self._told = True

    def _work(self) -> None:
        while not self._ended.wait(EVERY_S):
            self.write()


class MetricsPort:
    """A server on loopback. `url`: where it answers. Raises UsageError if the port is taken."""

    def __init__(self, port: int, registry: Any) -> None:
        from prometheus_client import start_http_server

        try:
            self._server, self._thread = start_http_server(port, LOOPBACK, registry)
        except OSError as error:
            raise UsageError(f"--metrics-port {port}: {error.strerror}") from None
        except RuntimeError:  # Python's, when the system refuses a thread
            raise NoThread from None
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
