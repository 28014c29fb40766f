"""What a Fault of a server means for a run: one object failed, or the destination did.

Owns: that, and the words. Does not know: which error of which library it was (`faults.py`).
"""

import re

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.remote_files.address import Address
from scraper.sinks.remote_files.faults import GONE, Fault, Trouble

_OF_ALL = {Trouble.FULL, Trouble.READ_ONLY, Trouble.SIGN_IN}
# A parent may have been removed in this moment; "it failed" may pass, and is tried a few times.
_TRANSIENT = {*GONE, Trouble.MISSING, Trouble.UNKNOWN}


_WORDS = {
    Trouble.FULL: (r"space|quota|full", "no space is left"),
    Trouble.READ_ONLY: ("read-?only", "it is read-only"),
}


def _words(fault: Fault) -> str:
    """What is said of a fault. Some servers answer a number alone."""
    known, words = _WORDS.get(fault.trouble, ("", ""))
    text = str(fault)
    return text if re.search(known, text, re.IGNORECASE) else f"{words} ({text})"


def meaning(fault: Fault, verb: str, key: str, address: Address) -> SinkError | DestinationError:
    """The error of a run. `verb` and `key` say what could not be done."""
    if fault.trouble in _OF_ALL:
        text = f"{address.shown} takes no more objects: {_words(fault)}"
        return DestinationError(text, hint=fault.hint)
    text = f"can't {verb} {key!r}: {fault}"
    return SinkError(text, transient=fault.trouble in _TRANSIENT)


def unusable(fault: Fault, address: Address) -> DestinationError:
    """The error of a destination that can't be used from the start."""
    where = f"{address.shown}{address.path}"
    error = DestinationError(f"can't use {where}: {_words(fault)}", hint=fault.hint)
    error.passing = fault.passing
    return error
