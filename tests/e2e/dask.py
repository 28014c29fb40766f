"""A Dask scheduler and workers on loopback, each a process of its own.

with Cluster(cli) as cluster:
    worker = cluster.worker(threads=2)
    cli("list", "--cluster", cluster.url)
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from distributed import Client

from tests.e2e.command import Command

_MAIN = [sys.executable, "-m", "distributed.cli.dask_scheduler"]


class Cluster:
    """See the module. What runs is killed at the end."""

    def __init__(self, cli: Command, environment: Mapping[str, str] | None = None) -> None:
        self._cli = cli
        self._environment = {**cli.environment, **(environment or {})}
        self._environment.pop("PYTHONWARNINGS", None)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._home = cli.directory.parent / "dask"
        self._home.mkdir(exist_ok=True)
        self.scheduler: subprocess.Popen[bytes]
        self.url = ""

    def __enter__(self) -> Self:
        file = self._home / "scheduler.json"
        file.unlink(missing_ok=True)
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(file), "--no-show",
        )  # fmt: skip
        self.url = _address(file, self.scheduler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    def worker(
        self, threads: int = 1, name: str | None = None, *, nanny: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a worker. Without a nanny its process is the one to kill."""
        return self._start(
            "worker", self.url, "--nanny" if nanny else "--no-nanny",
            "--nthreads", str(threads), "--no-dashboard",
            "--local-directory", str(self._home), "--memory-limit", "0",
            "--name", name or f"w{len(self._processes)}", "--host", "127.0.0.1",
        )  # fmt: skip

    def _start(self, command: str, *words: str) -> subprocess.Popen[bytes]:
        dask = Path(sys.executable).with_name("dask")
        log = (self._home / f"{len(self._processes)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [str(dask), command, *words],
                cwd=self._home,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many have come."""
        with Client(self.url, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=120)

    def wait_for_log(self, text: str) -> None:
        """Wait until one of the processes has said so."""
        until = time.monotonic() + 120
        while text not in self.logs():
            assert time.monotonic() < until, self.logs()
            time.sleep(0.05)

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self._home.glob("*.log")))


def _address(file: Path, process: subprocess.Popen[bytes]) -> str:
    """The address in the file that the scheduler writes once it listens."""
    import json

    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None
        if file.exists():
            try:
                return str(json.loads(file.read_text())["address"])
            except ValueError:
                pass
        time.sleep(0.05)
    raise AssertionError("no scheduler")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Freeze it."""
    os.kill(process.pid, signal.SIGSTOP)
