"""Gaps between the requests to one host, kept as its server sees them.

The frontier starts no target of such a host while the last one has not sent its request. Each
transfer has a permit to send one request (`transfer/send_permit.py`). If it needs another one,
for a redirect within the host or to send the request again, it comes back from the engine. It
gives its slot up, waits in the frontier before all others of its host, and then goes on where
it was.

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
from scraper.schedule import Frontier
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
        self._sent: deque[Target] = deque()
        self._waiting: dict[str, Transfer] = {}  # by key

    def resume(self, attempt: Attempt, now: float) -> Transfer | None:
        """The transfer that waited for this turn of `attempt`, if one did."""
        transfer = self._waiting.pop(attempt.target.key, None) if self._waiting else None
        if transfer is not None:
            transfer.resume(now)
        return transfer

    def permit(self, transfer: Transfer, *, always: bool) -> None:
        """Let `transfer` send one request, if its host has a gap, or `always`."""
        target = transfer.attempt.target
        if always or self._frontier.has_gap(target.host):
            transfer.permit = SendPermit(target.host, lambda: self._note(target))

    def take_sent(self, now: float) -> None:
        """Tell the frontier which requests were sent. Call this before transfers are taken."""
        while self._sent:
            self._frontier.sent(self._sent.popleft(), now)

    def put_back(self, transfer: Transfer, now: float) -> None:
        """Let `transfer` wait for its next turn."""
        transfer.pause(now)
        self._waiting[transfer.attempt.target.key] = transfer
        following = transfer.attempt._replace(number=transfer.attempt.number + 1)
        self._frontier.put_back(following, now)

    def drop(self, key: str) -> None:
        """Give up the transfer that waits, if one does: no turn follows."""
        transfer = self._waiting.pop(key, None)
        if transfer is not None:
            transfer.abandon()
            transfer.fail(TransferError(Kind.INTERRUPTED, "given up while it waited"))

    def close(self) -> None:
        """Give up all that wait."""
        for key in list(self._waiting):
            self.drop(key)

    def _note(self, target: Target) -> None:
        self._sent.append(target)
        self._wake()
