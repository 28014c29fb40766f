"""Mutual exclusion by plain puts and lists: one run at a time, whatever the others do."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.base import Listed, SmallObject
from scraper.sinks.mutex import FLAG_S, MUTEX_PREFIX, Mutex
from scraper.sinks.process_identity import own_process

RUNS, ROUNDS = 5, 40


class Store:
    """A store in memory that judges no condition. Each request takes effect at one moment.

    `before` is called with the name of a request and its key before it takes effect.
    """

    def __init__(self, before: Callable[[str, str], object] = lambda _what, _key: None) -> None:
        self.objects: dict[str, bytes] = {}
        self.ages: dict[str, float] = {}
        self.before = before

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        self.before("put", key)
        self.objects[key] = data
        return f"{etag}"

    def get_small(self, key: str) -> SmallObject | None:
        self.before("get", key)
        data = self.objects.get(key)
        return None if data is None else SmallObject(data, "", self.ages.get(key))

    def remove(self, key: str) -> None:
        self.before("remove", key)
        self.objects.pop(key, None)

    def keys(self, prefix: str = "") -> Iterator[str]:
        self.before("list", prefix)
        yield from [key for key in list(self.objects) if key.startswith(prefix)]


class ListingStore(Store):
    """A store whose list tells when each object was put, as S3's does. `old`: of other runs."""

    def __init__(self, clock: "Clock", old: int) -> None:
        self.asked: list[str] = []
        super().__init__(lambda what, _key: self.asked.append(what))
        self.clock = clock
        self.objects = {flag(f"{number:04}"): b"{}" for number in range(old)}
        self.put_ms = dict.fromkeys(self.objects, 1000.0 * (clock() - FLAG_S - 3))

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        self.put_ms[key] = 1000.0 * self.clock()
        return super().put_if(key, data, etag)

    def listing(self, prefix: str = "") -> Iterator[Listed]:
        for key in self.keys(prefix):
            yield Listed(key, len(self.objects[key]), int(self.put_ms[key]))


