"""Locks of shards: who may go on beside whom, in directories and buckets."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from scraper.model.errors import DestinationError, Held, UsageError
from scraper.model.shards import Division, Shard
from scraper.sinks.base import Sink, put_object
from scraper.sinks.beginning import insist
from scraper.sinks.directory.sink import DirectorySink
from scraper.sinks.division import write
from scraper.sinks.lock import Lock, hold
from scraper.sinks.plans import Plan, kept
from scraper.sinks.s3.sink import open_sink
from scraper.sinks.shard_lock import ShardHold, hold_shard
from tests.s3servers import S3Server
from tests.sinks.test_lock import Plain

pytestmark = pytest.mark.usefixtures("aws")


def nobody(reason: str) -> None:
    raise AssertionError(reason)


class Destination:
    """A destination, and sinks on it, one for each who wants it."""

    def __init__(self, name: str, make: Callable[[], Sink]) -> None:
        self.name, self._make = name, make
        self.sinks: list[Sink] = []

    def sink(self) -> Sink:
        sink = self._make()
        insist(sink.check)  # as a run does: moto answers 500 to some of two puts at once
        self.sinks.append(sink)
        return sink

    def shard(self, text: str) -> ShardHold:
        return hold_shard(self.sink(), self.name, Shard.parse(text), "fail", nobody)

    def leave(self, lock: ShardHold) -> None:
        """What a run of this shard leaves."""
        put_object(self.sinks[0], f"{lock.kept.prefix}done.json", b"{}", "application/json")

    def plans(self) -> set[Plan]:
        """The plans of which there is anything."""
        return {one.plan for one in kept(self.sink(), self.name)}

    def whole(self) -> Lock:
        lock = hold(self.sink(), self.name, "fail", nobody)
        assert lock is not None
        return lock


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    if request.param == "directory":
        made = Destination(str(tmp_path / "out"), lambda: DirectorySink(tmp_path / "out"))
    else:
        server: S3Server = request.getfixturevalue("moto_server")
        name = f"s3://{server.make_bucket()}/p"
        made = Destination(name, lambda: open_sink(name, server.options()))
    yield made
    for sink in made.sinks:
        sink.close()


def test_shards_of_one_plan_go_on_side_by_side(place: Destination) -> None:
    locks = [place.shard(f"{number}/3") for number in range(3)]
    assert all(lock.holds() for lock in locks)
    assert len({lock.kept.prefix for lock in locks}) == 3
    with pytest.raises(Held, match="shard 1/3"):
        place.shard("1/3")
    locks[1].release()
    place.shard("1/3").release()
    locks[0].release()
    locks[2].release()


def test_a_run_of_the_whole_and_shards_keep_each_other_out(place: Destination) -> None:
    shard = place.shard("0/3")
    with pytest.raises(Held):
        place.whole()
    shard.release()
    whole = place.whole()
    with pytest.raises(Held):
        place.shard("2/3")
    whole.release()
    place.shard("2/3").release()


def test_another_number_of_shards_waits_until_all_have_ended(place: Destination) -> None:
    first, second = place.shard("0/3"), place.shard("1/3")
    first.release()
    with pytest.raises(Held, match="shard 1/3"):
        place.shard("0/4")
    place.leave(second)
    second.release()
    third = place.shard("0/4")
    assert third.kept.plan == (2, 4)
    with pytest.raises(Held):
        place.shard("0/3")
    place.leave(third)
    third.release()
    again = place.shard("0/3")
    assert again.kept.plan == (3, 3)
    again.release()


def test_who_was_refused_leaves_no_lock(place: Destination) -> None:
    shard = place.shard("0/2")
    for _ in range(2):
        with pytest.raises(Held):
            place.whole()
        with pytest.raises(Held):
            place.shard("0/5")
    shard.release()
    place.shard("1/2").release()
    place.whole().release()


def test_who_was_refused_begins_no_plan(place: Destination) -> None:
    first, second = place.shard("0/3"), place.shard("1/3")
    place.leave(second)
    with pytest.raises(Held):
        place.shard("0/4")
    assert place.plans() == {(1, 3)}
    first.release()  # and it has left nothing, as one that was killed
    again = place.shard("0/3")
    assert again.kept.plan == second.kept.plan == (1, 3)
    again.release()
    second.release()


def test_a_plan_that_never_began_counts_for_nothing(place: Destination) -> None:
    """Earlier versions left the lock of a run that was refused; of a killed one it may be left."""
    place.leave(first := place.shard("0/3"))
    first.release()
    lock = ".scraper/plans/0002-of-4/shard-0/lock"
    if "://" in place.name:
        put_object(place.sinks[0], f"{lock}.json", b"{}", "application/json")
    else:
        path = Path(place.name) / lock
        path.parent.mkdir(parents=True)
        path.touch()
    assert place.plans() == {(1, 3), (2, 4)}
    second = place.shard("1/3")
    assert second.kept.plan == (1, 3)
    assert place.plans() == {(1, 3)}
    second.release()


def test_of_shards_that_begin_at_once_the_winner_counts(place: Destination) -> None:
    wanted = ("0/2", "0/2", "0/2", "1/3")
    barrier, won, refused = threading.Barrier(len(wanted)), [], []

    def begin(text: str) -> None:
        barrier.wait(60)
        try:
            won.append((text, place.shard(text)))
        except Held:
            refused.append(text)

    threads = [threading.Thread(target=begin, args=(text,)) for text in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) + len(refused) == len(wanted)
    # Leases are taken before others are looked at, so there nobody may have won.
    assert len(won) == 1 or (not won and "://" in place.name)
    assert place.plans() == {lock.kept.plan for _, lock in won}
    for text, lock in won:
        place.leave(lock)
        lock.release()
        again = place.shard(text)
        assert again.kept.plan == lock.kept.plan
        assert again.kept.is_done
        again.release()


def test_a_lease_of_a_shard_that_was_killed_keeps_nobody_out(moto_server: S3Server) -> None:
    name = f"s3://{moto_server.make_bucket()}/p"
    place = Destination(name, lambda: open_sink(name, moto_server.options()))
    pid = os.fork()
    if pid == 0:  # it ends without a word
        place.shard("0/2")
        os._exit(0)
    os.waitpid(pid, 0)
    with closing(open_sink(name, moto_server.options())) as sink:
        sink.check()
        assert any("lock.json" in one.names for one in kept(sink, name))
        place.whole().release()
        assert not any("lock.json" in one.names for one in kept(sink, name))
    for one in place.sinks:
        one.close()


def test_a_destination_without_locks_is_refused() -> None:
    with pytest.raises(UsageError, match="no locks"):
        hold_shard(Plain(), "other://place", Shard(0, 2), "fail", nobody)


def test_a_directory_that_can_not_be_locked_is_refused(tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path)
    sink.check()
    (tmp_path / ".scraper/plans").write_bytes(b"a file")
    with pytest.raises(DestinationError) as caught:
        hold_shard(sink, str(tmp_path), Shard(0, 2), "fail", nobody)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("planned", [True, False])
def test_a_shard_starts_as_quickly_beside_many_others(planned: bool, tmp_path: Path) -> None:
    """Counted by what is opened and listed. `tests/scale/test_paper.py` has the requests to S3."""
    out = str(tmp_path / "out")
    counts = []
    with closing(DirectorySink(tmp_path / "out")) as sink:
        sink.check()
        if planned:
            write(sink, out, Plan(1, 1000), Division({}, [0]))
        for others in (range(1, 3), range(3, 40)):
            for other in others:
                for name in ("done.json", "lock"):
                    key = f"{Plan(1, 1000).prefix_of(other)}{name}"
                    put_object(sink, key, b"{}", "application/json")
            with counted() as asked:
                hold_shard(sink, out, Shard(0, 1000), "fail", nobody).release()
            counts.append(len(asked))
    assert counts[0] >= counts[1] > 0


@contextmanager
def counted() -> Iterator[list[str]]:
    """What is opened and listed in this block."""
    asked: list[str] = []
    is_on = True

    def hook(event: str, _: object) -> None:
        if is_on and event in {"open", "os.listdir", "os.scandir", "os.mkdir"}:
            asked.append(event)

    sys.addaudithook(hook)
    yield asked
    is_on = False
