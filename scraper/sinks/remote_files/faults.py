"""What can go wrong at a file server, in one vocabulary for all of them.

Each server's module turns the errors of its library into a Fault, by their class and their text:
most of these libraries raise errors that are no OSError, and some say nothing but "Failure".

Owns: the kinds, and what words in an answer mean. Does not know: what a Fault means for a run
(`meaning.py`).
"""

import errno
import re
from collections.abc import Callable
from enum import Enum, auto


class Trouble(Enum):
    """What is wrong."""

    BROKEN = auto()  # no connection, or one that can't be used any more
    SILENT = auto()  # no answer in time; the connection can't be used any more either
    SIGN_IN = auto()  # the server does not let us in, or is not the one that is known
    MISSING = auto()  # there is no such file or directory
    EXISTS = auto()  # there is one already
    DENIED = auto()  # this is not allowed
    READ_ONLY = auto()  # nothing may be changed there
    FULL = auto()  # no space, or over a quota
    NAME = auto()  # a name that the server does not take
    UNKNOWN = auto()  # the server says no more than that it failed


GONE = {Trouble.BROKEN, Trouble.SILENT}  # a connection that is of no use any more


_MOST = 300  # characters of a text


class Fault(Exception):
    """A server, or the way to it, failed. The text is one line without secrets.

    `hint` is the way out in one line, or "". `spent`: the connection is of no use any more.
    `passing`: the server has answered that another attempt may succeed.
    """

    def __init__(
        self,
        trouble: Trouble,
        text: str,
        *,
        hint: str = "",
        spent: bool = False,
        passing: bool = False,
    ) -> None:
        super().__init__(" ".join(text.split())[:_MOST] or "it failed without a reason")
        self.trouble = trouble
        self.hint = hint
        self.spent = spent or trouble in GONE
        self.passing = passing


def was_made(make: Callable[[], object]) -> bool:
    """Whether `make` made something. False: it was there already. Raises Fault."""
    try:
        make()
    except Fault as fault:
        if fault.trouble is Trouble.EXISTS:
            return False
        raise
    return True


_OF_ERRNO = {
    errno.ENOENT: Trouble.MISSING,
    errno.EEXIST: Trouble.EXISTS,
    errno.EACCES: Trouble.DENIED,
    errno.EPERM: Trouble.DENIED,
    errno.EROFS: Trouble.READ_ONLY,
    errno.ENOSPC: Trouble.FULL,
    errno.EDQUOT: Trouble.FULL,
    errno.ENAMETOOLONG: Trouble.NAME,
    errno.EILSEQ: Trouble.NAME,
}
_OF_TEXT = (  # the first that matches
    (Trouble.FULL, r"no space|disk full|quota|insufficient storage|storage space|not enough space"),
    (Trouble.READ_ONLY, r"read[- ]?only"),
    (Trouble.NAME, r"name too long|bad message|invalid (file ?)?name|illegal"),
    (Trouble.EXISTS, r"exists"),
    (Trouble.MISSING, r"no such|not found|does not exist|can't find|cannot find"),
    (Trouble.DENIED, r"denied|not permitted|forbidden|not allowed|not enough privileges"),
)

CLOSED = "closed"
_WORDS = (CLOSED, *(words for _, words in _OF_TEXT))


def of_text(text: str, otherwise: Trouble = Trouble.UNKNOWN, about: str = "") -> Trouble:
    """What the words of an answer say.

    `about`: the path that was asked for. Many servers repeat it, and a file may be called
    `disk-quota.html`: what is in its names is not said by the server.
    """
    text = without_names(text, about)
    for trouble, words in _OF_TEXT:
        if re.search(words, text, re.IGNORECASE):
            return trouble
    return otherwise


def without_names(text: str, path: str) -> str:
    """The text without `path`, and without those of its names that have words of an answer."""
    for name in (path, *path.split("/")):
        if name and any(re.search(words, name, re.IGNORECASE) for words in _WORDS):
            text = text.replace(name, " ")
    return text


def of_os_error(error: OSError, about: str = "") -> Trouble:
    """What an error with a number says. One without is judged by its words, see `of_text`."""
    if isinstance(error, TimeoutError):
        return Trouble.SILENT
    if isinstance(error, ConnectionError):
        return Trouble.BROKEN
    if error.errno in _OF_ERRNO:
        return _OF_ERRNO[error.errno]
    return of_text(words_of(error), about=about)


def words_of(error: BaseException) -> str:
    """An error in one line. One without words is named by its class."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip().strip(".") or type(error).__name__