class Clock:
    """Time that passes when it is waited for."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def mutex(store: Store, clock: Clock, run: str = "m") -> Mutex:
    return Mutex(store, {"run": run, **own_process()}, clock, clock.wait)


def never() -> bool:
    return False


def flag(run: str) -> str:
    return f"{MUTEX_PREFIX}{run}-1"


def of_another_machine(run: str) -> bytes:
    return json.dumps({"run": run, **own_process(), "processes": "another machine"}).encode()


@pytest.mark.parametrize("seed", range(4))
def test_one_run_at_a_time_is_alone_and_each_is_once(seed: int) -> None:
    """Requests of all runs in any order: each may wait while the others go on."""
    chance = random.Random(seed)
    store = Store(lambda _what, _key: time.sleep(chance.random() * 0.002))
    inside: list[str] = []
    most = entered = 0

    def enter(run: str) -> None:
        nonlocal most, entered
        holder = {"run": run, **own_process()}
        ours = Mutex(store, holder, time.monotonic, lambda _: time.sleep(0.001))
        with ours.alone(never) as alone:
            assert alone
            inside.append(run)
            most = max(most, len(inside))
            time.sleep(0.001)
            inside.remove(run)
            entered += 1

    for _ in range(ROUNDS):
        with ThreadPoolExecutor(RUNS) as pool:
            list(pool.map(enter, [os.urandom(4).hex() for _ in range(RUNS)]))
    assert most == 1
    assert entered == RUNS * ROUNDS
    assert not store.objects


def test_nothing_is_left_and_three_requests_are_made_without_others() -> None:
    asked: list[str] = []
    store = Store(lambda what, _key: asked.append(what))
    with mutex(store, Clock()).alone(never) as alone:
        assert alone
        assert list(store.objects) == [flag("m")]
    assert asked == ["put", "list", "remove"]
    assert not store.objects


@pytest.mark.parametrize("other", ["a", "z"], ids=["smaller", "greater"])
def test_the_flag_of_a_run_that_does_not_go_on_counts_for_some_time(other: str) -> None:
    store, clock = Store(), Clock()
    store.objects[flag(other)] = of_another_machine(other)
    begun = clock.now
    with mutex(store, clock).alone(never) as alone:
        assert alone
        assert clock.now - begun >= FLAG_S
        assert flag(other) not in store.objects
    assert clock.now - begun < FLAG_S + 1


def test_a_flag_that_is_old_by_the_clock_of_the_store_counts_no_more() -> None:
    store, clock = Store(), Clock()
    store.objects[flag("a")] = of_another_machine("a")
    store.ages[flag("a")] = FLAG_S + 2
    begun = clock.now
    with mutex(store, clock).alone(never) as alone:
        assert alone
        assert clock.now == begun


def test_the_flag_of_a_process_that_has_ended_counts_no_more() -> None:
    store, clock = Store(), Clock()
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    dead = {"run": "a", **own_process(), "pid": ended.pid}
    store.objects[flag("a")] = json.dumps(dead).encode()
    begun = clock.now
    with mutex(store, clock).alone(never) as alone:
        assert alone
        assert clock.now == begun
        assert list(store.objects) == [flag("m")]


@pytest.mark.parametrize("garbage", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_flag_counts_as_one(garbage: bytes) -> None:
    store, clock = Store(), Clock()
    store.objects[flag("a")] = garbage
    begun = clock.now
    with mutex(store, clock).alone(never) as alone:
        assert alone
    assert clock.now - begun >= FLAG_S


@pytest.mark.parametrize("other", ["a", "z"], ids=["smaller", "greater"])
def test_who_is_told_to_leave_does_not_wait(other: str) -> None:
    store, clock = Store(), Clock()
    store.objects[flag(other)] = of_another_machine(other)
    with mutex(store, clock).alone(lambda: True) as alone:
        assert not alone
    assert list(store.objects) == [flag(other)]


def test_a_run_that_slept_while_its_flag_counted_begins_again() -> None:
    """Between its flag and its look others may have passed the flag over."""
    clock = Clock()

    def sleep_once(what: str, _key: str) -> None:
        if what == "list" and clock.now < 1000 + FLAG_S:
            clock.now += FLAG_S

    store = Store(sleep_once)
    ours = mutex(store, clock)
    with ours.alone(never) as alone:
        assert alone
        assert list(store.objects) == [f"{MUTEX_PREFIX}m-2"]
        assert ours.counts()
        clock.now += FLAG_S
        assert not ours.counts()


def test_a_flag_that_could_not_be_deleted_is_no_hindrance_for_its_own_run() -> None:
    store, clock = Store(), Clock()
    ours = mutex(store, clock)
    down = threading.Event()

    def refuse(what: str, _key: str) -> None:
        if down.is_set() and what == "remove":
            raise SinkError("no", transient=True)

    store.before = refuse
    down.set()
    with ours.alone(never) as alone:
        assert alone
    assert list(store.objects) == [flag("m")]
    begun = clock.now
    with ours.alone(never) as alone:
        assert alone
    assert clock.now == begun


def test_a_flag_that_can_not_be_read_counts_for_its_time() -> None:
    """s3rver and LocalStack answer 500 for an object that is being deleted."""

    def fails(what: str, key: str) -> None:
        if what == "get" and key == flag("a"):
            raise SinkError("500: Internal Server Error", transient=True)

    store, clock = Store(fails), Clock()
    store.objects[flag("a")] = b"{}"
    with mutex(store, clock).alone(never) as alone:
        assert alone
    assert FLAG_S <= clock.now - 1000.0 < FLAG_S + 1


OLD = 500  # flags


def test_old_flags_that_may_not_be_deleted_cost_no_request_each() -> None:
    clock = Clock()
    store = ListingStore(clock, OLD)

    def deny(what: str, _key: str) -> None:
        store.asked.append(what)
        if what == "remove":
            raise DestinationError("s3:DeleteObject is denied")

    store.before = deny
    with mutex(store, clock).alone(never) as alone:
        assert alone
    assert store.asked == ["put", "list", "remove", "get", "put"]
    assert store.objects[flag("m")] == b"{}", "it is lowered in another way"


def test_old_flags_are_deleted_without_a_look_and_not_for_long() -> None:
    """Requests that take half a second each: the rest is left to the next runs."""
    clock = Clock()
    store = ListingStore(clock, OLD)

    def slow(what: str, _key: str) -> None:
        store.asked.append(what)
        clock.now += 0.5

    store.before = slow
    begun, rounds = clock.now, 0
    with mutex(store, clock).alone(never) as alone:
        assert alone
        assert clock.now - begun < FLAG_S / 4
    assert "get" not in store.asked
    store.before = lambda _what, _key: None
    while store.objects:
        rounds += 1
        with mutex(store, clock).alone(never) as alone:
            assert alone
    assert rounds == 1


def test_a_flag_that_is_lowered_without_being_deleted_is_waited_for_no_longer() -> None:
    clock = Clock()
    store = ListingStore(clock, 0)
    store.put_if(flag("z"), of_another_machine("z"), None)
    ours = mutex(store, clock)
    lowered: list[float] = []

    def left() -> bool:
        if not lowered:
            lowered.append(clock())
            store.put_if(flag("z"), b"{}", None)
        return False

    with ours.alone(left) as alone:
        assert alone
        assert clock.now - lowered[0] < 1


def test_a_store_that_is_too_slow_for_a_flag_is_told() -> None:
    clock = Clock()

    def slow(what: str, _key: str) -> None:
        if what == "list":
            clock.now += FLAG_S + 1

    store = Store(slow)
    with pytest.raises(SinkError, match="needs more than 20 s to list"):  # noqa: SIM117
        with mutex(store, clock).alone(never):
            pass
    assert not store.objects
