"""HTTP/2 connections to one origin: which hop opens one, which joins one, and which waits.

A hop joins a connection that has room, so that ordinary servers see few connections. A connection
is full with six streams, whatever number its server announces: the announcement is no promise to
work on so many. Apache begins with six, and the others wait in its queue, where --read-timeout
runs. The next hop opens another connection then. Browsers open six for HTTP/1.1, and so does
Apache count.

The first hop to an origin opens a connection, and the others wait until it stands. The second one
finds out what the server speaks: it joins (HTTP/2), or has to open a connection (HTTP/1.1).
From then on a server of HTTP/1.1 gets all its connections at once, and nobody counts them.

A request that failed as its connection did is asked alone, over HTTP/1.1: nobody shares its fate,
and the server can say what it does not like. So is every request to an origin whose answers wait
in a queue (`queues`).

Owns: these decisions, and counts of streams. Does not know: libcurl, which holds the same limit
of streams (`multi.py`), and what follows a failure (`handle.py`). Rejected: more streams for
servers that answer quickly, as it takes a clock to know them. Sending again what waits, as
servers count cancelled streams as an attack. libcurl's PIPEWAIT, with which the others wait until
the first response has ended.
"""

from collections import deque
from collections.abc import Hashable
from enum import Enum, auto
from typing import TYPE_CHECKING

from scraper.engines.curl.errors import NOT_HTTP1, UNANSWERED, is_end_of_http2

if TYPE_CHECKING:
    from scraper.engines.curl.handle import CurlHandle

STREAMS = 6  # at once on a connection


class Role(Enum):
    """How a hop comes to its connection."""

    WAITS = auto()  # for one that is being opened
    OPENS = auto()
    JOINS = auto()
    SENT = auto()  # its connection stands
    ALONE = auto()  # over HTTP/1.1, and not counted
    OVER = auto()


class _Connection:
    """A connection: its streams, and how many of them have no response yet."""

    __slots__ = ("begun", "key", "streams", "unanswered")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.begun = 0  # streams so far
        self.streams = 0
        self.unanswered = 0


