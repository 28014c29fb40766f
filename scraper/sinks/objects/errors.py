"""The error of a request to a store, whichever client made it.

Owns: what an error says of itself. Does not know: codes and messages of a store; each client maps
its own.
"""

import errno


class StoreError(Exception):
    """A request that failed. Its text is one line without secrets.

    `fatal`: every other object would meet it too. `transient`: another attempt may succeed.
    `status` and `code` are the store's answer; 0 and "" if there was none. `late`: it was waited
    for in vain. `retry_after_s`: the seconds that the store asks to wait, None if it asks for none.
    `denied`: the permission that is missing, or "". `named`: whether the store itself named it.
    `hint`: the way out for the person at the command line, or "".
    """

    def __init__(
        self,
        reason: str,
        *,
        fatal: bool = False,
        transient: bool = False,
        status: int = 0,
        code: str = "",
    ) -> None:
        super().__init__(" ".join(reason.split())[:300].rstrip(": "))
        self.fatal = fatal
        self.transient = transient
        self.status = status
        self.code = code
        self.late = False
        self.retry_after_s: float | None = None
        self.denied = ""
        self.named = False
        self.hint = ""

    def add(self, text: str) -> None:
        """Say this too."""
        self.args = (f"{self}; {text}",)


def told(error: StoreError, place: str) -> str:
    """The error in one line; for a denial the permission that is missing, and where: `place`."""
    return f"{error.denied} is denied on {place} ({error})" if error.denied else str(error)


def unspoolable(error: OSError | ValueError) -> StoreError:
    """The error for a spool that could not be used. ValueError: its file is closed."""
    if not isinstance(error, OSError):
        return StoreError(f"can't spool it: {error}")
    passing = error.errno in {errno.EMFILE, errno.ENFILE}
    return StoreError(f"can't spool it: {error.strerror or error}", transient=passing)
