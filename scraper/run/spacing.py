"""Gaps between the requests to one host, kept as its server sees them.

The frontier starts no target of such a host while the last one has not sent its request. Each
transfer has a permit to send one request (`transfer/send_permit.py`). If it needs another one,
for a redirect within the host or to send the request again, it comes back from the engine. So
does every transfer that a redirect leads to another host. It gives its slot up, waits in the
frontier before all others of that host, and then goes on where it was.

Owns: which requests were sent since the last look, and transfers that wait for their next turn.
Does not know: how long a gap is (`frontier.py`). Rejected: a transfer that waits for its gap in
the engine, since it would hold a slot; gaps between starts, since a slow first handshake lets
several requests out at once.
"""

from collections import deque
from collections.abc import Callable

from scraper.model.errors import Kind, TransferError
from scraper.model.records import Attempt, Target
from scraper.model.settings import Politeness
from scraper.schedule import Frontier, HostChange
from scraper.transfer import SendPermit, Transfer


class Spacing:
    """Used by the loop's thread. `wake` ends the engine's `poll`; it is called from any thread.

    `may_apply`: whether any host may have a gap. Else no transfer needs a permit.
    """

    def __init__(
        self, frontier: Frontier, wake: Callable[[], None], politeness: Politeness
    ) -> None:
        self.may_apply = bool(politeness.delay or politeness.rate or politeness.robots)
        self._frontier = frontier
        self._wake = wake
        self._sent: deque[tuple[Target, str]] = deque()
        self._waiting: dict[str, Transfer] = {}  # by key

    def resume(self, attempt: Attempt, now: float) -> Transfer | None:
        """The transfer that waited for this turn of `attempt`, if one did."""
        transfer = self._waiting.pop(attempt.target.key, None) if self._waiting else None
        if transfer is None:
            return None
        if transfer.attempt.target is not attempt.target:  # of a robots.txt that was given up
            _give_up(transfer)
            return None
        transfer.resume(now)
        return transfer

    def permit(self, transfer: Transfer, *, always: bool) -> None:
        """Let `transfer` send one request, if its host has a gap, or `always`."""
        target, hop = transfer.attempt.target, transfer.attempt.hop
        host = hop or target.host
        if always or self._frontier.has_gap(host):
            transfer.permit = SendPermit(host, lambda: self._note(target, hop))

    def take_sent(self, now: float) -> None:
        """Tell the frontier which requests were sent. Call this before transfers are taken."""
        while self._sent:
            target, hop = self._sent.popleft()
            self._frontier.sent(target, now, hop)

    def put_back(self, transfer: Transfer, now: float) -> HostChange | None:
        """Let `transfer` wait for its next turn, at another host if a redirect led there."""
        transfer.pause(now)
        self._waiting[transfer.attempt.target.key] = transfer
        following = transfer.attempt._replace(number=transfer.attempt.number + 1)
        to = transfer.moves_to
        if not to:
            self._frontier.put_back(following, now)
            return None
        transfer.attempt = transfer.attempt._replace(hop=to)
        return self._frontier.move(following, to, transfer.hop_started, now, transfer.announced)

    def drop(self, key: str) -> None:
        """Give up the transfer that waits, if one does: no turn follows."""
        transfer = self._waiting.pop(key, None)
        if transfer is not None:
            _give_up(transfer)

    def close(self) -> None:
        """Give up all that wait."""
        for key in list(self._waiting):
            self.drop(key)

    def _note(self, target: Target, hop: str) -> None:
        self._sent.append((target, hop))
        self._wake()


def _give_up(transfer: Transfer) -> None:
    transfer.abandon()
    transfer.fail(TransferError(Kind.INTERRUPTED, "given up while it waited"))
