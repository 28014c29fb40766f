"""A site with one body that is given in ranges (RFC 9110 14), and exact faults in that.

site = RangeSite(BODY, holds=3)           # the whole body goes on once 3 ranges were asked for
site.answers[2] = torn(10_000)            # what the second range that is asked for gets
server = HttpServer(site)
assert site.asked == ["bytes=750000-999999", ...]
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.servers import WAIT_S, Reply, Request

_PIECE = 50_000
_ENDLESS = 1 << 30


@dataclass
class RangeSite:
    """Handler of a server. `held`: bytes of the whole body that come before it waits.

    It goes on once `holds` ranges were asked for, and `leaves` answers of `wrong` were left.
    `cut`: it is closed after so many bytes.
    `answers`: what the n-th range (from 1) gets, if not what was asked for. `most`: more than so
    many at once are answered by 503.
    """

    content: bytes
    holds: int = 0
    leaves: int = 0
    held: int = 30_000
    cut: int | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: {"ETag": '"v1"'})
    answers: "dict[int, Answer]" = field(default_factory=dict)
    most: int = 1_000
    asked: list[str] = field(default_factory=list)  # ranges
    requests: list[Request] = field(default_factory=list)
    refused: int = 0
    left: int = 0
    _at_once: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, request: Request) -> Reply:
        """The body, or a part of it."""
        wanted = request.headers.get("range")
        with self._changed:
            self.requests.append(request)
            if self._at_once >= self.most:
                self.refused += 1
                return Reply(503, {"Content-Length": "0"})
            if wanted is not None:
                assert request.headers["if-range"]
                self.asked.append(wanted)
            self._at_once += 1
            number = len(self.asked)
            self._changed.notify_all()
        if wanted is None:
            length = {"Content-Length": str(len(self.content))}
            headers = {"Accept-Ranges": "bytes", **self.headers, **length}
            return Reply(200, headers, self._whole(), close=self.cut is not None)
        first, last = map(int, wanted.removeprefix("bytes=").split("-"))
        reply = self.answers.get(number, part)(self, first, last)
        pieces = [reply.body] if isinstance(reply.body, bytes) else reply.body
        length = (
            {} if not isinstance(reply.body, bytes) else {"Content-Length": f"{len(reply.body)}"}
        )
        return Reply(
            reply.status,
            {**length, **dict(reply.headers)},
            self._counted(pieces),
            None,
            reply.close,
        )

    def release(self) -> None:
        """Let the whole body go on."""
        with self._changed:
            self.holds = self.leaves = 0
            self._changed.notify_all()

    def leave(self) -> None:
        """Note that an answer of `wrong` was left."""
        with self._changed:
            self.left += 1
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` holds; it is asked at every request."""
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_S)

    def _whole(self) -> Iterator[bytes]:
        def pieces() -> Iterator[bytes]:
            yield self.content[: self.held]
            self.wait_for(lambda: len(self.asked) >= self.holds and self.left >= self.leaves)
            content = self.content[: self.cut]
            for at in range(self.held, len(content), _PIECE):
                yield content[at : at + _PIECE]

        return self._counted(pieces())

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """`pieces`; the request is over when they are sent, or when that failed."""
        try:
            yield from pieces
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._at_once -= 1
            self._changed.notify_all()


Answer = Callable[[RangeSite, int, int], Reply]


def after_leaving(site: RangeSite, first: int, last: int) -> Reply:
    """What was asked for, once an answer of `wrong` was left."""

    def pieces() -> Iterator[bytes]:
        site.wait_for(lambda: site.left > 0)
        yield site.content[first : last + 1]

    whole = part(site, first, last)
    length = {"Content-Length": str(last - first + 1)}
    return Reply(206, {**dict(whole.headers), **length}, pieces())


def part(site: RangeSite, first: int, last: int, **headers: str) -> Reply:
    """What was asked for; `headers` replace its own, "" leaves one out."""
    own = {**site.headers, "Content-Range": f"bytes {first}-{last}/{len(site.content)}"}
    own |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(
        206, {name: value for name, value in own.items() if value}, site.content[first : last + 1]
    )


def torn(size: int) -> Answer:
    """The first `size` bytes of the part, then the connection is closed."""

    def answer(site: RangeSite, first: int, last: int) -> Reply:
        whole = part(site, first, last)
        length = {"Content-Length": str(last - first + 1)}
        return Reply(
            206,
            {**dict(whole.headers), **length},
            iter([site.content[first : first + size]]),
            close=True,
        )

    return answer


def wrong(code: int, **headers: str) -> Answer:
    """An answer that never ends, until the client leaves it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(site: RangeSite, first: int, last: int) -> Reply:
        def pieces() -> Iterator[bytes]:
            try:
                while True:
                    yield b"x" * _PIECE
            finally:
                site.leave()

        own = dict(part(site, first, last).headers) | {"Content-Length": str(_ENDLESS)} | named
        shown = {
            name: value.format(first=first, last=last, size=len(site.content))
            for name, value in own.items()
            if value
        }
        return Reply(code, shown, pieces())

    return answer


def spans(asked: list[str]) -> list[tuple[int, int]]:
    """The ranges that were asked for, in order of their first byte."""
    found = [re.fullmatch(r"bytes=(\d+)-(\d+)", one) for one in asked]
    return sorted((int(one[1]), int(one[2])) for one in found if one)
