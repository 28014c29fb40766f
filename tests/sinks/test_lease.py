"""The lease: one run at a time holds a bucket, whatever becomes of that run."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import pairwise

import pytest

from scraper.model.errors import Held, SinkError
from scraper.model.settings import Retries
from scraper.sinks import mutex
from scraper.sinks.beginning import insist
from scraper.sinks.lease import LEASE_KEY, NO_WAIT, Lease, Patience, now_s
from scraper.sinks.lease_watch import RENEWALS
from scraper.sinks.mutex import MUTEX_PREFIX
from scraper.sinks.process_identity import own_process
from scraper.sinks.s3.sink import S3Sink, open_sink
from tests.machine import patiently, within
from tests.s3servers import CUT, Asked, Front, Refusal, S3Server
from tests.servers import WAIT_S

pytestmark = pytest.mark.usefixtures("aws")


def nobody(reason: str) -> None:
    raise AssertionError(reason)


def bucket_sink(server: S3Server) -> S3Sink:
    """A sink on a bucket of its own."""
    return another(server, server.make_bucket())


def another(server: S3Server | Front, bucket: str) -> S3Sink:
    sink = open_sink(f"s3://{bucket}/p", server.options())
    sink.check()
    return sink


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_bucket_is_held_by_one_and_free_again_after(moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as one, closing(another(moto_server, one.bucket)) as two:
        first = Lease(one, "s3://b/p", nobody)
        with pytest.raises(Held, match=r"process .* on "):
            Lease(two, "s3://b/p", nobody)
        first.release()
        assert moto_server.read(one.bucket, f"p/{LEASE_KEY}") is None
        Lease(two, "s3://b/p", nobody).release()


@pytest.mark.parametrize("left", [b'{"run": "dead", "until": 1.0}', b"garbage", b"[]", b"{}"])
def test_what_is_no_lease_of_a_run_is_taken(left: bytes, moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as sink:
        sink.put_if(LEASE_KEY, left, None)
        lease = Lease(sink, "s3://b/p", nobody)
        said = json.loads(moto_server.read(sink.bucket, f"p/{LEASE_KEY}") or b"")
        assert said["until"] > time.time()
        lease.release()


def of_the_lease(asked: Asked, operation: str = "PUT") -> bool:
    return asked.operation == operation and asked.path.endswith(LEASE_KEY)


def age_of(sink: S3Sink) -> float:
    """The age of the lease by the store's clock, in seconds."""
    found = sink.get_small(LEASE_KEY)
    assert found is not None
    assert found.age_s is not None
    return found.age_s


def foreign(until: float, number: int = 0) -> bytes:
    """A lease of another machine, that ends `until` seconds from now by a clock."""
    holder = {**own_process(), "processes": "another machine", "host": "there", "run": "theirs"}
    return json.dumps({**holder, "until": time.time() + until, "writes": number}).encode()


@pytest.mark.parametrize("until", [5.0, 3600.0])
def test_a_lease_without_a_sign_of_death_is_not_watched(
    until: float, moto_server: S3Server
) -> None:
    with closing(bucket_sink(moto_server)) as sink:
        sink.put_if(LEASE_KEY, foreign(until), None)
        with pytest.raises(Held, match=r"process .* on there"):
            Lease(sink, "s3://b/p", nobody)


