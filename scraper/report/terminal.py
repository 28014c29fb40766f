"""What the terminal can do: whether stderr is one, may be drawn on, and shows colours.

    NO_COLOR=1       no colours (https://no-color.org)
    FORCE_COLOR=1    colours also where there is no terminal (https://force-color.org)
    TERM=dumb        a terminal without escape codes: no display and no colours

Owns: what these variables mean. NO_COLOR counts more than FORCE_COLOR, and FORCE_COLOR more than
TERM. Does not know: what is shown. rich reads the same variables, but a run without a display
does not import it.
"""

from collections.abc import Mapping
from typing import NamedTuple, TextIO

_RED, _PLAIN = "\x1b[31m", "\x1b[39m"


class Terminal(NamedTuple):
    """What stderr is. `draws`: lines can be taken back and drawn anew. `colours`: red is red."""

    is_terminal: bool
    draws: bool
    colours: bool


def terminal_of(stream: TextIO | None, variables: Mapping[str, str]) -> Terminal:
    """What `stream` is, with the environment `variables`. None is a stream that is closed."""
    is_terminal = stream is not None and stream.isatty()
    draws = is_terminal and variables.get("TERM", "") not in {"", "dumb", "unknown"}
    colours = draws or variables.get("FORCE_COLOR", "") not in {"", "0", "false"}
    return Terminal(is_terminal, draws, colours and not variables.get("NO_COLOR"))


def red(text: str) -> str:
    """`text` in red. It must be printable."""
    return f"{_RED}{text}{_PLAIN}"
