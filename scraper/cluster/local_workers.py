"""Workers on this machine begin sooner: their modules are imported while the lists are divided.

    warm_up(settings)          # first of all: a process begins to import what workers need
    with Beside(cluster) as started:
        ...                    # plan
        started.wait()         # workers are forked from that process

Owns: that. Does not know: Dask. Rejected: workers that are spawned. Each imports 900 modules by
itself (0.9 s of CPU), and Dask waits a second until the processes beside them have gone.
"""

import multiprocessing
import signal
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from multiprocessing import forkserver, resource_tracker
from types import TracebackType
from typing import TYPE_CHECKING, Self

from scraper.model.errors import NoThread
from scraper.model.threads import start_thread

if TYPE_CHECKING:
    from threading import Thread

METHOD = "forkserver"
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def engine_modules(engine: str) -> list[str]:
    """The modules of the engine that an option names."""
    return ["scraper.engines.threads" if engine == "threads" else "scraper.engines.curl"]


def warm_up(engines: Sequence[str]) -> None:
    """Begin the process that workers are forked from. What can't be imported is left out.

    `engines`: their modules. It has no threads: nothing that they import begins one. Signals that
    reach all processes of a terminal or a service reach neither it nor workers: the coordinator
    says when these end, and without it Dask would take all of them for lost.
    """
    with suppress(ValueError, OSError):  # not on this system
        context = multiprocessing.get_context(METHOD)
        context.set_forkserver_preload(["scraper.cluster.dask_worker", *engines])
        resource_tracker.ensure_running()  # which unblocks signals
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class Beside:
    """Enters a context manager on a thread of its own, and leaves it at the end."""

    def __init__(self, inner: AbstractContextManager[object]) -> None:
        self._inner = inner
        self._thread: Thread | None = None
        self._error: BaseException | None = None
        self._is_open = False

    def __enter__(self) -> Self:
        """Begin."""
        try:
            self._thread = start_thread("cluster", self._begin)
        except NoThread:
            self._begin()
        return self

    def wait(self) -> None:
        """Until it is entered. Raises what that raised."""
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave it, if it was entered."""
        if self._thread is not None:
            self._thread.join()
        if self._is_open:
            self._inner.__exit__(kind, error, trace)

    def _begin(self) -> None:
        try:
            self._inner.__enter__()
            self._is_open = True
        except BaseException as error:  # noqa: BLE001 - `wait` raises it
            self._error = error
