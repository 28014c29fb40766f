"""A child: a process that carries out transfers for its parent, with an engine and a sink.

    main(fd)    what the process does: serve the parent at the other end of the socket `fd`

One thread drives the engine. Another reads what the parent says. When the parent has ended, however
it did, the second one hears it, and the process ends too: at once, or after a second if the first
one waits for something. So it does when either thread meets an error; the parent is told which.

Ctrl-C and a service manager signal the whole group. The parent alone decides what follows, so a
child ignores these signals.

Owns: what is done for each message. Does not know: hosts, retries, records, the lock. Rejected:
to end by PR_SET_PDEATHSIG, which comes when the parent's thread ends that has started the child.
"""

import contextlib
import os
import signal
import socket
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scraper.engines.processes.messages import (
    Down,
    Message,
    PlanSeed,
    Setup,
    Start,
    Unpacker,
    Up,
    flat,
    flat_error,
    pack,
)
from scraper.model.errors import DestinationError, Kind, ScraperError, TransferError, UsageError
from scraper.model.records import Attempt, Failed, Failure, Target
from scraper.model.shared_numbers import SharedNumbers
from scraper.model.threads import start_thread
from scraper.schedule.robots_known import KnownRules
from scraper.sinks.base import ReadableSink, Sink, disk_of, find_sink, sync_of
from scraper.sinks.lock import keep_to_fence
from scraper.transfer import Partial, Plan, Quota, SendPermit, Transfer
from scraper.transfer.robots_txt import RobotsReading

if TYPE_CHECKING:
    from collections.abc import Callable

    from scraper.engines.base import Engine

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DESCRIPTORS = 4  # at most, that come with a set-up
_READ = 1 << 18  # bytes at once
_TICK_S = 0.5  # between two reports of what is under way
_LAST_S = 1.0  # for the end, once the parent has ended


