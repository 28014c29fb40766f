"""What Dask calls in a worker: a task for each shard, and a plug-in that stops runs in order.

A shard is run in the thread of its task. A worker has a thread for each shard that it may have open
at once (`dask worker --nthreads 4`). With a smaller `-c` some of them wait for a slot.

Owns: that. Does not know: how a shard is run (`shard_run.py`).
"""

import asyncio
import signal
from contextlib import suppress
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker
from distributed.core import Status

from scraper.cluster.shard_run import OpenRuns, run_shard
from scraper.cluster.slots import Slots, shares
from scraper.cluster.task import Message, Task
from scraper.model.version import __version__

_RUNS = OpenRuns()
_SLOTS = Slots()
_CLOSING = set[asyncio.Task[Any]]()  # a loop does not keep its tasks
_RUNNING = (Status.running, Status.paused, Status.init)


def run_task(task: Task) -> Message:
    """Run the shard of `task` here."""
    worker = get_worker()

    def tell(message: Message) -> None:
        with suppress(Exception):  # a run goes on where nobody hears of it
            worker.log_event(task.topic, {"worker": worker.address, **message})

    at_once = shares(worker.state.nthreads, task.settings.politeness.max_concurrency)
    with _SLOTS.take(task.run, at_once, task.first_wait_s) as slot:
        return run_shard(task, slot, tell, _RUNS)


def version() -> str:
    """That of this package, where it is called."""
    return __version__


class StopRuns(WorkerPlugin):
    """Stops the runs of a worker that is told to end. Its nanny kills it some seconds later.

    `local`: the worker belongs to a coordinator on this machine, which says when it ends. A Ctrl-C
    reaches all processes of a terminal, and would end it before.

    A signal to a worker of others closes it. The SIGTERM of a service (systemd, SLURM) reaches all
    of its processes: nannies, which tell their workers to end, and these workers, which it would
    end at once. In a worker without a nanny Dask ends its loop: that breaks off a close that goes
    on already, since the scheduler has gone, and the process waits for the end of it for ever.
    """

    name = "scraper"

    def __init__(self, *, local: bool) -> None:
        self._local = local

    def setup(self, worker: Worker) -> None:
        """See WorkerPlugin."""
        if self._local:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                with suppress(ValueError):  # not the main thread
                    signal.signal(number, signal.SIG_IGN)
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            if worker.nanny or _is_of_dask(number):  # else the process is another program
                with suppress(ValueError, RuntimeError, NotImplementedError):  # as above
                    loop.add_signal_handler(number, _close, worker)

    async def teardown(self, worker: Worker) -> None:
        """See WorkerPlugin. A coordinator that comes later replaces the plug-in: no run ends."""
        if worker.status not in _RUNNING:
            await asyncio.to_thread(_RUNS.end)


def _is_of_dask(number: int) -> bool:
    """Whether the command `dask worker` hears of this signal."""
    return getattr(signal.getsignal(number), "__module__", "") == "distributed._signals"


def _close(worker: Worker) -> None:
    """Close `worker`, once. Its nanny starts another one, unless it was told to end too."""
    if not _CLOSING:
        _CLOSING.add(asyncio.ensure_future(worker.close(nanny=False, reason="signal")))


def ended(answer: Any) -> Message:
    """What a task has answered, if it is an answer of `run_task`."""
    return answer if isinstance(answer, dict) and "ended" in answer else {"ended": "lost"}
