"""A transfer that a child carries out: what the loop sees of it.

Owns: what is known of it here. Does not know: its requests, its body; the child has a Transfer of
its own for that (`child.py`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from scraper.model.errors import DestinationError, TransferError
from scraper.model.records import Attempt, Failed, Times
from scraper.sinks.base import Sink
from scraper.transfer import Completion, Partial, Plan, SendPermit, Transfer
from scraper.transfer.completion import failure_of
from scraper.transfer.robots_txt import RobotsReading

if TYPE_CHECKING:
    from scraper.engines.processes.children import Child


class RemoteTransfer(Transfer):
    """See Transfer. `number` and `child` are set when it starts.

    `parked`: it waits for a turn, and its child keeps it meanwhile. `on_drop` is called with it if
    it gets none.
    """

    def __init__(  # the child makes the request, so nothing of one is made here
        self,
        attempt: Attempt,
        plan: Plan,
        sink: Sink,
        now: float,
        partial: Partial | None = None,
    ) -> None:
        self.attempt = attempt
        self.started = self.hop_started = now
        self.deadline = now + plan.limits.max_time
        self.completion = None
        self.by_turns = False
        self.moves_to = ""
        self.permit: SendPermit | None = None
        self.announced = None
        self.plan = plan
        self.robots = sink if isinstance(sink, RobotsReading) else None
        self.partial = partial
        self.number = 0
        self.child: Child | None = None
        self.parked = False
        self.on_drop: Callable[[RemoteTransfer], None] | None = None
        self.seen: tuple[int, int | None, int] = (0, None, 0)
        self.unwritten = 0
        self._abandoned = False
        self._paused_at = 0.0

    @property
    def progress(self) -> tuple[int, int | None, int]:
        """What its child told last."""
        return self.seen

    def resume(self, now: float) -> None:
        """Go on at `now`. The time since `pause` does not count."""
        self.started += now - self._paused_at
        self.deadline += now - self._paused_at
        self.hop_started = now
        self.moves_to = ""

    def fail(self, error: TransferError | DestinationError) -> None:
        """End without an object. Never raises."""
        if self.completion is not None:
            return
        fatal = error if isinstance(error, DestinationError) else None
        failed = Failed(failure_of(error, None, answered=False))
        self.completion = Completion(self.attempt, failed, Times(), fatal)
        if self.parked and self.on_drop is not None:
            self.on_drop(self)


class KeptBody:
    """The body of a Partial that a child keeps. It takes the place of an Incoming here.

    `received`: its bytes so far. `on_abort` is called with it.
    """

    def __init__(
        self, child: "Child", number: int, received: int, on_abort: Callable[["KeptBody"], None]
    ) -> None:
        self.child = child
        self.number = number
        self.received = received
        self._on_abort = on_abort

    def abort(self) -> None:
        """Have the child drop it. Never raises."""
        self._on_abort(self)