class Place:
    """The place of one hop at its origin."""

    __slots__ = (
        "_again",
        "_alone_up_to",
        "_answered",
        "_behind",
        "_connection",
        "handle",
        "pool",
        "role",
    )

    def __init__(self, pool: "OriginPool", handle: "CurlHandle", role: Role) -> None:
        self.pool = pool
        self.handle = handle
        self.role = role
        self._behind = False
        self._alone_up_to = 0  # streams begun on its connection, as long as it had no other
        self._connection: _Connection | None = None
        self._answered = False
        self._again = False

    def admit(self) -> bool:
        """Whether it may be given to libcurl now. If not, `OriginPool.released` tells when."""
        return self.role is not Role.WAITS or self.pool.admit(self)

    def opened(self) -> None:
        """Note that a new connection is made for it, though it might have joined one."""
        if self.role is Role.JOINS and self.pool.http2 is None:
            self.pool.http2 = False

    def sent(self, key: Hashable) -> None:
        """Note that its request is sent over the connection `key`."""
        if self.role is not Role.ALONE:
            self._again = self.role is Role.SENT  # by libcurl, which may speak HTTP/1.1 now
            self._leave()
            self.role = Role.SENT
            self._connection = connection = self.pool.begin(key)
            self._behind = connection.unanswered > 0
            self._alone_up_to = 0 if connection.streams > 1 else connection.begun
            connection.unanswered += 1

    def answered(self, *, http2: bool) -> None:
        """Note that its response has begun. Further calls do nothing."""
        if self._answered:
            return
        self._answered = True
        self.pool.doubted = False
        if self._connection is not None:
            self._connection.unanswered -= 1
        if self.role is Role.ALONE or (self._again and not http2):
            self.pool.http1 = True
            return
        if self.pool.http2 is None or http2:
            self.pool.http2 = http2
        self.pool.settled = True

    def ended_with_others(self, code: int, message: str) -> bool:
        """Whether it failed as its connection of HTTP/2 did. libcurl's `code` and `message`."""
        if is_end_of_http2(code, message):
            self.pool.http2 = True
            return True
        return code in UNANSWERED and self.pool.http2 is True

    @property
    def is_behind(self) -> bool:
        """Whether others had no response on its connection of HTTP/2 when it was sent."""
        return self._behind and self.pool.http2 is True

    @property
    def is_shared(self) -> bool:
        """Whether its connection of HTTP/2 carries other requests, or did since it was sent."""
        connection = self._connection
        return connection is not None and connection.begun > self._alone_up_to

    def is_http2_only(self, code: int) -> bool:
        """Whether its failure over HTTP/1.1 says that the origin speaks HTTP/2 only."""
        says = code in NOT_HTTP1
        if self.pool.http1 or not (says or code in UNANSWERED):
            return False
        self.pool.http1 = False
        return says or self.pool.http2 is True

    def is_first_failure(self) -> bool:
        """Whether its origin has answered nothing so far, and is to be asked once more."""
        if self.pool.settled or self.pool.http1 or self.pool.doubted:
            return False
        self.pool.doubted = True
        return True

    def over(self) -> None:
        """Note that its hop is over. No connection stands if it failed before `sent`."""
        if self.role is Role.OPENS and self.pool.http2 is None:
            self.pool.http2 = False  # so there is nothing to wait for
        self._leave()
        self.role = Role.OVER

    def _leave(self) -> None:
        """Count it no longer as what it is."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.unanswered -= not self._answered
            self.pool.end(connection)
        elif self.role is Role.OPENS or self.role is Role.JOINS:
            self.pool.left(self.role)


class OriginPool:
    """See the module. `http1_1`: the user wants that version.

    `http2`: whether the origin speaks HTTP/2; None: not known yet. `settled`: a response told it.
    `http1`: whether it answers HTTP/1.1 too; None: it was not asked so yet. `queues`: answers wait
    in a queue of its own, so it is asked over HTTP/1.1 only. `doubted`: its first connection ended
    without a response, and it has answered nothing since.
    """

    def __init__(self, *, http1_1: bool) -> None:
        self.http2: bool | None = False if http1_1 else None
        self.http1: bool | None = None
        self.settled = False
        self.queues = False
        self.doubted = False
        self._waiting: deque[Place] = deque()
        self._opening = 0
        self._joining = 0
        self._streams = 0
        self._connections: dict[Hashable, _Connection] = {}

    @property
    def has_one_version(self) -> bool:
        """Whether it speaks HTTP/1.1 only, so that its hops need no place."""
        return self.settled and self.http2 is False

    @property
    def is_idle(self) -> bool:
        """Whether no hop has a place."""
        return not (self._streams or self._opening or self._joining or self._waiting)

    @property
    def has_waiting(self) -> bool:
        """Whether `released` may tell something."""
        return bool(self._waiting)

    def place(self, handle: "CurlHandle", *, fresh: bool) -> Place:
        """A place for the hop of `handle`. `fresh`: its request failed over another connection."""
        alone = self.queues or (fresh and self.http2 is not False and self.http1 is not False)
        return Place(self, handle, Role.ALONE if alone else Role.WAITS)

    def released(self) -> list[Place]:
        """The places that wait no more, in order."""
        released = []
        while self._waiting:
            place = self._waiting[0]
            if place.role is Role.WAITS:
                place.role = self._role_of(len(self._waiting))
                if place.role is Role.WAITS:
                    break
                self._count(place.role)
                released.append(place)
            self._waiting.popleft()
        return released

    # ------------------------------------------------------------ called by Place

    def admit(self, place: Place) -> bool:
        """Whether `place` has a connection to open or to join. If not, it waits here."""
        place.role = self._role_of(len(self._waiting) + 1)
        if place.role is Role.WAITS:
            self._waiting.append(place)
            return False
        self._count(place.role)
        return True

    def begin(self, key: Hashable) -> _Connection:
        """A stream begins on the connection `key`. Two at once on one are HTTP/2."""
        connection = self._connections.get(key)
        if connection is None:
            connection = self._connections[key] = _Connection(key)
        elif not self.settled:
            self.http2 = True
        connection.streams += 1
        connection.begun += 1
        self._streams += 1
        return connection

    def end(self, connection: _Connection) -> None:
        """A stream of `connection` is over. What is idle is not counted: it may be closed."""
        connection.streams -= 1
        self._streams -= 1
        if not connection.streams:
            self._connections.pop(connection.key, None)

    def left(self, role: Role) -> None:
        """One that opened or joined a connection does so no more."""
        if role is Role.OPENS:
            self._opening -= 1
        else:
            self._joining -= 1

    def _count(self, role: Role) -> None:
        if role is Role.OPENS:
            self._opening += 1
        else:
            self._joining += 1

    def _role_of(self, waiting: int) -> Role:
        """What the first of so many that wait may do."""
        if self.http2 is False:
            return Role.OPENS
        if self.http2 is None:
            if self._opening or self._joining:
                return Role.WAITS
            return Role.JOINS if self._connections else Role.OPENS
        if self._streams + self._joining < STREAMS * len(self._connections):
            return Role.JOINS
        # One that opens a connection makes room for itself and five others.
        return Role.OPENS if waiting > self._opening * (STREAMS - 1) else Role.WAITS
