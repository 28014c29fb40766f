"""The engine of processes: children carry out transfers, each with another engine and a sink.

A transfer goes to the child of its host (`homes.py`). The child makes all its requests, and stores
its body. What ended comes back in batches. A body that broke off, and a transfer that waits for a
turn at its host, stay in their child meanwhile.

A child that ends, or that does not answer for long, fails its transfers in a way that may pass. A
new child takes its hosts.

Owns: which child has which transfer, and what follows the end of a child. Does not know: requests,
bodies. Rejected: children that take lines by themselves, which would have to share the frontier.
"""

import contextlib
import math
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scraper.engines.processes.children import Child, Spawn, end_all, spawn
from scraper.engines.processes.homes import Homes
from scraper.engines.processes.messages import (
    Down,
    Message,
    PlanSeed,
    Setup,
    Up,
    unflat,
    unflat_error,
)
from scraper.engines.processes.remote import KeptBody, RemoteTransfer
from scraper.model.errors import DestinationError, Kind, ScraperError, TransferError
from scraper.model.records import Times
from scraper.model.shared_numbers import SharedNumbers
from scraper.schedule.robots import Rules
from scraper.schedule.robots_known import KnownRules
from scraper.transfer import Completion, Partial, Plan, Transfer

_READY_S = 60.0  # for the first children to be ready
_END_S = 2.0  # for all of them to end
_TURN_S = 1.0  # the longest wait while something is in flight
_SILENT_S = 5.0  # then a child is asked whether it is there
_HANGS_S = 30.0  # without an answer: it is ended
_STILLBORN = 3  # children that end before they are ready, one after the other


@dataclass(frozen=True, slots=True)
class Family:
    """How children are made: `count` of them, each with `setup`. `held`: descriptors they keep.

    `numbers`: what they share. `tell` hears, in words, of each that is lost. `bring` and `retire`
    start and end their processes.
    """

    count: int
    setup: Setup
    numbers: SharedNumbers
    held: tuple[int, ...]
    tell: Callable[[str], None]
    bring: Spawn = spawn
    retire: Callable[[Sequence[Child], float], None] = end_all


