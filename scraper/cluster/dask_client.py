"""DaskCluster: shards submitted to a scheduler, and what comes of them.

    with DaskCluster(address, topic, local=False) as cluster:
        cluster.submit(task, priority=3)
        cluster.events.get(timeout=1)       # Ended, Told; Lost: there is no scheduler any more

What Dask tells comes from threads of its own, and waits in `events`.

Owns: Dask's side of the coordinator, and Dask's words. Does not know: what follows from an event.
`local:N` starts a scheduler and workers on this machine. They speak TLS with certificates of their
own: whoever can speak with a scheduler runs what he likes as us, and other users of the machine
could.
"""

import logging
import queue
import time
import warnings
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import dask
from distributed import Client, KilledWorker, LocalCluster
from distributed.security import Security

from scraper.cluster.address import Address
from scraper.cluster.dask_scheduler import first_death
from scraper.cluster.dask_worker import StopRuns, ended, run_task, version
from scraper.cluster.local_workers import METHOD
from scraper.cluster.slots import slots_of
from scraper.cluster.task import Message, Task
from scraper.model.errors import ClusterError
from scraper.model.urls import redact_text
from scraper.model.version import __version__
from scraper.run.timeout import call_until

if TYPE_CHECKING:
    from distributed import Future

LOCAL_SLOTS = 2  # shards that are open at once in each worker of local:N
_LOGGERS = ("distributed", "tornado", "asyncio")  # what they say is told in other words
_CONNECT_S = 10.0
_CLOSE_S = 5.0
_KEY = "shard-of-"
_TLS = "distributed.comm.tls in Dask's configuration, or DASK_DISTRIBUTED__COMM__TLS__"
_TLS += "CA_FILE, ..._CLIENT__CERT and ..._CLIENT__KEY, name its files"
_LOOPBACK = "127.0.0.1:0"  # for Dask's own pages, which it serves in any case


class Told(NamedTuple):
    """A worker tells how far it is with a shard, or passes a warning on."""

    message: Message


class Ended(NamedTuple):
    """A task has ended: `killed` with its worker, or with an answer."""

    task: Task
    answer: Message
    killed: str = ""


class Lost(NamedTuple):
    """The scheduler is gone."""


class Woken(NamedTuple):
    """Something else has changed."""


Event = Told | Ended | Lost | Woken


