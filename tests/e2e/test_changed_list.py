"""A list that is rewritten while a run reads it: the run ends with 1 and says so."""

import os
from collections.abc import Callable
from threading import Event

import pytest

from tests.e2e.command import WAIT_S, Command
from tests.e2e.watch import is_idle, until
from tests.servers import Reply, Request, Serve

LONG = "x" * 60_000  # of a URL: 92 of them fill what is read ahead
LINES = 200


def grow(cli: Command, lines: list[str]) -> None:
    with open(cli.directory / "urls", "a") as file:
        file.write(f"{lines[0]}-more\n")


def cut(cli: Command, lines: list[str]) -> None:
    os.truncate(cli.directory / "urls", len(lines[0]) + 1)


def rewrite(cli: Command, lines: list[str]) -> None:
    with open(cli.directory / "urls", "r+") as file:  # it is never shorter than it was
        file.write("".join(f"{line}\n" for line in reversed(lines)))


@pytest.mark.parametrize("piped", [False, True], ids=["named", "stdin"])
@pytest.mark.parametrize(
    ("change", "said"), [(grow, ""), (cut, "was cut short"), (rewrite, "was rewritten")]
)
def test_a_list_that_changes_is_said(
    cli: Command, serve: Serve, change: Callable[..., None], said: str, piped: bool
) -> None:
    asked, changed = Event(), Event()

    def answer(_: Request) -> Reply:
        asked.set()
        assert changed.wait(WAIT_S)
        return Reply(200)

    server = serve(answer)
    lines = [f"{server.url}/{number}?{LONG}" for number in range(LINES)]
    os.utime(cli.write("urls", *lines), (1, 1))
    with open(cli.directory / "urls") as stdin:
        name = "-" if piped else "urls"
        with cli.start(name, "-q", "-c", 1, stdin=stdin) as process:
            assert asked.wait(WAIT_S)
            until(lambda: is_idle(process))  # it reads no further
            change(cli, lines)
            changed.set()
            ran = cli.ended(process)
    if said:
        assert ran.status == 1, len(cli.records())
        assert said in ran.err
    else:
        assert (ran.status, ran.err, len(cli.records())) == (0, "", LINES + 1)
