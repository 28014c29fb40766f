"""The command line of a run, told without its secrets: what it was, and what does the rest.

Owns: which words are left out and added, and quoting for a shell. Does not know: which words are
secret (`title.py`), which command is told in the end (`report/summary.py`).
"""

from collections.abc import Sequence

from scraper.cli.title import command_line
from scraper.report.summary import Invocation

_EARLIER = ("--resume", "--retry-failed")
STDIN = "(the same list) | "


def invocation(words: Sequence[str], names: Sequence[str], *, keeps: bool = True) -> Invocation:
    """The commands, for the words behind `scraper` and the names of the lists.

    A list that came from stdin is not there any more, so the command says what belongs there.
    Unless the run `keeps` a manifest, no command does the rest alone.
    """
    if not keeps:
        return Invocation(command_line(words), "", "")
    before = STDIN if "-" in names else ""
    return Invocation(
        command_line(words),
        before + command_line(_with(words, "--resume")),
        before + command_line(_with(words, "--retry-failed")),
    )


def _with(words: Sequence[str], option: str) -> list[str]:
    """The words with this option, in the place of the others that say what earlier runs mean."""
    left = [word for word in words if word not in _EARLIER]
    end = left.index("--") if "--" in left else len(left)
    return [*left[:end], option, *left[end:]]
