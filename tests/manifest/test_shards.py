"""Manifests of shards: read as one, moved into one; what a shard takes in of earlier ones."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.manifest.codec import Reading
from scraper.manifest.every_manifest import EveryLine
from scraper.manifest.index import Index
from scraper.manifest.known import known_lines, write_known
from scraper.manifest.open_store import lines_from, open_shard_store, open_store
from scraper.manifest.record import encode
from scraper.manifest.shard_store import HostLines, make_secret
from scraper.manifest.store import StoreTimeouts
from scraper.model.records import Response, Result, Stored, Target
from scraper.model.shards import Division, Shard, shard_of
from scraper.model.urls import parse
from scraper.sinks.directory.sink import DirectorySink
from scraper.sinks.division import write as begin_plan
from scraper.sinks.plans import Kept, Plan, current, kept
from scraper.sinks.shard_lists import ListsOfPlan
from scraper.source.keys import hash_key

NOW = StoreTimeouts(0.0)
HOSTS = [f"h{number}.example" for number in range(8)]


def line(host: str, name: str, key: str = "") -> bytes:
    """The record of a stored page."""
    return encode(stored(host, name, key))


def stored(host: str, name: str, key: str = "") -> Result:
    url = f"https://{host}/{name}"
    target = Target(url, url, host, key or f"{host}/{name}", 1, "urls")
    return Result(target, Stored(Response(200, url), 3, "a" * 64))


def sink_of(path: Path) -> DirectorySink:
    sink = DirectorySink(path)
    sink.check()
    return sink


def write(root: Path, name: str, *lines: bytes) -> None:
    path = root / ".scraper" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))


def test_plans_follow_each_other_by_their_numbers() -> None:
    def there(*plans: tuple[int, int]) -> list[Kept]:
        return [Kept(Plan(*plan), 0, frozenset()) for plan in plans]

    assert current([], 4) == (1, 4)
    assert current(there((1, 4)), 4) == (1, 4)
    assert current(there((1, 4)), 8) == (2, 8)
    assert current(there((1, 4), (2, 8)), 4) == (3, 4)
    assert current(there((2, 4), (2, 8)), 8) == (2, 8)


def test_all_manifests_are_read_in_the_order_of_plans(tmp_path: Path) -> None:
    a, b, c, d, e = (line("h.example", name) for name in "abcde")
    write(tmp_path, "plans/0010-of-2/shard-0/manifest.jsonl", e)
    write(tmp_path, "plans/0002-of-9/shard-1/manifest.jsonl", c)
    write(tmp_path, "plans/0002-of-9/shard-0/manifest.jsonl", b)
    write(tmp_path, "plans/0002-of-10/shard-0/manifest.jsonl", d)
    write(tmp_path, "plans/0002-of-9/shard-9/manifest.jsonl", b"of no shard\n")
    write(tmp_path, "plans/0002-of-9/shard-2/done.json", b"{}")
    write(tmp_path, "manifest.jsonl", a)
    with closing(sink_of(tmp_path)) as sink:
        assert [*lines_from(None, str(tmp_path), sink)()] == [a, b, c, d, e]
        done = [one.shard for one in kept(sink, str(tmp_path)) if one.is_done]
    assert done == [2]


def test_lines_are_the_same_ones_while_shards_append(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1\n2\n")
    second.write_bytes(b"3\n")

    def read(path: Path) -> Callable[[], object]:
        return lambda: iter(path.read_bytes().splitlines(keepends=True))

    lines = EveryLine(lambda: [read(first), read(second)])  # type: ignore[list-item]
    told = [*lines()]
    for path in (first, second):
        path.write_bytes(path.read_bytes() + b"more\n")
    assert [*lines()] == told == [b"1\n", b"2\n", b"3\n"]


@pytest.mark.parametrize(
    "torn", [b"", b'{"url":"https://h.example/to', line("h.example", "z")[:-1]]
)
def test_a_run_of_the_whole_moves_the_records_into_one_manifest(
    torn: bytes, tmp_path: Path
) -> None:
    lines = [line("h.example", name) for name in "abcd"]
    write(tmp_path, "manifest.jsonl", lines[0])
    write(tmp_path, "plans/0001-of-2/shard-0/manifest.jsonl", lines[1], torn)
    write(tmp_path, "plans/0001-of-2/shard-1/manifest.jsonl", lines[2])
    write(tmp_path, "plans/0002-of-1/shard-0/manifest.jsonl", lines[3])
    with closing(sink_of(tmp_path)) as sink:
        store = open_store(None, str(tmp_path), sink, NOW)
        assert store.begun
        store(stored("h.example", "e"))
        store.close()
        store.release()
        told = [*lines_from(None, str(tmp_path), sink)()]
    whole = [torn + b"\n"] if torn.endswith(b"}") else []
    assert told == [*lines[:2], *whole, *lines[2:], line("h.example", "e")]
    assert (tmp_path / ".scraper/manifest.jsonl").read_bytes() == b"".join(told)
    assert not any((tmp_path / ".scraper/plans").iterdir())


def test_records_that_are_in_two_manifests_mean_the_same(tmp_path: Path) -> None:
    """A run was killed when it had moved some of them."""
    lines = [line("h.example", name, key) for name, key in ("ak", "bk", "ak", "ck", "bk")]
    write(tmp_path, "manifest.jsonl", *lines[:3])
    write(tmp_path, "plans/0001-of-1/shard-0/manifest.jsonl", *lines)
    with closing(sink_of(tmp_path)) as sink:
        store = open_store(None, str(tmp_path), sink, NOW)
        with closing(Index("")) as index, closing(Index("")) as straight:
            store.catch_up(index)
            straight.absorb(lines)
            assert index.totals() == straight.totals()
        store.close()
        store.release()


def test_a_shard_takes_in_what_concerns_its_hosts() -> None:
    shard = Shard(0, 2)
    ours = next(host for host in HOSTS if shard.has(host))
    other = next(host for host in HOSTS if not shard.has(host))
    owner = HostLines(shard.shard_of).owner

    def has(line: bytes) -> bool:
        return owner(line) in {shard.number, None}

    assert has(line(ours, "a"))
    assert has(line(ours, "a", "anywhere"))
    assert not has(line(other, "a"))
    assert not has(line(other, "a", hash_key(parse(f"https://{other}/a"))))
    assert has(line(other, "a", f"{ours}/taken"))
    assert has(line(other, "a", "anywhere"))
    assert has(b"what is no record\n")
    assert has(b'{"url":"no url","line":1,"source":"-","status":"failed"}\n')


@given(
    st.lists(
        st.tuples(st.sampled_from(HOSTS), st.sampled_from("ab"), st.sampled_from(HOSTS)),
        max_size=20,
    )
)
def test_what_a_shard_knows_of_its_keys_is_what_a_whole_run_knows(
    history: list[tuple[str, str, str]],
) -> None:
    lines = [line(host, name, f"{of}/{name}") for host, name, of in history]
    shard = Shard(1, 3)
    with closing(Index("", Reading())) as whole, closing(Index("", Reading())) as part:
        whole.absorb(lines)
        part.absorb(HostLines(shard.shard_of).of(shard.number, lines))
        ids = [hash_of(host, name) for host in HOSTS if shard.has(host) for name in "ab"]
        assert part.find(ids) == whole.find(ids)
        assert part.done(ids) == whole.done(ids)


@pytest.mark.parametrize("most", [10, 1 << 20])
def test_what_is_known_is_divided_as_each_shard_would_find_it(most: int, tmp_path: Path) -> None:
    """Also the records that may have taken a key over, each in its place among the others."""
    destination, plan = str(tmp_path), Plan(1, 3)
    keys = ["", "anywhere", "h2.example/0"]
    lines = [line(host, str(n), keys[n % 3]) for n in range(6) for host in HOSTS]
    lines[7] = b'{"url":"https://h1.example/torn'
    lines.append(line("h3.example", "no end")[:-1])
    with closing(sink_of(tmp_path)) as sink:
        with ListsOfPlan(sink, destination, plan) as lists:
            write_known(lines, lambda host: shard_of(host, 3), lists, most)
            lists.finish()
        whole = [one for one in lines if one.endswith(b"\n")] + [lines[-1] + b"\n"]
        shards = kept(sink, destination)
        assert not any(shard.is_begun for shard in shards)
        assert {known_lines(sink, destination, shard) for shard in shards} == {None}
        begin_plan(sink, destination, plan, Division({}, [0]))
        for shard in shards:
            lines_of = known_lines(sink, destination, shard)
            assert lines_of is not None
            hosts = HostLines(lambda host: shard_of(host, 3))
            assert [*lines_of()] == [*hosts.of(shard.shard, whole)]
        assert known_lines(sink, destination, Kept(Plan(2, 3), 0, frozenset())) is None


def hash_of(host: str, name: str) -> int:
    from scraper.manifest.identity import plain

    return plain(f"{host}/{name}", f"https://{host}/{name}")


def test_all_shards_have_one_secret(tmp_path: Path) -> None:
    destination = str(tmp_path)
    with closing(sink_of(tmp_path)) as sink:
        path = make_secret(destination, sink)
        assert path is not None
        secret = path.read_bytes()
        assert make_secret(destination, sink) == path
        own = [Kept(Plan(1, 2), number, frozenset()) for number in range(2)]
        stores = [open_shard_store(destination, sink, NOW, Shard(one.shard, 2), one) for one in own]
        assert {store.identity.secret for store in stores} == {secret}
        for store in stores:
            store.close()
            store.release()
        whole = open_store(None, destination, sink, NOW)
        assert whole.identity.secret == secret
        whole.close()
        whole.release()
    assert len(secret) == 16
    assert os.stat(path).st_nlink == 1
