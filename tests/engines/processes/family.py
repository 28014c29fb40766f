"""Engines of processes for tests. Children serve several, as a start costs much."""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scraper.engines.processes import Family, ProcessesEngine, Setup
from scraper.engines.processes.children import Child, end_all, spawn
from scraper.engines.processes.messages import Down, Up
from scraper.model.settings import Http, Limits, RunLimits
from scraper.model.shared_numbers import SharedNumbers
from scraper.sinks.base import SinkOptions

if TYPE_CHECKING:
    import socket
    import subprocess

# Each with the environment that it was born in: a child does not see what changes later.
_spare: "list[tuple[dict[str, str], subprocess.Popen[bytes], socket.socket]]" = []
_born_in: dict[int, dict[str, str]] = {}


def bring() -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """A process that has served before, or a new one."""
    now = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    for number, (born_in, process, its) in enumerate(_spare):
        if born_in == now:
            del _spare[number]
            return process, its
    let_go(2)
    process, its = spawn()
    _born_in[process.pid] = now
    return process, its


def retire(children: Sequence[Child], most_s: float) -> None:
    """Let these processes serve again, if they close everything in time."""
    for child in children:
        child.socket.settimeout(most_s)
        child.tell(Down.END)
        child.flush()
        until = time.monotonic() + most_s
        with contextlib.suppress(EOFError, OSError):
            while time.monotonic() < until:
                if any(message[0] == Up.OVER for message in child.read()):
                    child.lost = True
                    child.socket.setblocking(False)
                    _spare.append((_born_in[child.pid], child.process, child.socket))
                    break
    end_all([child for child in children if not child.lost], 0.0)


def let_go(most: int = 0) -> None:
    """End the processes that wait to serve again, all but the last `most`."""
    while len(_spare) > most:
        _, process, its = _spare.pop(0)
        its.close()
        process.wait()


class MakeProcesses(NamedTuple):
    """Makes engines of processes whose children each run `engine`."""

    engine: str
    children: int = 2
    tell: Callable[[str], None] = lambda _text: None

    def at(self, root: Path) -> Callable[[int, Limits, Http], ProcessesEngine]:
        """Engines that store below `root`."""

        def make(max_concurrency: int, limits: Limits, http: Http) -> ProcessesEngine:
            setup = Setup(
                engine=self.engine,
                max_concurrency=max_concurrency,
                limits=limits,
                http=http,
                run_limits=RunLimits(),
                destination=str(root),
                options=SinkOptions(max_concurrency),
                found=None,
                leased=False,
            )
            numbers = SharedNumbers()
            family = Family(self.children, setup, numbers, (), self.tell, bring, retire)
            return ProcessesEngine(family)

        return make
