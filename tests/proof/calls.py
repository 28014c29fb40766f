"""System calls that fail, or kill, at the k-th of them: strace's fault injection.

    with tampered(story, Fault("fsync", "error=EIO", 2), log) as seen: ...

strace comes in when the program has made its first request, so that only calls of
its work are counted, and no modules that it loads: of each thread from 1, which is
how strace counts. Calls before that, of known files, are reached by `prefix`.
"""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.command import WAIT_S
from tests.proof.story import Run, Story


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the `number`-th `call` (a regular expression) of a thread.

    `bodies`: only calls on the temporary files of bodies are counted, none on the manifest.
    """

    call: str
    action: str  # error=EIO, signal=KILL
    number: int
    bodies: bool = False

    def __str__(self) -> str:
        """As a person would say it."""
        return f"{self.action} at {self.call} {self.number}"

    @property
    def words(self) -> list[str]:
        """For strace; with descriptors shown as paths."""
        what = f"/^{self.call}(at|64)?2?$"
        when = f"{self.action}:when={self.number}"
        return ["-f", "-y", "-e", f"trace={what}", "-e", f"inject={what}:{when}"]


def strace_works() -> bool:
    """Whether there is a strace that may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], check=False).returncode == 0


def prefix(fault: Fault, log: Path, *paths: Path) -> list[str]:
    """A command that runs the rest, the calls that have to do with `paths` being tampered with."""
    only = [word for path in paths for word in ("-P", str(path))]
    return ["strace", "-D", *fault.words, *only, "-o", str(log)]


@contextmanager
def tampered(
    story: Story, fault: Fault, log: Path, *options: object, part: slice = slice(None)
) -> Iterator[Run]:
    """A run over `part` of the list, come to its end; its work was tampered with."""
    first, *others = story.list.read_bytes().splitlines(keepends=True)
    with story.running(*options, stdin=subprocess.PIPE) as seen:
        assert seen.process.stdin is not None
        seen.process.stdin.write(first)
        seen.process.stdin.flush()
        story.site.wait_until(lambda: bool(seen.results), WAIT_S)
        paths = temporary_files(story) if fault.bodies else []
        command = ["strace", *fault.words, *paths, "-o", str(log), "-p", str(seen.process.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            assert "attached" in strace.stderr.readline()
            threading.Thread(target=strace.stderr.read).start()
            with suppress(BrokenPipeError):
                seen.process.stdin.write(b"".join(others[part]))
                seen.process.stdin.close()
            seen.process.wait(WAIT_S)
        yield seen


def temporary_files(story: Story) -> list[str]:
    """Words for strace that name the temporary files that the run may make: 0, 1, 2, ..."""
    (run,) = (story.cli.directory / "out/.scraper/tmp").glob("run-*")
    return [word for number in range(100) for word in ("-P", str(run / f"{number:x}"))]


def struck(log: Path) -> list[str]:
    """The calls that were tampered with."""
    text = log.read_text(errors="replace")
    return re.findall(r"^\d+ +(.*(?:INJECTED|killed by SIGKILL).*)$", text, re.MULTILINE)
