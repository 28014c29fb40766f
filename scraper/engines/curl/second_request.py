"""Whether a request that brought no response is to be sent again at once, alone, and at no cost.

A server may close a kept connection at any time, also while a request is on its way. libcurl
takes another connection by itself then, but at most five times, and all of them may be kept ones.
Over HTTP/2 a server ends the connection for what one request asked, and all others with it. So
each of them is asked again over a connection of its own, once. Whoever fails then has failed.

Owns: that decision. Does not know: how a request is sent again (`engine.py`), what its failure is
(`errors.py`).
"""

from typing import NamedTuple

from scraper.engines.curl.errors import UNANSWERED
from scraper.engines.curl.multiplexing import Place, Role


class Ending(NamedTuple):
    """How a hop ended without a response. `code` and `message` are libcurl's.

    `asked`: its request was sent. `opened`: over a connection of its own. `fresh`: for the second
    time. `closed`: the server closed the connection without a word. `certificate`: and asked for
    a client certificate before.
    """

    code: int
    message: str
    asked: bool
    opened: bool
    fresh: bool
    closed: bool
    certificate: bool


def may_be_sent_again(ending: Ending, place: Place | None) -> bool:
    """Whether it is; `place`: of the hop at its origin, if it may have gone over HTTP/2."""
    if place is not None and place.role is Role.ALONE:
        return not ending.certificate and place.is_http2_only(ending.code)
    if ending.fresh:
        return False
    if ending.asked and not ending.opened and ending.code in UNANSWERED:
        return True
    if place is None:
        return False
    if ending.asked and place.ended_with_others(ending.code, ending.message):
        return True
    return ending.closed and place.is_first_failure()
