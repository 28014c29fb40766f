"""Shards: a host is in one of them, by a hash that never changes; what they refuse."""

import subprocess
import sys
from collections import Counter

import pytest

from scraper.model.errors import UsageError
from scraper.model.settings import Settings
from scraper.model.shards import MOST, Shard, shard_of

# Which shard of 8 each host was in when the first manifests of shards were written.
FIXED = {"example.com": 6, "example.com:8080": 1, "127.0.0.1": 4, "[::1]": 6, "xn--bcher-kva.de": 4}


def test_a_host_is_in_the_same_shard_for_ever() -> None:
    assert {host: shard_of(host, 8) for host in FIXED} == FIXED


def test_every_process_knows_the_same_shard() -> None:
    hosts = [f"host-{number}.example" for number in range(50)]
    script = (
        "import sys\nfrom scraper.model.shards import shard_of\n"
        "print(*[shard_of(host, 7) for host in sys.argv[1:]])"
    )
    command = [sys.executable, "-c", script, *hosts]
    ran = subprocess.run(
        command, env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    assert [*map(int, ran.stdout.split())] == [shard_of(host, 7) for host in hosts]


def test_each_host_is_in_one_shard_and_shards_are_of_like_size() -> None:
    hosts = [f"{number}.example.com" for number in range(8_000)]
    shards = [Shard(number, 8) for number in range(8)]
    sizes = Counter(str(shard) for host in hosts for shard in shards if shard.has(host))
    assert sizes.total() == len(hosts)
    assert all(850 < sizes[str(shard)] < 1_150 for shard in shards)


@pytest.mark.parametrize(
    "text", ["", "3", "8/8", "0/0", "-1/8", "1/8/9", "a/b", "1/1000000", "0/8x"]
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        Shard.parse(text)
    with pytest.raises(UsageError, match="--shard"):
        Settings.of(shard=text)


def test_a_shard_is_written_as_it_is_read() -> None:
    assert str(Shard.parse(" 3/8 ")) == "3/8"
    assert Shard.parse(f"{MOST - 1}/{MOST}") == Shard(MOST - 1, MOST)
    assert Settings.of(shard=" 03/8").shard == "3/8"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"manifest": "m.jsonl"}, "--manifest"),
        ({"max_total_size": 10}, "--max-total-size"),
        ({"key": "{line}"}, "--key"),
        ({"key": "x/{host}/{path}"}, "--key"),
    ],
)
def test_options_that_shards_refuse(options: dict[str, object], named: str) -> None:
    Settings.of(**options)
    with pytest.raises(UsageError, match=named):
        Settings.of(shard="0/2", **options)


@pytest.mark.parametrize("key", ["url", "hash", "{host}/{path}{ext}", "{host}/{date}/{hash}"])
def test_keys_that_two_shards_can_not_both_make(key: str) -> None:
    assert Settings.of(shard="0/2", key=key).key == key