class ProcessesEngine:
    """See `engines.base.Engine`. It carries out `RemoteTransfer`s only.

    Raises DestinationError and UsageError if the children can't begin.
    """

    def __init__(self, family: Family) -> None:
        self.name = family.setup.engine
        self.processes = family.count
        self._family = family
        self._poller = select.poll()
        self._wake_up, self._waker = socket.socketpair()
        for end in (self._wake_up, self._waker):
            end.settimeout(0.0)
        self._poller.register(self._wake_up, select.POLLIN)
        self._children: dict[int, Child] = {}  # by descriptor
        self._homes = Homes()
        self._live: dict[int, RemoteTransfer] = {}
        self._count = 0
        self._plans: dict[int, tuple[int, Plan]] = {}  # by id
        self._rules: KnownRules | None = None
        self._ended: list[Transfer] = []
        self._woken = self._interrupted = self._closed = False
        self._stillborn = 0
        self._error: ScraperError | None = None  # why there are no children
        self._turned = time.monotonic()
        try:
            for _ in range(family.count):
                self._add_child()
            self._await_ready()
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------ the seam

    @property
    def most(self) -> int:
        """What every child can carry out, as all transfers may be of one host."""
        mosts = [child.most for child in self._children.values()]
        return min(mosts, default=self._family.setup.max_concurrency)

    def start(self, transfer: Transfer) -> None:
        """Give `transfer` to a child; if it was given back, to the one that keeps it."""
        assert isinstance(transfer, RemoteTransfer)
        permit = None if transfer.permit is None else transfer.permit.host
        if transfer.parked:
            transfer.parked = False
            child = transfer.child
            assert child is not None
            if child.lost:
                self._fail(transfer, _gone("ended while it waited"))
                return
            hop = transfer.attempt.hop
            child.tell(Down.RESUME, transfer.number, transfer.hop_started, hop, permit)
        else:
            begun = self._begin(transfer, permit)
            if begun is None:
                self._fail(transfer, DestinationError(str(self._error)))
                return
            child = begun
        child.in_flight += 1
        self._live[transfer.number] = transfer

    def poll(self, timeout_s: float | None) -> Sequence[Transfer]:
        """Transfers that have ended."""
        until = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._flush()
            now = time.monotonic()
            wait_s = 0.0 if self._ended or self._woken else until - now
            self._wait(min(wait_s, _TURN_S) if self._live else wait_s)
            now = time.monotonic()
            self._look_after(now)
            if self._ended or self._woken or now >= until:
                self._woken = False
                ended, self._ended = self._ended, []
                return ended

    def unwritten(self, transfer: Transfer) -> int:
        """What its child told last."""
        return transfer.unwritten if isinstance(transfer, RemoteTransfer) else 0

    def wake(self) -> None:
        """Make `poll` return."""
        self._woken = True
        if not self._interrupted:
            self._interrupted = True
            with contextlib.suppress(OSError):
                self._waker.send(b"x")

    def break_off(self, transfer: Transfer) -> None:
        """Abandon `transfer`, and have its child break it off."""
        transfer.abandon()
        if isinstance(transfer, RemoteTransfer) and transfer.number in self._live:
            assert transfer.child is not None
            transfer.child.tell(Down.BREAK_OFF, transfer.number)

    def give_up(self) -> None:
        """Have all children break off what they have."""
        for transfer in self._live.values():
            transfer.abandon()
        for child in self._children.values():
            child.tell(Down.GIVE_UP)

    def close(self) -> None:
        """End the children. They are waited for, since they hold the destination's lock too."""
        if self._closed:
            return
        self._closed = True
        self._flush()
        self._family.retire(list(self._children.values()), _END_S)
        self._children.clear()
        self._family.numbers.close()
        self._wake_up.close()
        self._waker.close()

    def obey(self, rules: KnownRules) -> None:
        """Have redirects judged by `rules`, also by those that will be known later."""
        self._rules = rules
        rules.on_keep = self._tell_rules

    # ------------------------------------------------------------ down

    def _begin(self, transfer: RemoteTransfer, permit: str | None) -> Child | None:
        """Give the new `transfer` to a child; None if there is none."""
        attempt, child, partial = transfer.attempt, None, None
        if transfer.partial is not None:
            (asked, body), transfer.partial = transfer.partial, None
            assert isinstance(body, KeptBody)
            if not body.child.lost:
                child, partial = body.child, (body.number, asked)
        if child is None:
            if not self._children:
                return None
            child = self._homes.of(attempt.hop or attempt.target.host, self._children)
        self._count += 1
        transfer.number, transfer.child = self._count, child
        plan = self._plan_of(transfer.plan, child)
        robots = transfer.robots and transfer.robots.token
        what = Down.START, self._count, tuple(attempt.target), attempt[1:], plan, transfer.started
        child.tell(*what, partial, robots, permit, transfer.by_turns)
        return child

    def _plan_of(self, plan: Plan, child: Child) -> int:
        """The number of `plan`, which `child` knows then."""
        number, _ = self._plans.setdefault(id(plan), (len(self._plans), plan))
        if number not in child.plans:
            child.plans.add(number)
            child.tell(Down.PLAN, number, _seed(plan))
        return number

    def _tell_rules(self, origin: str, rules: Rules, since: float) -> None:
        for child in self._children.values():
            child.tell(Down.RULES, origin, rules, since)

    def _discard(self, body: KeptBody) -> None:
        body.child.tell(Down.DISCARD, body.number)

    def _drop(self, transfer: RemoteTransfer) -> None:
        """It was given back, and gets no other turn."""
        assert transfer.child is not None
        transfer.child.tell(Down.DROP, transfer.number)

    def _flush(self) -> None:
        for fd, child in self._children.items():
            was = child.blocked
            child.flush()
            if child.blocked != was:
                self._poller.modify(fd, select.POLLIN | (select.POLLOUT if child.blocked else 0))

    # ------------------------------------------------------------ up

    def _wait(self, wait_s: float) -> None:
        """Wait for something to happen, and take what the children tell."""
        waits_ms = None if wait_s == math.inf else math.ceil(max(0.0, wait_s) * 1000)
        for fd, event in self._poller.poll(waits_ms):
            if fd == self._wake_up.fileno():
                with contextlib.suppress(BlockingIOError):
                    while self._wake_up.recv(4096):
                        pass
                self._interrupted = False
            elif event & ~select.POLLOUT and (child := self._children.get(fd)) is not None:
                try:
                    for message in child.read():
                        self._take(child, message)
                except EOFError:
                    self._bury(fd, child.end())

    def _take(self, child: Child, message: Message) -> None:
        what = message[0]
        if what == Up.ENDED:
            self._take_ended(child, *message[1:])
        elif what == Up.SENT:
            permit = self._live[message[1]].permit
            assert permit is not None
            permit.sent()
        elif what == Up.BACK:
            self._take_back(child, *message[1:])
        elif what == Up.PROGRESS:
            for number, seen, unwritten in message[1]:
                transfer = self._live[number]
                transfer.seen, transfer.unwritten = seen, unwritten
        elif what == Up.MOST:
            child.most = message[1]
        elif what == Up.READY:
            child.ready, self._stillborn = True, 0
        elif what == Up.UNUSABLE:
            kind, text, hint = message[1:]
            self._error = kind(text, hint=hint)
        elif what == Up.BROKEN:
            child.broken = message[1]

    def _take_ended(  # noqa: PLR0913, PLR0917 - what a message has
        self,
        child: Child,
        number: int,
        outcome: Any,
        times: tuple[Any, ...],
        error: tuple[str, str] | None,
        kept: tuple[Any, int] | None,
        announced: Any,
        rules: Rules | None,
    ) -> None:
        transfer = self._live.pop(number)
        child.in_flight -= 1
        partial = None
        if kept is not None:
            body: Any = KeptBody(child, number, kept[1], self._discard)
            partial = Partial(kept[0], body)
        if transfer.robots is not None:
            transfer.robots.rules = rules
        transfer.completion = Completion(
            transfer.attempt,
            unflat(outcome),
            Times._make(times),
            unflat_error(error),
            partial,
            announced,
        )
        self._ended.append(transfer)

    def _take_back(self, child: Child, number: int, moves_to: str, announced: Any) -> None:
        transfer = self._live.pop(number)
        child.in_flight -= 1
        transfer.moves_to, transfer.announced = moves_to, announced
        transfer.parked, transfer.on_drop = True, self._drop
        if transfer.abandoned:  # its child had given it back before it heard that
            transfer.fail(TransferError(Kind.INTERRUPTED, "given up when the run was stopped"))
        self._ended.append(transfer)

    # ------------------------------------------------------------ children that are lost

    def _add_child(self) -> None:
        """Start a child. Raises DestinationError."""
        family = self._family
        child = Child(family.setup, (family.numbers.fd, *family.held), family.bring)
        self._children[child.socket.fileno()] = child
        self._poller.register(child.socket, select.POLLIN)
        if self._rules is not None:
            for origin, known in self._rules.items():
                child.tell(Down.RULES, origin, *known)

    def _await_ready(self) -> None:
        until = time.monotonic() + _READY_S
        while not all(child.ready for child in self._children.values()):
            self._flush()
            self._wait(until - time.monotonic())
            if self._error is not None:
                raise self._error
            if time.monotonic() >= until:
                raise DestinationError(f"the processes are not ready after {_READY_S:g} s")

    def _look_after(self, now: float) -> None:
        """Ask children that are silent, and end those that do not answer."""
        passed_s, self._turned = min(now - self._turned, _TURN_S), now
        if passed_s <= 0.0 or not self._live:
            return
        for fd, child in list(self._children.items()):
            child.silent_s = child.silent_s + passed_s if child.in_flight else 0.0
            if child.silent_s >= _SILENT_S and not child.asked:
                child.asked, child.silent_s = True, 0.0
                child.tell(Down.PING)
            elif child.asked and child.silent_s >= _HANGS_S:
                child.kill()
                self._bury(fd, f"did not answer for {_HANGS_S:g} s, and was ended")

    def _bury(self, fd: int, how: str) -> None:
        """The child at `fd` is lost: its transfers fail, and another child takes its place."""
        child = self._children.pop(fd)
        self._poller.unregister(fd)
        self._homes.forget(child)
        self._stillborn = 0 if child.ready else self._stillborn + 1
        lost = [one for one in self._live.values() if one.child is child]
        for transfer in lost:
            del self._live[transfer.number]
            self._fail(transfer, self._error or _gone(how))
        text = f"process {child.pid} {how}; {len(lost)} transfers of it have failed"
        if self._error is None and self._stillborn < _STILLBORN:
            try:
                self._add_child()
            except DestinationError as error:
                self._error = None if self._children else error
        elif self._error is None and not self._children:
            self._error = DestinationError(f"no process stays alive: the last one {how}")
        self._family.tell(text)

    def _fail(self, transfer: RemoteTransfer, error: Exception) -> None:
        assert isinstance(error, TransferError | DestinationError)
        if transfer.abandoned:
            error = TransferError(Kind.INTERRUPTED, "given up when the run was stopped")
        transfer.fail(error)
        self._ended.append(transfer)


def _gone(how: str) -> TransferError:
    """The error of a transfer whose child is lost. It says nothing of the host."""
    message = f"internal error: the process that carried it out {how}"
    return TransferError(Kind.PROTOCOL, message, transient=True)


def _seed(plan: Plan) -> PlanSeed:
    return PlanSeed(
        plan.limits,
        plan.http,
        plan.user_agent,
        dict(plan.passwords),
        None if plan.cookies is None else tuple(plan.cookies),
        plan.readable is not None,
        plan.forbids is not None,
        plan.quota is not None,
    )
