"""Bodies that are fetched in parts: which part starts when, and what follows its end (--split).

Each part is a transfer in flight: it has a slot, it counts at its host's cap, and it waits for
the host's gaps, pauses and pace as every request does. No part waits while it holds a slot. A
part that the first transfer of the body would bring too starts only when no target could use
the slot, so the body comes in fewer parts rather than keep others waiting. A part that only
another transfer can bring (the first one has ended, or a part broke off) comes before targets.
When no transfer of a body is in flight, its target waits in the frontier, as for a retry.

A part that broke off is continued, as often as an attempt may be retried. Then it waits until
another part has ended; where the server refused it, fewer come at once from then on. If no other
part is in flight, the whole body is asked for, as one: what became of a part says nothing of it.

Owns: that order, the attempts at each part, and how a target ends whose body comes in parts. Does
not know: bytes (`transfer/split.py`), what follows the end of a target (`failure_policy.py`).
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Failed, Failure, Stored
from scraper.model.settings import Settings
from scraper.model.urls import redact
from scraper.run.stopping import Note
from scraper.schedule import Again, Charge, Frontier, RetryPolicy
from scraper.transfer import Completion, Transfer
from scraper.transfer.part_transfer import PartTransfer
from scraper.transfer.split import Part, Split, Splits, State

_NEVER = math.inf
_AGAIN = Failure(Kind.CONNECT, "the request has to be sent again")
# No part is to blame, and no later request for one is better.
_OF_THE_WHOLE = frozenset({Kind.INTERRUPTED, Kind.SINK, Kind.MISMATCH})


class Tries(NamedTuple):
    """Attempts at one part: the number of the next, how many cost nothing, when it is due."""

    number: int = 1
    free: int = 0
    due: float = -_NEVER


_FIRST = Tries()


class Ending(NamedTuple):
    """How an attempt ends that began at `started`; `charge`: what its failure costs."""

    completion: Completion
    started: float
    charge: Charge


class Divided:
    """A target whose body comes in parts. `first` is the transfer that began."""

    def __init__(self, first: Transfer, most: int) -> None:
        assert first.split is not None
        self.first = first
        self.split: Split = first.split
        self.attempt = first.attempt
        self.host = self.split.origin.hop.url.origin.host
        self.most = most  # parts at once
        self.in_flight: set[Transfer] = {first}
        self.tries: dict[Part, Tries] = {}
        self.ending: Ending | None = None
        self.is_told = False

    @property
    def is_over(self) -> bool:
        """Whether no part of it starts any more."""
        return self.ending is not None or self.split.state is not State.TOGETHER

    def tries_at(self, part: Part) -> Tries:
        """The attempts at `part` so far."""
        return self.tries.get(part, _FIRST)


class Splitting:
    """Used by the loop's thread; `wake` ends the engine's `poll`, from any thread."""

    def __init__(
        self, settings: Settings, frontier: Frontier, wake: Callable[[], None], note: Note
    ) -> None:
        politeness = settings.politeness
        self._most = politeness.split
        self._frontier = frontier
        self._wake = wake
        self._note = note
        self._policy = RetryPolicy(settings.retries)
        self._new: deque[Transfer] = deque()
        self._divided: dict[Split, Divided] = {}
        self._waiting: dict[str, Divided] = {}  # in the frontier, by key
        self._whole: set[str] = set()  # keys of bodies that could not be put together
        self.splits = Splits(politeness.split, politeness.split_above, self._whole, self._hear)

    def _hear(self, first: Transfer) -> None:
        """Called by the thread that took the head of a response."""
        self._new.append(first)
        self._wake()

    # ------------------------------------------------------------ which part starts

    def start(self, now: float, *, needed: bool) -> Transfer | None:
        """A part that starts now; None if none may. `needed`: see `Split.missing`."""
        self._take_new()
        for one, part in self._due(now, needed=needed):
            if one.split.take(part):
                tries, hop = one.tries_at(part), one.host
                target = one.attempt.target._replace()  # its request is another
                started = one.attempt.first_started
                attempt = Attempt(target, now, tries.number, started, None, tries.free, hop)
                attempt = attempt._replace(earlier=one.attempt.earlier)
                self._frontier.join(attempt, now)
                return self._transfer(one, part, attempt, now)
        return None

    def resume(self, attempt: Attempt, now: float) -> Transfer | None:
        """A part of the body that waited for this turn of `attempt`, if one did."""
        one = self._waiting.pop(attempt.target.key, None) if self._waiting else None
        if one is None:
            return None
        missing = one.split.missing(needed=True)
        part = min(missing, key=lambda part: (one.tries_at(part).due, part.first))
        one.split.take(part)
        tries = one.tries_at(part)
        attempt = attempt._replace(number=tries.number, free=tries.free, previous=None)
        return self._transfer(one, part, attempt, now)

    def due(self, now: float) -> float:
        """When `start` is to be asked again if nothing else happens; inf: only an event helps."""
        moments = [
            max(self._frontier.joins_at(one.host, now), one.tries_at(part).due)
            for one in self._divided.values()
            if self._may_grow(one)
            for needed in (True, False)
            for part in one.split.missing(needed=needed)
        ]
        return min(moments, default=_NEVER)

    def _may_grow(self, one: Divided) -> bool:
        return not one.is_over and 0 < len(one.in_flight) < one.most

    def _due(self, now: float, *, needed: bool) -> Iterator[tuple[Divided, Part]]:
        for one in self._divided.values():
            if not self._may_grow(one) or self._frontier.joins_at(one.host, now) > now:
                continue
            for part in one.split.missing(needed=needed):
                if one.tries_at(part).due <= now:
                    yield one, part

    def _transfer(self, one: Divided, part: Part, attempt: Attempt, now: float) -> Transfer:
        transfer = PartTransfer(attempt, one.split, part, now)
        one.in_flight.add(transfer)
        return transfer

    # ------------------------------------------------------------ what follows its end

    def take(
        self, transfer: Transfer, now: float, break_off: Callable[[Transfer], None]
    ) -> Ending | None:
        """How the target ends with this transfer, which has ended; None if it does not yet.

        `break_off` ends another transfer at once; it comes back all the same.
        """
        self._take_new()
        assert transfer.split is not None
        assert transfer.part is not None
        one = self._divided[transfer.split]
        one.in_flight.discard(transfer)
        one.split.put_back(transfer.part)
        failure, charge = self._tell_host(one, transfer, now)
        if one.ending is None:
            self._judge(one, transfer, failure, charge, now)
        ending = one.ending
        if ending is not None and isinstance(ending.completion.outcome, Stored):
            return self._told(one, ending)
        if one.is_over:
            for other in one.in_flight:
                if other is not one.first or one.split.state is State.OVER:
                    break_off(other)
        if one.in_flight:
            return None
        if ending is not None:
            return self._told(one, ending)
        self._wait(one, now)
        return None

    def drop(self, key: str) -> None:
        """Drop the body that waits for a turn, if one does: no turn follows."""
        one = self._waiting.pop(key, None)
        if one is not None:
            self._forget(one)

    def close(self, in_flight: AbstractSet[Transfer]) -> None:
        """Drop all bodies that nobody writes any more. `in_flight`: transfers that still may."""
        self._take_new()
        for one in list(self._divided.values()):
            if not one.in_flight & in_flight:
                self._forget(one)

    def _take_new(self) -> None:
        while self._new:
            one = Divided(self._new.popleft(), self._most)
            self._divided[one.split] = one

    def _forget(self, one: Divided) -> None:
        del self._divided[one.split]
        one.split.abort()

    def _told(self, one: Divided, ending: Ending) -> Ending | None:
        """`ending`, once. Other transfers of the body may still have to come back."""
        if not one.in_flight:
            self._forget(one)
        is_told, one.is_told = one.is_told, True
        return None if is_told else ending

    def _wait(self, one: Divided, now: float) -> None:
        """Let the target wait for its next turn: for its missing parts, or for all of the body."""
        target, number = one.attempt.target, one.attempt.number + 1
        missing = one.split.missing(needed=True)
        if one.split.state is not State.TOGETHER or not missing:  # all there, and not stored
            self._forget(one)
            self._whole.add(target.key)
            following = one.attempt._replace(number=number, free=one.attempt.free + 1, hop="")
            self._frontier.add(following, now, under_way=True)
            return
        self._waiting[target.key] = one
        due = min(one.tries_at(part).due for part in missing)
        following = one.attempt._replace(number=number, hop=one.host)
        self._frontier.add(following, now, due if due < _NEVER else now, under_way=True)

    def _tell_host(
        self, one: Divided, transfer: Transfer, now: float
    ) -> tuple[Failure | None, Charge]:
        """Why the transfer failed, if it did, and what its host says that it costs."""
        completion, started = transfer.completion, transfer.hop_started
        outcome = None if completion is None else completion.outcome
        failure = told = outcome.failure if isinstance(outcome, Failed) else None
        if failure is not None and failure.kind is Kind.INTERRUPTED:
            told = None
        elif failure is not None and one.in_flight:  # it is reached, and wants no more connections
            told = failure._replace(unreachable=False)
        announced = None if completion is None else completion.announced
        attempt = transfer.attempt
        change = self._frontier.ended(attempt, told, started, now - started, now, announced)
        if change is not None:
            self._note("debug", change.event, change.record)
        return failure, Charge.ATTEMPT if told is None else self._frontier.charge(attempt)

    def _judge(
        self, one: Divided, transfer: Transfer, failure: Failure | None, charge: Charge, now: float
    ) -> None:
        """Find out whether the target has ended with `transfer`, and what follows if not."""
        completion, state = transfer.completion, one.split.state
        if completion is None:  # it would have to send two requests, and its host has gaps
            one.split.differs()
        elif isinstance(completion.outcome, Stored):
            self._end(one, completion, now)
        elif failure is None:
            for part, tries in one.tries.items():
                if tries.due == _NEVER:  # it waited for this
                    one.tries[part] = _FIRST
        elif state is State.ALONE:
            if transfer is one.first:
                self._end(one, completion, now, charge)
        elif state is State.TOGETHER:
            if failure.kind in _OF_THE_WHOLE or (one.split.is_complete and not one.in_flight):
                self._end(one, completion, now, charge)  # not a part is to blame
            else:
                self._after(one, transfer, failure, charge, now)

    def _after(
        self, one: Divided, transfer: Transfer, failure: Failure, charge: Charge, now: float
    ) -> None:
        """Let the part of `transfer`, which failed, be asked for again, or all of the body."""
        part = transfer.part
        assert part is not None
        tries = one.tries_at(part)
        attempt = one.attempt._replace(number=tries.number, free=tries.free)
        verdict = self._policy.decide(failure, attempt, now, charge)
        if failure.kind is Kind.HTTP_STATUS or failure.unreachable:  # it wants fewer
            one.most = max(1, len(one.in_flight))
        if isinstance(verdict, Again):
            free = tries.free + (charge is Charge.NOTHING)
            one.tries[part] = Tries(tries.number + 1, free, now + verdict.delay_s)
            self._tell_retry(one, tries.number, failure, verdict.delay_s)
        elif one.in_flight:
            one.tries[part] = Tries(due=_NEVER)
        else:  # a part that can't be had says nothing of the whole: that is asked for
            one.split.give_up()

    def _end(
        self, one: Divided, completion: Completion, now: float, charge: Charge = Charge.ATTEMPT
    ) -> None:
        """Note how the target ends: with `completion`, whose attempt may be of another part."""
        one.split.give_up()
        first = one.first.completion
        times = (completion if first is None else first).times
        times = times._replace(total=now - one.first.started)
        whole = completion._replace(attempt=one.attempt, times=times)
        one.ending = Ending(whole, one.first.started, charge)

    def _tell_retry(self, one: Divided, number: int, failure: Failure, delay_s: float) -> None:
        record = {
            "url": redact(one.attempt.target.listed),
            "attempt": number,
            "delay_s": round(delay_s, 3),
            "kind": failure.kind.value,
            "message": failure.message,
        }
        self._note("debug", "retry", record)
