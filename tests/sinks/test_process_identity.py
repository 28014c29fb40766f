"""Which process has ended: asked of the kernel, and only where the answer is about that process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from scraper.sinks.process_identity import has_ended, own_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is known")

SAYS_ITSELF = """
import json, os, sys
from scraper.sinks.process_identity import own_process
if len(sys.argv) > 1:
    os.setuid(int(sys.argv[1]))
print(json.dumps(own_process()), flush=True)
sys.stdin.read()
"""
# Imports come first: another user may not be able to read them.
JUDGES = """
import json, os, sys
from scraper.sinks.process_identity import has_ended
said = json.loads(sys.argv[1])
if len(sys.argv) > 2:
    os.setgroups([])  # group 0 sees all
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
try:
    os.kill(said["pid"], 0)
    error = ""
except OSError as caught:
    error = type(caught).__name__
seen = os.path.exists(f"/proc/{said['pid']}")
print(json.dumps([os.getpid(), has_ended(said), seen, error]))
"""


def judged(said: dict[str, Any], *before: str, user: str = "") -> list[Any]:
    """What a process of its own says: its number, has_ended, whether it sees it, kill's error."""
    command = [*before, sys.executable, "-c", JUDGES, json.dumps(said), *([user] if user else [])]
    done = subprocess.run(command, check=True, capture_output=True)
    found: list[Any] = json.loads(done.stdout)
    return found


def can(*before: str) -> bool:
    """Whether a command can be run in this way."""
    return subprocess.run([*before, "true"], capture_output=True, check=False).returncode == 0


@contextmanager
def another(*before: str, arguments: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """What another process says about itself; it has ended after the block."""
    command = [*before, sys.executable, "-c", SAYS_ITSELF, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline())
        yield said
        assert process.stdin is not None
        process.stdin.close()


def test_a_process_is_alive_until_it_ends() -> None:
    assert not has_ended(own_process())
    with another() as said:
        assert said["processes"] == own_process()["processes"] != ""
        assert not has_ended(said)
    assert has_ended(said)


def test_a_process_that_nobody_has_waited_for_has_ended() -> None:
    command = [sys.executable, "-c", SAYS_ITSELF]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert os.path.exists(f"/proc/{process.pid}/stat")
        assert has_ended(said)


# Its first thread ends, and another one goes on until stdin is closed.
ENDS_ITS_FIRST_THREAD = """
import ctypes, json, sys, threading
from scraper.sinks.process_identity import own_process
def work():
    while open("/proc/self/stat").read().rpartition(")")[2].split()[0] != "Z":
        pass
    print(json.dumps(own), flush=True)
    sys.stdin.read()
own = own_process()
threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_whose_first_thread_has_ended_is_alive() -> None:
    command = [sys.executable, "-c", ENDS_ITS_FIRST_THREAD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert not has_ended(json.loads(process.stdout.readline()))
        process.kill()


def test_a_number_that_was_used_again_is_not_the_process() -> None:
    with another() as said:
        assert has_ended({**said, "started": said["started"] - 1})
        assert not has_ended({**said, "started": None})  # it could not be read then


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user")
def test_the_process_of_another_user_is_alive() -> None:
    with another(arguments=("65534",)) as said:
        assert judged(said, user="12345")[1:] == [False, True, "PermissionError"]
    assert judged(said, user="12345")[1] is True


def test_with_hidepid_the_process_of_another_user_is_alive() -> None:
    """/proc/PID is missing there, though the process lives."""
    mounted = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    inside = ("unshare", "--mount", "sh", "-c", mounted, "sh")
    if not can(*inside):
        pytest.skip("/proc can't be mounted here")
    with another() as said:
        assert judged(said, *inside, user="12345")[1:] == [False, False, "PermissionError"]


@pytest.mark.parametrize(
    "changed",
    [
        {"processes": "another boot:4026531836"},
        {"processes": ""},
        {"processes": None},
        {"pid": 0},
        {"pid": -1},
        {"pid": True},
        {"pid": "1"},
        {"pid": None},
    ],
    ids=str,
)
def test_nothing_is_known_of_the_processes_of_others(changed: dict[str, Any]) -> None:
    with another() as said:
        pass
    assert has_ended(said)
    assert not has_ended({**said, **changed})


def test_a_number_that_no_process_can_have_is_of_one_that_ended() -> None:
    assert has_ended({**own_process(), "pid": 10**30})


def test_two_containers_with_process_1_each_are_not_one() -> None:
    """Same machine, same boot, same host name, and the same number in both."""
    inside = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    if not can(*inside):
        pytest.skip("PID namespaces can't be made here")
    with another(*inside) as said:
        assert said["pid"] == 1
        assert judged(said, *inside)[:2] == [1, False]
        assert not has_ended(said)


def test_a_proc_of_another_namespace_is_not_believed() -> None:
    inside = ("unshare", "--pid", "--fork", "--kill-child")  # /proc is still the outer one
    if not can(*inside):
        pytest.skip("PID namespaces can't be made here")
    with another(*inside) as said:
        assert (said["pid"], said["processes"]) == (1, "")
