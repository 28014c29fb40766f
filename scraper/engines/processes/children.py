"""Children of the engine of processes: how they are started, spoken with, and ended.

Owns: a child's process, its socket, and what is on its way to it. Does not know: transfers.
Rejected: a fork without exec. The child would have the parent's threads' locks in whatever state,
and children that were forked after the S3 sink was open hung. Rejected: `multiprocessing`, which
runs the user's `__main__` again and keeps a process of its own.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from scraper.engines.processes.messages import Down, Message, Setup, Unpacker, pack
from scraper.model.errors import DestinationError

# A signal that comes before the child ignores it waits until it does.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CODE = "import sys; sys.path[:] = {path!r}; from scraper.engines.processes.child import main; "
_READ = 1 << 18  # bytes at once
_KILLED_S = 0.2  # for the system to tell how a process ended whose socket is closed

Spawn = Callable[[], "tuple[subprocess.Popen[bytes], socket.socket]"]


def spawn() -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """A process that serves at the other end of this socket. Raises DestinationError."""
    ours, theirs = socket.socketpair()
    code = f"{_CODE.format(path=sys.path)}main({theirs.fileno()})"
    command = [sys.executable, "-P", "-X", f"utf8={sys.flags.utf8_mode}", "-c", code]
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    except (OSError, ValueError) as error:
        ours.close()
        raise DestinationError(f"can't start a process: {error}") from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        theirs.close()
    ours.settimeout(0.0)
    return process, ours


class Child:
    """One child. `in_flight`, `hosts`, `most`: kept by the engine, as are the times.

    `plans`: those that it has. `heard`: since when it has been silent, by the turns of the parent:
    time in which the parent itself was stopped does not count. `asked`: whether a ping is out.
    `broken`: the error that it has told that it ends with.
    """

    def __init__(self, setup: Setup, fds: Sequence[int], bring: Spawn) -> None:
        self.process, self.socket = bring()
        self.pid = self.process.pid
        self.ready = False
        self.lost = False
        self.broken = ""
        self.in_flight = self.hosts = 0
        self.most = setup.max_concurrency
        self.plans: set[int] = set()
        self.silent_s = 0.0
        self.asked = False
        self._unpacker = Unpacker()
        self._messages: list[Message] = [(Down.SETUP, setup)]
        self._bytes = b""
        self.blocked = False  # the socket takes no more now
        with contextlib.suppress(OSError):  # it has ended, and reading tells it
            socket.send_fds(self.socket, [b"\0"], fds)

    def tell(self, *message: object) -> None:
        """Tell it with the next `flush`. Nothing happens if it has ended."""
        if not self.lost:
            self._messages.append(message)

    def flush(self) -> None:
        """Send what is to be told, as far as the socket takes it. Never raises."""
        if self._messages:
            self._bytes += pack(self._messages)
            self._messages.clear()
        if self._bytes and not self.lost:
            try:
                self._bytes = self._bytes[self.socket.send(self._bytes) :]
            except BlockingIOError:
                pass
            except OSError:  # it has ended, and reading tells it
                self._bytes = b""
        self.blocked = bool(self._bytes)

    def read(self) -> Iterator[Message]:
        """What it has to tell. Raises EOFError once it has ended."""
        try:
            data = self.socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise EOFError
        self.silent_s, self.asked = 0.0, False
        yield from self._unpacker.feed(data)

    def end(self) -> str:
        """It has ended, or is to: how it did, in words."""
        self.lost = True
        self.socket.close()
        how = "was ended, as it had closed its socket"
        try:
            how = _how(self.process.wait(_KILLED_S))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return f"ended with {self.broken}" if self.broken else how

    def kill(self) -> None:
        """End it now: it does not answer."""
        self.lost = True
        self.process.kill()
        self.process.wait()
        self.socket.close()

    def close(self) -> None:
        """Let it end. It does so by itself once the socket is closed."""
        self.lost = True
        self.socket.close()


def end_all(children: Sequence[Child], most_s: float) -> None:
    """Wait until all have ended; after `most_s` seconds they are killed."""
    until = time.monotonic() + most_s
    for child in children:
        child.close()
    for child in children:
        try:
            child.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
