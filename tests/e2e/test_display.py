"""The live display on a real terminal: cheap, and no trouble when it is interrupted."""

import os
import pty
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from scraper.report.progress import _EVERY_S
from tests.e2e.command import WAIT_S, Command
from tests.servers import Reply, Serve


class Screen:
    """A pseudo-terminal that is read all the time. `theirs` is for one program, and then closed."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        self._seen = bytearray()
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while piece := os.read(self._ours, 65_536):
                with self._changed:
                    self._seen += piece
                    self._changed.notify_all()
        except OSError:  # EIO: nobody has the other end open
            pass
        os.close(self._ours)

    def wait_for(self, text: str) -> None:
        """Until it was shown."""
        with self._changed:
            assert self._changed.wait_for(lambda: text.encode() in self._seen, WAIT_S)

    def all(self) -> str:
        """What was shown until the program had ended."""
        os.close(self.theirs)
        self._reader.join(WAIT_S)
        return self._seen.decode()


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_the_display_is_not_drawn_for_each_line(cli: Command, serve: Serve, screen: Screen) -> None:
    server = serve(lambda request: Reply(body=b"page"))
    cli.write("list", *(f"{server.url}/{number}\t{number}" for number in range(1_000)))
    words = ["list", "--progress", "-v"]
    begun = time.monotonic()
    with cli.start(*words, env={"TERM": "xterm"}, stderr=screen.theirs) as process:
        assert process.wait(WAIT_S) == 0
    took_s = time.monotonic() - begun
    text = screen.all()
    logged = [line.rpartition(" -> ")[2] for line in text.splitlines() if " -> " in line]
    assert logged == [record["key"] for record in cli.records()]  # every line, in order
    assert 0 < text.count(" in flight") < 10 + 2 * took_s / _EVERY_S
    assert text.index("1,000 targets: 1,000 stored") > text.rindex(" -> ")


@pytest.mark.parametrize("signals", [1, 2])
def test_an_interrupted_display_leaves_the_terminal_as_it_was(
    signals: int, cli: Command, serve: Serve, screen: Screen, go: threading.Event
) -> None:
    server = serve(lambda one: Reply(body=b"page", delay=None if one.path < "/5" else go))
    cli.write("list", *(f"{server.url}/{number}" for number in range(1_000)))
    words = ["list", "--progress"]
    with cli.start(*words, env={"TERM": "xterm"}, stderr=screen.theirs) as process:
        server.wait_until(lambda: server.in_flight == 16)
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            screen.wait_for("SIGINT: 16 transfers in flight may end; once more stops at once")
        if signals == 1:
            go.set()
        assert process.wait(WAIT_S) == 130
    text = screen.all()
    assert "Traceback" not in text
    assert ("stopped: SIGINT" in text) == (signals == 1)
    assert "\x1b[?25l" not in text  # the cursor was never hidden
