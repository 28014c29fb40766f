"""HostCounts: every line is counted once, for the host that a run would find in it."""

from collections import Counter
from pathlib import Path

import pytest

from scraper.model.records import Target
from scraper.model.shards import Shard, bucket_of
from scraper.source import lists
from scraper.source.host_counts import BUCKETS, HostCounts
from scraper.source.keys import KeyRule, hash_key, url_key
from scraper.source.shard_filter import ShardFilter
from scraper.source.sources import Source, from_iterable, open_sources
from tests.source.test_shard_filter import ODD


def test_odd_lines_are_counted_as_they_are_read() -> None:
    lines = [*ODD, *ODD, "http://a.example/y"]
    counts = HostCounts()
    counts.read(from_iterable(lines), url_key)
    found = counts.freeze()
    read = list(lists.read(from_iterable(lines), url_key))
    hosts = Counter(item.host for item in read if isinstance(item, Target))
    assert found.is_exact
    assert found.lines == sum(found.hosts.values())
    assert found.lines + found.bad == len(read)
    # A line that turns out to name no target counts for the host that is seen in it.
    assert all(found.hosts[host] >= count for host, count in hosts.items())
    good = [item.listed for item in read if isinstance(item, Target)]
    counts = HostCounts()
    counts.read(from_iterable(good), url_key)
    assert counts.freeze().hosts == hosts


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl", "list.txt"])
def test_lists_of_each_format(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    urls = [f"http://h{number % 3}.example/{number}?a,b" for number in range(10)]
    path.write_text(
        {
            "list.csv": "url\n" + "".join(f'"{url}"\n' for url in urls),
            "list.jsonl": "".join(f'{{"url": "{url}"}}\n' for url in urls),
            "list.txt": "".join(f"{url}\n" for url in urls),
        }[name]
    )
    counts = HostCounts()
    (source,) = open_sources([str(path)], lambda _: pytest.fail("nothing is remote"))
    counts.read(source, url_key)
    assert counts.freeze().hosts == {"h0.example": 4, "h1.example": 3, "h2.example": 3}


@pytest.mark.parametrize("rule", [url_key, hash_key])
def test_keys_that_another_host_may_have_are_counted_as_a_shard_refuses_them(rule: KeyRule) -> None:
    lines = [
        "http://a.example/1",
        "https://a.example/2\ta.example/two",
        "http://a.example/3\tb.example/three",
        '{"url": "http://b.example/4", "key": "all/four"}',
        "http://b.example/5\tfive",
    ]
    counts = HostCounts()
    counts.read(from_iterable(lines), rule)
    found = counts.freeze()
    shards = (ShardFilter(Shard(number, 2), rule) for number in range(2))
    read = [item for shard in shards for item in shard.read(from_iterable(lines))]
    refused = [item for item in read if not isinstance(item, Target)]
    assert len(read) == len(lines) == found.lines
    assert (found.shared, len(refused)) == (3, 3)
    assert found.first_shared.endswith(":3")


def test_of_too_many_hosts_the_large_ones_are_kept() -> None:
    def source() -> Source:
        small = [f"http://small{number}.example/" for number in range(3_000)]
        large = [f"http://large{number % 5}.example/{number}" for number in range(3_000)]
        return from_iterable([line for pair in zip(small, large, strict=True) for line in pair])

    counts = HostCounts(most=50)
    counts.read(source(), url_key)
    found = counts.freeze()
    assert not found.is_exact
    assert (found.lines, len(found.hosts) <= 50) == (6_000, True)
    for number in range(5):
        assert 600 - 6_000 / 50 <= found.hosts[f"large{number}.example"] <= 600
    buckets = Counter(
        bucket_of(item.host, BUCKETS)
        for item in lists.read(source(), url_key)
        if isinstance(item, Target)
    )
    assert {number: lines for number, lines in enumerate(found.buckets) if lines} == buckets