def main(fd: int) -> None:
    """Serve the parent at the other end of the socket `fd`, until it has ended. Never returns."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED)
    parent = socket.socket(fileno=fd)
    while True:
        try:
            first, fds, _, _ = socket.recv_fds(parent, 1, DESCRIPTORS)
        except OSError:
            os._exit(0)
        if not first:
            os._exit(0)
        Session(parent, fds).serve()


class Session:
    """From one set-up to its end. `fds`: shared numbers, then what is only held."""

    def __init__(self, parent: socket.socket, fds: list[int]) -> None:
        self._parent = parent
        self._fds = fds
        self._numbers = SharedNumbers(fds[0])
        self._unpacker = Unpacker()
        self._inbox: deque[Message] = deque()
        self._outbox: list[Message] = []
        self._over = False
        self._broken: BaseException | None = None
        self._engine: Engine
        self._sink: Sink
        self._sync: Callable[[], None] | None = None
        self._plans: dict[int, Plan] = {}
        self._rules = KnownRules()
        self._numbered: dict[int, Transfer] = {}  # in flight
        self._number_of: dict[Transfer, int] = {}
        self._parked: dict[int, Transfer] = {}
        self._partials: dict[int, Partial] = {}
        self._readings: dict[int, RobotsReading] = {}
        self._sent: deque[int] = deque()  # from any thread
        self._report_at = 0.0
        self._most = 0

    def serve(self) -> None:
        """Do what the parent says until it says that this is over. An error ends the process."""
        try:
            self._begin_work()
            self._work()
        except BaseException as error:  # noqa: BLE001 - told to the parent
            self._broken = self._broken or error
        if self._broken is not None:
            self._end_broken(self._broken)
        self._close()
        self._outbox = [(Up.OVER,)]
        self._send()

    # ------------------------------------------------------------ begin and end

    def _begin_work(self) -> None:
        setup = self._read_setup()
        try:
            self._open(setup)
        except ScraperError as error:
            told = type(error) if isinstance(error, UsageError) else DestinationError
            self._outbox.append((Up.UNUSABLE, told, str(error), error.hint))
            self._flush()
            os._exit(0)
        start_thread("parent", self._listen)
        self._outbox.append((Up.READY,))

    def _end_broken(self, error: BaseException) -> None:
        """Tell what has ended before, and the error; then end the process, closed or not."""
        try:
            self._outbox.append((Up.BROKEN, f"{type(error).__name__}: {error}"))
            self._flush()
            self._parent.shutdown(socket.SHUT_RD)  # the other thread ends what can't be closed
            self._close()
        finally:
            os._exit(1)

    def _read_setup(self) -> Setup:
        while not self._inbox:
            data = self._parent.recv(_READ)
            if not data:
                os._exit(0)
            self._inbox.extend(self._unpacker.feed(data))
        setup: Setup = self._inbox.popleft()[1]
        return setup

    def _open(self, setup: Setup) -> None:
        """The sink, then the engine. Raises DestinationError and UsageError."""
        sink = self._sink = find_sink(setup.destination, setup.options)
        join = getattr(sink, "join", None)
        if setup.found is None or join is None:
            sink.check()
        else:
            join(setup.found)
        if setup.leased:
            keep_to_fence(sink, self._numbers)
        self._sync = sync_of(sink) if setup.options.durable else None
        self._quota = Quota(setup.run_limits, time.monotonic(), disk_of(sink))
        self._quota.share(self._numbers)
        given = setup.max_concurrency, setup.limits, setup.http, self._numbers
        if setup.engine == "curl":
            from scraper.engines.curl import CurlEngine

            self._engine = CurlEngine(*given)
        else:
            from scraper.engines.threads import ThreadsEngine

            self._engine = ThreadsEngine(*given)
        self._most = setup.max_concurrency

    def _close(self) -> None:
        self._engine.give_up()
        self._engine.close()
        for partial in self._partials.values():
            partial.discard()
        for transfer in self._parked.values():
            _drop(transfer)
        self._sink.close()
        self._numbers.close()
        for fd in self._fds[1:]:
            os.close(fd)

    def _listen(self) -> None:
        """Read what the parent says, on a thread of its own. The process does not outlive it."""
        try:
            if self._hear():
                return
        except BaseException as error:  # noqa: BLE001 - told to the parent
            self._broken = error
        try:
            self._over = True
            self._engine.wake()
            time.sleep(_LAST_S)
        finally:
            os._exit(1)

    def _hear(self) -> bool:
        """Take what the parent says; True: it says that this is over, False: it has ended."""
        while True:
            try:
                data = self._parent.recv(_READ)
            except OSError:
                return False
            if not data:
                return False
            ends = False
            for message in self._unpacker.feed(data):
                self._inbox.append(message)
                ends = message[0] == Down.END
            if ends:
                self._over = True
                with contextlib.suppress(Exception):  # it may be closed by now
                    self._engine.wake()
                return True
            self._engine.wake()

    # ------------------------------------------------------------ what is done

    def _work(self) -> None:
        while not self._over:
            while self._inbox:
                self._do(self._inbox.popleft())
            self._flush()
            wait_s = _TICK_S if self._numbered else None
            ended = self._engine.poll(wait_s)
            while self._sent:  # told before the end of the same transfer
                self._outbox.append((Up.SENT, self._sent.popleft()))
            for transfer in ended:
                self._tell(transfer)
            if (now := time.monotonic()) >= self._report_at:
                self._report(now)

    def _do(self, message: Message) -> None:
        what = message[0]
        if what == Down.START:
            self._start(Start._make(message))
        elif what == Down.RESUME:
            self._resume(*message[1:])
        elif what == Down.PLAN:
            self._plans[message[1]] = self._plan(message[2])
        elif what == Down.RULES:
            self._rules.keep(*message[1:])
        elif what == Down.PING:
            self._outbox.append((Up.PONG,))
        else:
            self._end_some(what, *message[1:])

    def _end_some(self, what: int, number: int = 0) -> None:
        if what == Down.GIVE_UP:
            self._engine.give_up()
        elif what == Down.BREAK_OFF and number in self._numbered:
            self._engine.break_off(self._numbered[number])
        elif what == Down.DROP:
            _drop(self._parked.pop(number))
        elif what == Down.DISCARD:
            self._partials.pop(number).discard()

    def _plan(self, seed: PlanSeed) -> Plan:
        sink = self._sink
        readable = sink if seed.readable and isinstance(sink, ReadableSink) else None
        plan = Plan(seed.limits, seed.http, seed.user_agent, seed.passwords, readable)
        forbids = self._rules.forbids if seed.asks_rules else None
        quota = self._quota if seed.asks_quota else None
        cookies = None
        if seed.cookies is not None:
            from scraper.transfer.cookies import jar_of  # few runs have some

            cookies = jar_of(seed.cookies)
        return replace(plan, forbids=forbids, quota=quota, cookies=cookies)

    def _start(self, start: Start) -> None:
        number, sink = start.transfer, self._sink
        attempt = Attempt(Target._make(start.target), *start.attempt)
        if start.robots is not None:
            sink = self._readings[number] = RobotsReading(start.robots)
        partial = None
        if start.partial is not None:
            kept, asked = start.partial
            partial = self._partials.pop(kept)._replace(range=asked)
        transfer = Transfer(attempt, self._plans[start.plan], sink, start.started, partial)
        transfer.by_turns = start.by_turns
        self._begin(number, transfer, start.permit)

    def _resume(self, number: int, now: float, hop: str, permit: str | None) -> None:
        transfer = self._parked.pop(number)
        transfer.attempt = transfer.attempt._replace(hop=hop)
        transfer.resume(now)
        self._begin(number, transfer, permit)

    def _begin(self, number: int, transfer: Transfer, permit: str | None) -> None:
        transfer.permit = None
        if permit is not None:
            transfer.permit = SendPermit(permit, lambda: self._note_sent(number))
        self._numbered[number] = transfer
        self._number_of[transfer] = number
        self._engine.start(transfer)

    def _note_sent(self, number: int) -> None:
        """From the thread that sends it."""
        self._sent.append(number)
        self._engine.wake()

    # ------------------------------------------------------------ what is told

    def _tell(self, transfer: Transfer) -> None:
        """The engine gives `transfer` back."""
        number = self._number_of.pop(transfer)
        del self._numbered[number]
        completion = transfer.completion
        if completion is None:
            transfer.pause(time.monotonic())
            self._parked[number] = transfer
            self._outbox.append((Up.BACK, number, transfer.moves_to, transfer.announced))
            return
        _, outcome, times, error, partial, announced = completion
        kept = None
        if partial is not None:
            self._partials[number], kept = partial, (partial.range, partial.body.received)
        told = flat(outcome), tuple(times), flat_error(error), kept, announced
        reading = self._readings.pop(number, None)
        self._outbox.append((Up.ENDED, number, *told, reading and reading.rules))

    def _report(self, now: float) -> None:
        """Tell how far bodies are that take longer, and what the engine can't do any more."""
        self._report_at = now + _TICK_S
        if (most := self._engine.most) < self._most:
            self._most = most
            self._outbox.append((Up.MOST, most))
        under_way: list[tuple[Any, ...]] = [
            (number, transfer.progress, self._engine.unwritten(transfer))
            for number, transfer in self._numbered.items()
            if now - transfer.started >= _TICK_S
        ]
        if under_way:
            self._outbox.append((Up.PROGRESS, under_way))

    def _flush(self) -> None:
        """Send what is to be told. What is told to be stored survives a power cut, if it is to."""
        if not self._outbox:
            return
        if self._sync is not None and any(map(_is_stored, self._outbox)):
            try:
                self._sync()
            except DestinationError as error:
                self._outbox = [_unsynced(message, error) for message in self._outbox]
        self._send()

    def _send(self) -> None:
        outbox, self._outbox = self._outbox, []
        try:
            self._parent.sendall(pack(outbox))
        except OSError:  # it has ended
            self._over = True


def _drop(transfer: Transfer) -> None:
    transfer.abandon()
    transfer.fail(TransferError(Kind.INTERRUPTED, "given up while it waited"))


def _is_stored(message: Message) -> bool:
    return message[0] == Up.ENDED and type(message[2]) is tuple


def _unsynced(message: Message, error: DestinationError) -> Message:
    """What is told in place of `message`: what was stored may be gone after a power cut."""
    if not _is_stored(message):
        return message
    failed = Failed(Failure(Kind.SINK, str(error), transient=False))
    return (*message[:2], failed, message[3], flat_error(error), *message[5:])