@pytest.mark.parametrize("patience", [Patience(), Patience(wait_s=WAIT_S)], ids=["fail", "wait"])
def test_a_clock_that_is_slow_does_not_lose_a_live_lease(
    patience: Patience, moto_server: S3Server
) -> None:
    """Its end has passed, by our clock, in all that its holder writes."""
    with (
        closing(bucket_sink(moto_server)) as sink,
        closing(another(moto_server, sink.bucket)) as ours,
    ):

        def is_held(times: int) -> tuple[bool, bool]:
            """Whether it was, and whether its holder was in time, as a live one is."""
            sink.remove(LEASE_KEY)
            sink.put_if(LEASE_KEY, foreign(-3600), None)
            lease_s, over, renewed = 2.5 * times, threading.Event(), [time.monotonic()]

            def renew() -> None:
                while not over.wait(0.1):
                    found = sink.get_small(LEASE_KEY)
                    if found is None or json.loads(found.data)["run"] != "theirs":
                        return
                    sink.put_if(LEASE_KEY, foreign(-3600, len(renewed)), found.etag)
                    renewed.append(time.monotonic())

            renewing = threading.Thread(target=renew)
            renewing.start()
            most = patience if patience.wait_s == 0 else Patience(wait_s=1.2 * lease_s)
            try:
                Lease(ours, "s3://b/p", lambda _: None, patience=most, lease_s=lease_s).release()
            except Held:
                held = True
            else:
                held = False
            over.set()
            renewing.join()
            gaps = [later - earlier for earlier, later in pairwise(renewed)]
            return held, max(gaps, default=0.0) < lease_s / RENEWALS

        held, _ = patiently(is_held, any)
        assert held


@pytest.mark.parametrize("until", [-3600.0, 3600.0])
def test_a_dead_lease_is_taken_when_it_has_not_changed_for_its_length(
    until: float, moto_server: S3Server
) -> None:
    """Whatever its end says: not before, and no hour later."""

    def lengths(times: int) -> float | None:
        """How many lengths of a lease that took; None if ours ran out at once, or was refused."""
        lease_s, begun = 1.5 * times, time.monotonic()
        with closing(bucket_sink(moto_server)) as sink:
            sink.put_if(LEASE_KEY, foreign(until), None)
            most = Patience(wait_s=WAIT_S)
            if not is_taken(sink, lease_s, most):
                return None
        return (time.monotonic() - begun) / lease_s

    waited = patiently(lengths, lambda found: found is not None)
    assert waited is not None
    assert waited >= 1


def test_who_does_not_wait_takes_a_lease_that_looks_dead_when_it_is(moto_server: S3Server) -> None:
    """A sign of death is watched until it is proved, by the clock of the store or by ours."""

    def both(times: int) -> bool:
        lease_s = 1.5 * times
        with closing(bucket_sink(moto_server)) as sink:
            sink.put_if(LEASE_KEY, foreign(-3600), None)
            ours = is_taken(sink, lease_s)
            sink.remove(LEASE_KEY)
            sink.put_if(LEASE_KEY, foreign(3600), None)
            wait_until(lambda: age_of(sink) >= 2.5 * lease_s)
            return ours and is_taken(sink, lease_s)

    assert patiently(both, bool)


def is_taken(sink: S3Sink, lease_s: float, patience: Patience = NO_WAIT) -> bool:
    """Whether the lease can be taken over and kept for a moment. A busy machine may lose it."""
    with closing(open_sink(f"s3://{sink.bucket}/p", sink.options)) as ours:  # it is fenced then
        ours.check()
        try:
            Lease(ours, "s3://b/p", lambda _: None, patience=patience, lease_s=lease_s).release()
        except Held:
            return False
        return True


