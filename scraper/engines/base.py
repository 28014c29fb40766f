"""The seam between the loop and whatever moves bytes.

An engine carries transfers, any number at once: how many is the loop's
semaphore, not the engine's business. It pushes what it receives into each
Transfer and maps foreign exceptions to ours. Refuses to know: frontier, retries.
"""

from collections.abc import Sequence
from typing import Protocol

from scraper.model.errors import DestinationError, Kind, TransferError
from scraper.transfer import Transfer


class Engine(Protocol):
    """All methods but `wake` are called on the loop's thread."""

    name: str

    def start(self, transfer: Transfer) -> None:
        """Begin to carry `transfer`; returns at once."""

    def poll(self, timeout_s: float | None) -> Sequence[Transfer]:
        """Transfers that have ended, each with its `completion`; waits for one, or a `wake`.

        At most `timeout_s` seconds; None: as long as it takes.
        """

    def wake(self) -> None:
        """Make `poll` return now. From any thread, and from a signal handler."""

    def give_up(self) -> None:
        """Break off every transfer in flight; each still ends through `poll`, soon."""

    def close(self) -> None:
        """Let go of connections and threads, without waiting for any."""


def conclude(transfer: Transfer, error: Exception | None) -> None:
    """Finish `transfer`, or end it for `error`. Never raises: a bug must not eat a slot.

    If there is no `completion` then, its `request` is to be carried out once more.
    """
    if error is None:
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
