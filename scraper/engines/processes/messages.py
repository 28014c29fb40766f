"""What the parent and its children tell each other, and how it becomes bytes.

A message is a tuple whose first item says what it is. All that is to be told at one time goes as
one list, pickled, behind its length. What is told of each URL are plain tuples: they are pickled
three times as fast as the records that they are made of.

Owns: the messages. Does not know: processes, sockets. Both ends are the same program, and nobody
else can write into the socket pair, so pickle is safe here.
"""

import pickle
import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from scraper.model.errors import DestinationError
from scraper.model.records import Failed, NotModified, Response, Stored
from scraper.model.settings import Http, Limits, RunLimits
from scraper.sinks.base import SinkOptions
from scraper.transfer.completion import InPart
from scraper.transfer.conditions import RangeRequest

if TYPE_CHECKING:
    from http.cookiejar import Cookie

Message = tuple[Any, ...]
_LENGTH = struct.Struct("!I")


class Down:
    """From the parent, with the items that follow. Plain numbers: an enum's member costs more."""

    SETUP = 0  # Setup; the descriptors come before it
    PLAN = 1  # number, PlanSeed
    START = 2  # see `Start`
    RESUME = 3  # transfer, now, attempt's hop, host of its permit
    BREAK_OFF = 4  # transfer
    DROP = 5  # transfer that waits for its turn, and gets none
    DISCARD = 6  # partial body
    RULES = 7  # origin, Rules, since
    GIVE_UP = 8
    PING = 9
    END = 10


class Up:
    """From a child, with the items that follow."""

    READY = 0
    UNUSABLE = 1  # the error's class, text, hint
    ENDED = 2  # transfer, outcome, times, error, of a kept Partial its range and what came of it,
    # announced, Rules
    BACK = 3  # transfer, the host that it moves to, announced: it needs a turn
    SENT = 4  # transfer
    PROGRESS = 5  # a list of: transfer, its `progress`, bytes that are not written
    MOST = 6  # transfers at once that it can carry out from now on
    PONG = 7
    OVER = 8  # all is closed, and another set-up may follow
    BROKEN = 9  # the error, in words, that it ends with


class Setup(NamedTuple):
    """What a child needs to begin. `found`: what the sink's `check` found, for its `join`.

    `engine`: `curl` or `threads`. `leased`: the lease's end is among the shared numbers.
    """

    engine: str
    max_concurrency: int
    limits: Limits
    http: Http
    run_limits: RunLimits
    destination: str
    options: SinkOptions
    found: object | None
    leased: bool


class PlanSeed(NamedTuple):
    """What the parent's plan has of its own; the rest are a child's sink, quota and rules."""

    limits: Limits
    http: Http
    user_agent: str
    passwords: Mapping[str, str]
    cookies: "tuple[Cookie, ...] | None"  # a jar has a lock, which can't be pickled
    readable: bool
    asks_rules: bool
    asks_quota: bool


class Start(NamedTuple):
    """A transfer that begins.

    `partial`: a body to be continued, its number and what asks for the rest of it; or None.
    `robots`: by which name robots.txt knows us, where its body is one; else None.
    `permit`: the host that one request may be sent to, None if it has no gaps.
    """

    what: int
    transfer: int
    target: tuple[Any, ...]
    attempt: tuple[Any, ...]
    plan: int
    started: float
    partial: tuple[int, RangeRequest] | None
    robots: str | None
    permit: str | None
    by_turns: bool


Ending = Stored | NotModified | Failed | InPart


def pack(messages: list[Message]) -> bytes:
    """The bytes of these messages."""
    body = pickle.dumps(messages, 5)
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Messages of bytes that come in any pieces."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete now."""
        came = self._bytes
        came += data
        at, size = 0, len(came)
        while size - at >= _LENGTH.size:
            end = at + _LENGTH.size + _LENGTH.unpack_from(came, at)[0]
            if end > size:
                break
            yield from pickle.loads(memoryview(came)[at + _LENGTH.size : end])  # noqa: S301
            at = end
        del came[:at]


def flat(outcome: Ending) -> Message | Ending:
    """`outcome`, as a plain tuple if it is the usual one."""
    if type(outcome) is Stored:
        return (tuple(outcome.response), *outcome[1:])
    return outcome


def unflat(told: Any) -> Ending:
    """The outcome that `flat` made this of."""
    if type(told) is tuple:
        response, *rest = told
        return Stored(Response._make(response), *rest)
    outcome: Ending = told
    return outcome


def flat_error(error: DestinationError | None) -> tuple[str, str] | None:
    """The error, as its text and its hint."""
    return None if error is None else (str(error), error.hint)


def unflat_error(told: tuple[str, str] | None) -> DestinationError | None:
    """The error that `flat_error` made this of."""
    return None if told is None else DestinationError(told[0], hint=told[1])
