"""The seam between the loop and an engine.

An engine carries out transfers, any number at once: the loop's semaphore limits them, not the
engine. It pushes the bytes that it receives into each Transfer, and maps foreign exceptions to
ours. It does not know the frontier, nor retries.
"""

from collections.abc import Sequence
from typing import Protocol

from scraper.model.errors import DestinationError, Kind, TransferError
from scraper.transfer import Transfer


class Engine(Protocol):
    """All methods but `wake` and `unwritten` are called on the loop's thread."""

    name: str

    @property
    def most(self) -> int:
        """Transfers that it can carry out at once. It falls when the system gives no threads."""

    def start(self, transfer: Transfer) -> None:
        """Begin to carry out `transfer`. Returns at once."""

    def poll(self, timeout_s: float | None) -> Sequence[Transfer]:
        """Transfers that have ended, each with its `completion`. Waits for one, or for a `wake`.

        Also transfers that `must_wait`: they have no `completion`, and `start` goes on with them.

        It waits for at most `timeout_s` seconds; None: for as long as it takes.
        """

    def unwritten(self, transfer: Transfer) -> int:
        """Bytes of its body that came and that it does not have yet. From any thread."""

    def wake(self) -> None:
        """Make `poll` return now. May be called from any thread, and from a signal handler."""

    def break_off(self, transfer: Transfer) -> None:
        """Abandon and break off `transfer`, if it is in flight. It ends through `poll`, soon."""

    def give_up(self) -> None:
        """Break off every transfer in flight. Each still ends through `poll`, soon."""

    def close(self) -> None:
        """Close connections and end threads, without waiting for any."""


def conclude(transfer: Transfer, error: Exception | None) -> None:
    """Finish `transfer`, or end it because of `error`. Never raises: a bug must not cost a slot.

    A body that broke off behind its proved end is finished all the same.

    If the transfer has no `completion` afterwards, its `request` is to be carried out again.
    """
    if error is None or transfer.is_whole(error):
        try:
            transfer.finish()
        except Exception as raised:  # noqa: BLE001 - told apart below
            error = raised
        else:
            return
    if not isinstance(error, TransferError | DestinationError):
        message = f"internal error: {type(error).__name__}: {error}"
        error = TransferError(Kind.PROTOCOL, message, transient=False)
    transfer.fail(error)