class DaskCluster:
    """See the module: a context manager. `events` may be put to from any thread, and by signals."""

    def __init__(self, address: Address, topic: str) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._address, self._topic = address, topic
        self._futures: dict[int, Future[Any]] = {}
        self._stack = ExitStack()
        self._client: Client
        self._closing = False

    def __enter__(self) -> Self:
        """Connect. Raises ClusterError."""
        for name in (*_LOGGERS, *logging.root.manager.loggerDict):  # Dask gives each a level
            if name.partition(".")[0] in _LOGGERS:
                logging.getLogger(name).setLevel(logging.CRITICAL)
        with ExitStack() as stack:
            try:
                self._client = self._connected(stack)
                if not self._address.local:
                    self._client.register_plugin(StopRuns(local=False))
                    self._check_versions()
                    self._give_up_at_once(stack)
                self._client.subscribe_topic(self._topic, self._on_told)
            except ClusterError:
                raise
            except TimeoutError as error:
                text = f"{self._address.url}: no scheduler answers"
                raise ClusterError(f"{text}: {error}" if str(error) else text) from None
            except Exception as error:  # noqa: BLE001 - another server may answer anything
                raise ClusterError(f"{self._address.url}: {_in_a_line(error)}") from None
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the cluster. Shards that run go on, unless their workers are ours."""
        self._closing = True
        with warnings.catch_warnings(), suppress(Exception):
            warnings.simplefilter("ignore")
            self._stack.close()

    def _connected(self, stack: ExitStack) -> Client:
        local, until = self._address.local, time.monotonic() + 2 * _CONNECT_S
        url: Any = self._address.url
        if local:
            # A shard that kills its worker is counted by us.
            ours = {"scheduler.allowed-failures": 0, "worker.multiprocessing-method": METHOD}
            told = {f"distributed.{name}": value for name, value in ours.items()}
            stack.enter_context(dask.config.set(told))
            url = stack.enter_context(
                LocalCluster(
                    n_workers=local,
                    threads_per_worker=LOCAL_SLOTS,
                    processes=True,
                    dashboard_address=None,
                    worker_dashboard_address=_LOOPBACK,
                    scheduler_kwargs={"dashboard": False, "dashboard_address": _LOOPBACK},
                    security=True,
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                    plugins=(StopRuns(local=True),),
                )
            )
        elif url.startswith("tls://"):
            _check_tls(url)
        client = call_until(
            lambda: Client(url, timeout=_CONNECT_S, set_as_default=False),
            lambda: until,
            lambda late: late.close(0),
        )
        stack.callback(client.close, _CLOSE_S)
        return client

    def _check_versions(self) -> None:
        """Raise ClusterError for a worker with another version of this package."""
        for worker, found in self._client.run(version, on_error="return").items():
            if isinstance(found, BaseException):
                raise ClusterError(f"{worker} has no scraper: {_in_a_line(found)}")
            if found != __version__:
                raise ClusterError(f"{worker} has scraper {found}, here it is {__version__}")

    def _give_up_at_once(self, stack: ExitStack) -> None:
        """Have a shard whose worker dies be told at once: we submit it again, and count."""
        name = f"first-death-{self._topic}"
        with suppress(Exception):  # without it a shard that kills its workers kills four each time
            self._client.register_plugin(first_death(f"{_KEY}{self._topic}-", name))
            stack.callback(partial(_forget, self._client, name))

    def workers(self) -> dict[str, int]:
        """The workers that there are now, each with how many shards it may have open."""
        known = self._client.scheduler_info(n_workers=-1)["workers"]
        return {name: int(one["nthreads"]) for name, one in known.items()}

    def slots(self, max_concurrency: int) -> int:
        """How many shards will be open at once on all workers together."""
        threads = [LOCAL_SLOTS] * self._address.local or [*self.workers().values()]
        return max(1, sum(slots_of(one, max_concurrency) for one in threads))

    def wake(self) -> None:
        """Something has changed. From any thread or signal."""
        self.events.put(Woken())

    def submit(self, task: Task, priority: int, attempt: int) -> None:
        """Have a worker run the shard."""
        key = f"{_KEY}{self._topic}-{task.shard}-{attempt}"
        future = self._client.submit(run_task, task, key=key, priority=priority, pure=False)
        self._futures[task.shard] = future
        future.add_done_callback(partial(self._on_ended, task))

    def cancel(self, shards: "set[int]") -> None:
        """Forget these shards. Those that run go on, and nobody hears of them."""
        futures = [self._futures.pop(shard) for shard in shards if shard in self._futures]
        if futures and not self._closing:
            with suppress(Exception):  # the scheduler may be gone
                self._client.cancel(futures)

    def _on_told(self, event: tuple[float, Any]) -> None:
        self.events.put(Told(event[1]))

    def _on_ended(self, task: Task, future: "Future[Any]") -> None:
        """A future is done. Called from a thread of Dask."""
        if self._closing or self._futures.get(task.shard) is not future:
            return
        match future.status:
            case "finished":
                with suppress(Exception):  # the scheduler may be gone in this moment
                    self.events.put(Ended(task, ended(future.result(timeout=_CONNECT_S))))
                    return
                self.events.put(Lost())
            case "error":
                error = future.exception()
                killed = isinstance(error, KilledWorker)
                said = "its workers were lost" if killed else _in_a_line(error)
                answer: Message = {"ended": "lost", "message": said}
                self.events.put(Ended(task, answer, killed=said))
            case "lost":
                self.events.put(Ended(task, {"ended": "lost"}, killed="its answer was lost"))
            case _:
                self.events.put(Lost())


def _check_tls(url: str) -> None:
    """Raise ClusterError where Dask does not know whom to trust, or has files that it can't use."""
    try:
        context, why = Security().get_connection_args("client")["ssl_context"], "TLS is not set up"
    except (OSError, TypeError, ValueError) as error:  # of ssl, of Dask
        context, why = None, f"Dask's TLS settings are of no use: {_in_a_line(error)}"
    if context is None:
        raise ClusterError(f"{url}: {why}", hint=_TLS)


def _forget(client: Client, name: str) -> None:
    with suppress(Exception):  # the scheduler may be gone
        client.unregister_scheduler_plugin(name)


def _in_a_line(error: BaseException | None) -> str:
    text = str(error).strip() or type(error).__name__
    return redact_text(text.splitlines()[0])