def test_a_watch_ends_when_the_run_has_no_more_time(moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as sink:
        sink.put_if(LEASE_KEY, foreign(-3600), None)
        with pytest.raises(Held):
            Lease(sink, "s3://b/p", nobody, patience=Patience(watch_s=0.2))


@pytest.mark.parametrize("operation", ["GET", "PUT"])
@pytest.mark.parametrize("answer", [(0, ""), (-1, ""), (503, "SlowDown")])
def test_a_store_that_fails_for_a_moment_is_asked_again(
    answer: tuple[int, str], operation: str, moto_server: S3Server
) -> None:
    """Without an answer, with a lost one (the lease was made), and with a refusal."""

    def fault(asked: Asked) -> tuple[int, str] | None:
        return answer if of_the_lease(asked, operation) and next(times, None) else None

    times = iter([1, 1])
    with Front(moto_server.url, fault) as front:
        sink = another(front, moto_server.make_bucket())
        begun = now_s()
        lease = Lease(sink, "s3://b/p", nobody)
        assert begun + 60.0 < lease.good_until < now_s() + 60.0
        lease.release()
        assert moto_server.read(sink.bucket, f"p/{LEASE_KEY}") is None
        sink.close()


@pytest.mark.parametrize("server", ["moto", "rclone", "swift", "radosgw", "s3rver", "localstack"])
def test_every_store_tells_the_age_of_a_lease_by_its_own_clock(
    server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3: S3Server = request.getfixturevalue(f"{server}_server")
    for name, value in s3.credentials.items():
        monkeypatch.setenv(name, value)
    with closing(bucket_sink(s3)) as sink:
        sink.put_if(LEASE_KEY, b"{}", None)
        first = age_of(sink)
        assert -2 <= first < WAIT_S
        wait_until(lambda: age_of(sink) >= first + 2)


def test_the_lease_of_a_process_that_is_dead_is_taken_at_once(moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as sink, closing(bucket_sink(moto_server)) as other:
        lease = Lease(sink, "s3://b/p", nobody)
        found = sink.get_small(LEASE_KEY)
        assert found is not None
        with subprocess.Popen([sys.executable, "-c", ""]) as ended:
            pass
        said = {**json.loads(found[0]), "pid": ended.pid}
        for dead, where in ((True, said), (False, {**said, "processes": "another machine"})):
            other.remove(LEASE_KEY)
            other.put_if(LEASE_KEY, json.dumps(where).encode(), None)
            if dead:
                Lease(other, "s3://b/p", nobody).release()
            else:
                with pytest.raises(Held):
                    Lease(other, "s3://b/p", nobody)
        lease.release()


def test_a_lease_is_renewed(moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as sink:

        def losses(times: int) -> list[str]:
            sink.remove(LEASE_KEY)
            lost: list[str] = []
            lease = Lease(sink, "s3://b/p", lost.append, lease_s=0.4 * times)
            first = moto_server.read(sink.bucket, f"p/{LEASE_KEY}")
            until = time.monotonic() + WAIT_S
            while moto_server.read(sink.bucket, f"p/{LEASE_KEY}") == first and not lost:
                assert time.monotonic() < until
            lease.release()
            return lost

        assert patiently(losses, lambda lost: not lost) == []


def test_who_lost_a_lease_is_told_and_leaves_it_alone(moto_server: S3Server) -> None:
    with closing(bucket_sink(moto_server)) as sink:
        lost = threading.Event()
        lease = Lease(sink, "s3://b/p", lambda _: lost.set(), lease_s=0.2)
        sink.remove(LEASE_KEY)
        theirs = b'{"run": "another", "until": 99999999999}'
        sink.put_if(LEASE_KEY, theirs, None)
        assert lost.wait(WAIT_S)
        lease.release()
        assert moto_server.read(sink.bucket, f"p/{LEASE_KEY}") == theirs


@pytest.mark.parametrize("runs", [2, 4])
@pytest.mark.parametrize(
    "store", ["moto", "rclone", "swift", "radosgw", "s3rver", "localstack", "501"]
)
def test_of_runs_that_start_at_once_one_has_the_lease(
    store: str, runs: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the store judges conditions, ignores them, looks before it puts, or refuses.

    PROOF_SEEDS=200 makes as many rounds.
    """

    def fault(asked: Asked) -> tuple[int, str] | None:
        conditional = {"if-none-match", "if-match"} & asked.headers.keys()
        return (501, "NotImplemented") if store == "501" and conditional else None

    s3: S3Server = request.getfixturevalue(f"{'moto' if store == '501' else store}_server")
    for name, value in s3.credentials.items():
        monkeypatch.setenv(name, value)
    with Front(s3.url, fault) as front:
        for _ in range(int(os.environ.get("PROOF_SEEDS", "2"))):
            bucket = s3.make_bucket()
            sinks = [another(front if store == "501" else s3, bucket) for _ in range(runs)]
            barrier = threading.Barrier(len(sinks))
            with ThreadPoolExecutor(len(sinks)) as pool:
                found = list(pool.map(partial(_take_at_once, barrier), sinks))
            (lease,) = filter(None, found)
            assert lease.holds()
            lease.release()
            assert not s3.keys(bucket)
            for sink in sinks:
                sink.close()


def _take_at_once(barrier: threading.Barrier, sink: S3Sink) -> Lease | None:
    barrier.wait()
    try:
        return Lease(sink, "s3://b/p", nobody)
    except Held:
        return None


# ---------------------------------------------------------------- the fence


def test_the_fence_counts_from_before_the_put_was_sent(moto_server: S3Server) -> None:
    arrived: list[float] = []

    def alter(asked: Asked, body: bytes) -> bytes:
        if of_the_lease(asked):
            arrived.append(now_s())
        return body

    with Front(moto_server.url, lambda _: None, alter=alter) as front:
        sink = another(front, moto_server.make_bucket())
        lease = Lease(sink, "s3://b/p", nobody)
        assert lease.good_until < arrived[0] + 60.0
        assert lease.holds()
        lease.release()
        sink.close()


def test_a_lease_that_can_not_be_renewed_runs_out_and_is_not_deleted(moto_server: S3Server) -> None:
    down = threading.Event()

    def fault(asked: Asked) -> tuple[int, str] | None:
        return (503, "SlowDown") if down.is_set() and of_the_lease(asked) else None

    with Front(moto_server.url, fault) as front:
        sink = another(front, moto_server.make_bucket())

        def lost(times: int) -> tuple[Lease, list[str]]:
            down.clear()
            sink.remove(LEASE_KEY)
            reasons: list[str] = []
            lease = Lease(sink, "s3://b/p", reasons.append, lease_s=1.0 * times)
            down.set()
            wait_until(lambda: bool(reasons))
            return lease, reasons

        # On a busy machine it may run out before it could be renewed.
        lease, reasons = patiently(lost, lambda one: "could not be renewed" in one[1][0])
        assert not lease.holds()
        assert now_s() >= lease.good_until
        assert "could not be renewed" in reasons[0]
        assert "SlowDown" in reasons[0]
        down.clear()
        lease.release()
        assert not lease.holds()
        assert moto_server.read(sink.bucket, f"p/{LEASE_KEY}") is not None
        sink.close()


@pytest.mark.parametrize("answer", [(-1, ""), (500, "InternalError"), (412, "PreconditionFailed")])
def test_a_renewal_with_a_wrong_answer_is_looked_at_and_made_again(
    answer: tuple[int, str], moto_server: S3Server
) -> None:
    """Carried out without an answer; refused; refused because of a condition that holds."""
    wrong = threading.Event()

    def fault(asked: Asked) -> tuple[int, str] | None:
        if wrong.is_set() and of_the_lease(asked):
            wrong.clear()
            return answer
        return None

    with Front(moto_server.url, fault) as front:
        sink = another(front, moto_server.make_bucket())
        lease = Lease(sink, "s3://b/p", nobody, lease_s=4.0)
        wrong.set()
        wait_until(lambda: not wrong.is_set())
        first = lease.good_until
        wait_until(lambda: lease.good_until > first)
        assert lease.holds()
        lease.release()
        assert moto_server.read(sink.bucket, f"p/{LEASE_KEY}") is None
        sink.close()


def test_a_release_does_not_wait_for_a_store_that_is_silent(moto_server: S3Server) -> None:
    silent, released = threading.Event(), threading.Event()

    def fault(asked: Asked) -> tuple[int, str] | None:
        if silent.is_set() and of_the_lease(asked, "GET"):
            released.wait(WAIT_S)
        return None

    with Front(moto_server.url, fault) as front:
        sink = another(front, moto_server.make_bucket())
        lease = Lease(sink, "s3://b/p", nobody)
        silent.set()
        lease.release()
        released.set()
        sink.close()


def test_a_run_that_was_stopped_while_its_lease_ran_out_knows_it_when_it_wakes(
    moto_server: S3Server,
) -> None:
    script = """
import sys
from scraper.sinks.lease import Lease
from scraper.sinks.s3.sink import open_sink
from scraper.sinks.beginning import insist
from scraper.sinks.base import SinkOptions
from scraper.model.settings import S3
sink = open_sink(sys.argv[2], SinkOptions(s3=S3(endpoint=sys.argv[1], client="boto3")))
sink.check()
def say(line):  # in one piece: two threads do
    print(line + "\\n", end="", flush=True)
lease = Lease(sink, sys.argv[2], lambda reason: say(f"lost: {reason}"), lease_s=2.0)
say("has it")
sys.stdin.readline()
say(str(lease.holds()))
sys.stdin.readline()
lease.release()
"""
    place = f"s3://{moto_server.make_bucket()}/p"
    command = [sys.executable, "-c", script, moto_server.url, place]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "has it\n"
        process.send_signal(signal.SIGSTOP)
        sink = another(moto_server, place.split("/")[2])
        lease = Lease(sink, place, nobody, patience=Patience(wait_s=WAIT_S), lease_s=2.0)
        process.stdin.write("\n")
        process.stdin.flush()
        process.send_signal(signal.SIGCONT)
        said = {process.stdout.readline().split(":")[0].strip() for _ in range(2)}
        assert said == {"False", "lost"}
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait() == 0
        assert lease.holds()
        lease.release()
        sink.close()


def test_who_waits_for_a_run_that_begins_says_so(moto_server: S3Server) -> None:
    """The flag of another machine's run, which was killed while it began."""
    with closing(bucket_sink(moto_server)) as sink:
        sink.put_if(f"{MUTEX_PREFIX}zz-1", foreign(60.0), None)
        said: list[str] = []
        patience = Patience(left=lambda: bool(said), on_wait=said.append)
        with pytest.raises(Held):
            Lease(sink, "s3://b/p", nobody, patience=patience)
        assert said[0] == "another run that begins"
        assert moto_server.keys(sink.bucket) == {f"p/{MUTEX_PREFIX}zz-1"}


# ---------------------------------------------------------------- a store that is in trouble


BUSY = Refusal(503, "SlowDown", headers={"Retry-After": "1"})
LONG_BUSY = Refusal(503, "SlowDown", headers={"Retry-After": "500"})


@pytest.mark.parametrize("operation", ["GET", "PUT", "PUT flag", "list"])
@pytest.mark.parametrize(
    ("answer", "waits"),
    [(BUSY, 1), (LONG_BUSY, 0), (Refusal(500, "InternalError"), 1), ((CUT, ""), 1)],
    ids=["busy", "busy for long", "500", "cut"],
)
def test_a_store_that_fails_for_good_is_an_error_after_the_usual_retries(
    answer: Refusal | tuple[int, str], waits: int, operation: str, moto_server: S3Server
) -> None:
    """Whichever request it refuses, and not before the time that it says."""
    refused: list[float] = []

    def fault(asked: Asked) -> Refusal | tuple[int, str] | None:
        is_flag = asked.operation == "PUT" and MUTEX_PREFIX in asked.path
        which = {"PUT flag": is_flag, "list": "list-type" in asked.path}
        if not which.get(operation, of_the_lease(asked, operation)):
            return None
        refused.append(time.monotonic())
        return answer

    told: list[str] = []
    patience = Patience(retries=Retries(retries=1), tell=told.append)
    with Front(moto_server.url, fault) as front:
        sink = another(front, moto_server.make_bucket())
        with pytest.raises(SinkError):
            Lease(sink, "s3://b/p", nobody, patience=patience, lease_s=2.0)
        sink.close()
    assert len(told) == waits
    assert moto_server.keys(sink.bucket) == set()
    if isinstance(answer, Refusal) and answer.headers:
        assert len(refused) == 1 + waits
        assert all(later - earlier >= 0.9 for earlier, later in pairwise(refused))


def test_a_run_that_is_stopped_while_the_store_is_busy_waits_no_longer(
    moto_server: S3Server,
) -> None:
    busy = Refusal(503, "SlowDown", headers={"Retry-After": "100"})
    told: list[str] = []
    patience = Patience(left=lambda: bool(told), tell=told.append)
    with Front(moto_server.url, lambda asked: busy if of_the_lease(asked) else None) as front:
        sink = another(front, moto_server.make_bucket())
        with within(0, room_s=WAIT_S), pytest.raises(SinkError):
            Lease(sink, "s3://b/p", nobody, patience=patience)
        sink.close()


class Late:
    """A way to rclone, which ignores conditions: the `number`-th put of the lease is held there."""

    def __init__(self, server: S3Server, number: int) -> None:
        self.held, self.freed = threading.Event(), threading.Event()
        self._puts, self._number = 0, number
        self.front = Front(server.url, self._pass)

    def _pass(self, asked: Asked) -> None:
        if of_the_lease(asked):
            self._puts += 1
            if self._puts == self._number:
                self.held.set()
                assert self.freed.wait(WAIT_S)


def run_of(sink: S3Sink) -> str:
    """Whose lease it is. rclone answers 500 to who reads an object that is just replaced."""
    found = insist(lambda: sink.get_small(LEASE_KEY))
    return "" if found is None else str(json.loads(found.data)["run"])


@pytest.fixture
def rclone(rclone_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in rclone_server.credentials.items():
        monkeypatch.setenv(name, value)
    return rclone_server


def test_a_first_put_that_arrives_late_takes_the_lease_from_nobody(
    rclone: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run has passed the flag over meanwhile, and holds."""
    monkeypatch.setattr(mutex, "FLAG_S", 1.0)
    bucket, late, lost = rclone.make_bucket(), Late(rclone, 1), list[str]()
    with late.front, ThreadPoolExecutor(1) as pool:
        slow, quick = another(late.front, bucket), another(rclone, bucket)
        first = pool.submit(Lease, slow, "s3://b/p", nobody, patience=Patience(watch_s=WAIT_S))
        assert late.held.wait(WAIT_S)
        lease = Lease(quick, "s3://b/p", lost.append, lease_s=8.0)
        run = run_of(quick)
        late.freed.set()
        with pytest.raises(Held, match=r"process \d+ on "):
            first.result(WAIT_S)
        assert run_of(quick) == run
        assert lease.holds()
        assert lost == []
        lease.release()
        for sink in (slow, quick):
            sink.close()


def test_a_renewal_that_arrives_late_takes_the_lease_from_nobody(rclone: S3Server) -> None:
    """Its run has lost the lease by the fence. Who has taken it over writes it again."""
    bucket, late = rclone.make_bucket(), Late(rclone, 2)
    lost: dict[str, list[str]] = {"slow": [], "quick": []}
    with late.front:
        slow, quick = another(late.front, bucket), another(rclone, bucket)
        one = Lease(slow, "s3://b/p", lost["slow"].append, lease_s=2.0)
        assert late.held.wait(WAIT_S)
        two = Lease(quick, "s3://b/p", lost["quick"].append, patience=Patience(WAIT_S), lease_s=8.0)
        assert not one.holds()
        run = run_of(quick)
        late.freed.set()
        wait_until(lambda: bool(lost["slow"]))
        wait_until(lambda: run_of(quick) == run)
        assert not one.holds()
        assert two.holds()
        assert lost["quick"] == []
        for lease in (one, two):
            lease.release()
        for sink in (slow, quick):
            sink.close()


def test_a_lease_that_arrived_late_goes_with_the_run_that_holds(rclone: S3Server) -> None:
    bucket, late, lost = rclone.make_bucket(), Late(rclone, 2), list[str]()
    with late.front:
        slow, quick = another(late.front, bucket), another(rclone, bucket)
        one = Lease(slow, "s3://b/p", lost.append, lease_s=2.0)
        assert late.held.wait(WAIT_S)
        two = Lease(quick, "s3://b/p", nobody, patience=Patience(WAIT_S), lease_s=8.0)
        run = run_of(quick)
        late.freed.set()
        wait_until(lambda: run_of(quick) != run)
        two.release()
        assert run_of(quick) == ""
        wait_until(lambda: bool(lost))
        one.release()
        for sink in (slow, quick):
            sink.close()
