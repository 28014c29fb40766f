"""The lock: one run at a time holds a destination.

For a directory it is a kernel file lock, gone with its process however that
ends. Where objects can be written on a condition (S3: If-None-Match, If-Match)
it is a lease: an object that says until when, renewed by a thread, and taken
over by the next run when that time is past, LEASE_S after a crash at most, or
at once where it can be seen that the process is gone.

Owns: taking, renewing and releasing it. Refuses to know: what a run does when
it is refused. Rejected: process ids in a file (they are used again, and mean
nothing on another machine).
"""

import contextlib
import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from scraper.model.errors import DestinationError, Held, ScraperError
from scraper.sinks.base import Sink, scheme_of
from scraper.sinks.directory import OWN, path_of
from scraper.sinks.file_lock import FileHold

LEASE_KEY = f"{OWN}/lock.json"
LEASE_S = 60.0
_LOOK_AGAIN_S = 1.0  # while waiting


@runtime_checkable
class Conditional(Protocol):
    """What a sink offers if small objects can be written on a condition. Raises SinkError."""

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Write it if its etag is still `etag` (None: if there is none); its new etag, or None."""

    def get_small(self, key: str) -> tuple[bytes, str] | None:
        """Its bytes and its etag, None if there is none."""

    def remove(self, key: str) -> None:
        """Delete it, if it is there."""


class Lock(Protocol):
    """A destination held. `remark`: what a person should know of it, or ""."""

    remark: str

    def release(self) -> None:
        """Let the next run have it. Never raises."""


class Lease:
    """A lease object; `on_lost` is told, from another thread, when it is another run's now."""

    def __init__(
        self,
        sink: Conditional,
        place: str,
        on_lost: Callable[[str], None],
        *,
        wait_s: float = 0.0,
        lease_s: float = LEASE_S,
    ) -> None:
        self.remark = ""
        self._sink = sink
        self._place = place
        self._on_lost = on_lost
        self._lease_s = lease_s
        self._run = os.urandom(8).hex()
        self._over = threading.Event()
        until = time.monotonic() + wait_s
        while self._take() is None:
            if time.monotonic() >= until:
                raise Held(f"another run holds {place} ({self._holder()})")
            time.sleep(_LOOK_AGAIN_S)
        self._settle()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewer.start()

    def release(self) -> None:
        """Delete the lease, if it is ours."""
        self._over.set()
        self._renewer.join()
        with contextlib.suppress(ScraperError):  # it ends by itself
            if self._current() is not None:
                self._sink.remove(LEASE_KEY)

    def _take(self) -> str | None:
        """The etag of a lease of ours, None if there is another's that is not over."""
        found = self._sink.get_small(LEASE_KEY)
        if found is not None and _until(found[0]) > time.time() and not _is_gone(found[0]):
            return None
        return self._sink.put_if(LEASE_KEY, self._text(), found and found[1])

    def _settle(self) -> None:
        """Find out whether conditions are honoured here: making it once more must fail."""
        if self._sink.put_if(LEASE_KEY, self._text(), None) is not None:
            self.remark = f"{self._place} ignores If-None-Match: runs that start at once may meet"

    def _renew(self) -> None:
        good_until = time.monotonic() + self._lease_s
        while not self._over.wait(self._lease_s / 4):
            try:
                etag = self._current()
                if etag is not None:
                    etag = self._sink.put_if(LEASE_KEY, self._text(), etag)
            except ScraperError as error:
                if time.monotonic() > good_until:
                    self._on_lost(f"the lease of {self._place} could not be renewed: {error}")
                    return
                continue
            if etag is None:
                self._on_lost(f"another run has taken {self._place} over")
                return
            good_until = time.monotonic() + self._lease_s

    def _current(self) -> str | None:
        """The lease's etag, None if it is another's. A put that seemed to fail may have made it."""
        found = self._sink.get_small(LEASE_KEY)
        return found[1] if found is not None and _said(found[0]).get("run") == self._run else None

    def _text(self) -> bytes:
        holder = {"run": self._run, "host": socket.gethostname(), "pid": os.getpid()}
        holder |= {"processes": _process_space()}
        return json.dumps({**holder, "until": time.time() + self._lease_s}).encode()

    def _holder(self) -> str:
        found = self._sink.get_small(LEASE_KEY)
        said = _said(found[0]) if found else {}
        return f"process {said.get('pid', '?')} on {said.get('host', '?')}"


def hold(
    sink: Sink,
    destination: str,
    how: str,
    on_lost: Callable[[str], None],
    most_s: float | None = None,
) -> Lock | None:
    """The lock of `destination`; None where a sink offers none. `how`: wait, skip or fail.

    Raises Held when another run has it, with `how` wait after `most_s` (None: never);
    DestinationError.
    """
    patience_s = math.inf if most_s is None else most_s
    wait_s = patience_s if how == "wait" else 0.0
    if scheme_of(destination) == "file":
        return FileHold(path_of(destination), wait_s)
    if not isinstance(sink, Conditional):
        return None
    try:
        return Lease(sink, destination, on_lost, wait_s=wait_s)
    except (DestinationError, Held):
        raise
    except ScraperError as error:
        raise DestinationError(f"can't lock {destination}: {error}") from None


def _said(text: bytes) -> dict[str, Any]:
    """What a lease says; nothing if it can't be read."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _until(text: bytes) -> float:
    """When a lease ends, seconds since 1970; one that can't be read is over."""
    until = _said(text).get("until")
    return until if isinstance(until, int | float) else 0.0


def _process_space() -> str:
    """What tells the numbers of our processes from those of any other machine or container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _is_gone(text: bytes) -> bool:
    """Whether the process that has this lease is known to be dead: it was one of this machine."""
    said = _said(text)
    space, pid = said.get("processes"), said.get("pid")
    if not space or space != _process_space() or not isinstance(pid, int) or pid <= 0:
        return False
    return not os.path.exists(f"/proc/{pid}")
