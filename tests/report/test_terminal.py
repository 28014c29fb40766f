"""What the variables of a terminal mean."""

import os
import sys
from collections.abc import Iterator, Mapping
from typing import TextIO

import pytest

from scraper.report.terminal import Terminal, terminal_of


@pytest.fixture
def pty_stream() -> Iterator[TextIO]:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream:
        yield stream
    os.close(ours)


@pytest.mark.parametrize(
    ("variables", "draws", "colours"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, False, True),
        ({}, False, False),
    ],
)
def test_a_terminal_draws_and_has_colours_unless_variables_say_otherwise(
    variables: Mapping[str, str], draws: bool, colours: bool, pty_stream: TextIO
) -> None:
    assert terminal_of(pty_stream, variables) == Terminal(True, draws, colours)


@pytest.mark.parametrize(
    ("variables", "colours"),
    [
        ({"TERM": "xterm"}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "3"}, True),
        ({"FORCE_COLOR": "0"}, False),
        ({"FORCE_COLOR": ""}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_where_there_is_no_terminal_only_force_color_brings_colours(
    variables: Mapping[str, str], colours: bool
) -> None:
    with open(os.devnull, "w") as stream:
        assert terminal_of(stream, variables) == Terminal(False, False, colours)


def test_a_closed_stderr_is_no_terminal() -> None:
    assert terminal_of(None, os.environ | {"TERM": "xterm"}).is_terminal is False
    assert sys.stderr is not None
