"""Integrity: whether a body is the one that its list describes (`model/expected.py`).

A server may send a body coded (`Content-Encoding`), and a publisher may mean either form: the bytes
that are sent, as for a `.tar.gz` that is labelled so, or those that they decode to. The body is the
expected one if one of its forms has the size and every digest. What is stored is looked at first.

Owns: that rule. Does not know: when a body is complete (`body.py`, `split.py`), what follows
(`schedule/retry.py`).
"""

from scraper.model.errors import Kind, TransferError
from scraper.model.expected import Digests, Expected, size_differs


class IntegrityCheck:
    """Holds one body against `expected`.

    `digests` takes the bytes that are stored. `is_coded`: those that are sent are others.
    """

    __slots__ = ("_coded", "_expected", "digests")

    def __init__(self, expected: Expected, *, is_coded: bool) -> None:
        self._expected = expected
        self.digests = Digests(expected)
        self._coded = Digests(expected) if is_coded else None

    def take_coded(self, data: bytes) -> None:
        """Take the bytes that follow as they were sent."""
        if self._coded is not None:
            self._coded.update(data)

    def announce(self, size: int | None) -> None:
        """Raise TransferError if `size` bytes will be sent, and stored as they are, and are wrong.

        So nothing of such a body is fetched.
        """
        if size is not None and self._coded is None and self._expected.size not in {None, size}:
            raise mismatch(size_differs(size, self._expected))

    def go_on(self) -> None:
        """Raise TransferError if the bytes so far are too many already."""
        most = self._expected.size
        forms = [self.digests] if self._coded is None else [self.digests, self._coded]
        if most is not None and all(form.size > most for form in forms):
            raise mismatch(f"body is longer than the {most:,} bytes that were expected")

    def is_of_coded(self) -> bool:
        """Whether it is the coded form that is as expected, not the stored one.

        Call it with all of the body there. Raises TransferError of kind `mismatch` if neither is.
        """
        difference = self.digests.difference(self._expected)
        if difference is None:
            return False
        if self._coded is not None:
            other = self._coded.difference(self._expected)
            if other is None:
                return True
            if self._expected.size == self._coded.size:  # it is this one that is meant
                difference = other
        raise mismatch(difference)


def mismatch(message: str) -> TransferError:
    """The failure of a body that differs."""
    return TransferError(Kind.MISMATCH, message, transient=True)
