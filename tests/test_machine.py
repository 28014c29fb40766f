"""How the tests are started and how busy the machine is: neither decides what they find."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.machine import patiently, slowness, within

ROOT = Path(__file__).parent.parent
OF_SIGNALS = "tests/run/test_remote.py::test_a_signal_ends_the_wait_for_a_list"
OF_PERMISSIONS = (
    "tests/sinks/directory/test_directory.py::test_permissions_are_what_the_umask_leaves"
)
STARTED = 'trap "" INT HUP TERM; umask 077; exec "$@"'  # by a script with &, by nohup, by a service


@pytest.mark.skipif(not shutil.which("sh"), reason="there is no sh")
def test_signals_and_umask_of_who_starts_the_tests_reach_none_of_them() -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        ["sh", "-c", STARTED, "sh", *words, OF_SIGNALS, OF_PERMISSIONS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout


def test_a_trial_that_came_not_far_enough_gets_more_time_and_the_last_one_is_judged() -> None:
    tried: list[int] = []

    def trial(times: int) -> int:
        tried.append(times)
        return times

    assert patiently(trial, lambda found: found == 4) == 4
    assert tried == [1, 4]
    assert patiently(trial, lambda _: False) == 16
    assert tried == [1, 4, 1, 4, 16]


def test_what_takes_too_long_fails_by_how_busy_the_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, busy = [0.0], [1.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr("tests.machine.slowness", lambda: busy[0])

    def takes(seconds: float) -> None:
        with within(1.0, room_s=2.0):
            now[0] += seconds

    takes(2.9)
    with pytest.raises(AssertionError, match=r"3\.0 s"):
        takes(3.0)
    busy[0] = 4.0
    takes(8.9)  # one second of waiting, and four times two
    with pytest.raises(AssertionError):
        takes(9.0)


def test_a_machine_is_as_slow_as_a_program_is_there() -> None:
    assert slowness() >= 1.0
