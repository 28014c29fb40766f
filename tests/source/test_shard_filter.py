"""ShardFilter: each line of a list is one shard's, and no other shard parses it if it is plain."""

import contextlib
import gzip
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model import urls
from scraper.model.errors import BadTarget
from scraper.model.records import Result, Target
from scraper.model.shards import Shard
from scraper.source import lists, shard_filter
from scraper.source.keys import KeyRule, hash_key, url_key
from scraper.source.reader import ListReader
from scraper.source.shard_filter import ShardFilter, host_of
from scraper.source.sources import Source, from_iterable, open_sources

ODD = (
    "http://a.example/x",
    "http://A.example/x",
    "  http://a.example/x",
    "http://a.example:80/x",
    "http://a.example:8080",
    "http://a.example:99999/x",
    "https://a.example:80/x",
    "http://a.example:08080/x",
    "http://a.example?x/y",
    "http://a..b/x",
    "http://a.example./x",
    "http://a.example:/x",
    "http://a.example?q",
    "http://a.example#f",
    "http://a.example\\x",
    "http://a.example@b.example/x",
    "http://user:pw@b.example/x",
    "http://1.2/x",
    "http://0x7f.1/",
    "http://256.256.256.256/",
    "http://a..example/",
    "http://-/",
    "http://./",
    "http://xn--a/",
    "https://bücher.example/",
    "http://a.example/a b",
    "http://a.example x/",
    "http://",
    "http:///x",
    "https:a.example/x",
    "no url",
    "ftp://a.example/",
    "# a comment",
    "",
    '{"url": "http://c.example/x"}',
    '{"url": 1}',
    '{"url": "http://c.example/x", "headers": {"X": "y"}}',
    "{",
    "http://a.example/\x00",
    "http://a.example/\ufeff",
    "http://[::1]/x",
    "http://[::1]:80/x",
    "http://a.example/x\rhttp://b.example",
)


def whole(lines: Sequence[object], rule: KeyRule = url_key) -> Counter[object]:
    return Counter(map(shown, lists.read(from_iterable(lines), rule)))


def divided(lines: Sequence[object], shards: int, rule: KeyRule = url_key) -> Counter[object]:
    told: Counter[object] = Counter()
    for number in range(shards):
        told += Counter(map(shown, read(lines, Shard(number, shards), rule)))
    return told


def read(lines: Sequence[object], shard: Shard, rule: KeyRule = url_key) -> list[lists.Read]:
    return list(ShardFilter(shard, rule).read(from_iterable(lines)))


def shown(item: lists.Read) -> object:
    return repr(item)


@pytest.mark.parametrize("shards", [1, 2, 3, 8])
def test_all_shards_together_read_what_one_run_reads(shards: int) -> None:
    assert divided(ODD, shards) == whole(ODD)
    assert divided(ODD, shards, hash_key) == whole(ODD, hash_key)


@given(st.lists(st.text(st.sampled_from("htps:/.@?#a1-[]x \t\r\\%é0"), max_size=30), max_size=6))
def test_any_lines_are_told_once(lines: list[str]) -> None:
    plain = [f"http://{line}" for line in lines] + [line.replace("\t", "") for line in lines]
    without_keys = [line.replace("\t", "") for line in plain]
    assert divided(without_keys, 3) == whole(without_keys)


def test_what_a_program_gives_is_divided_too() -> None:
    given_objects = [("http://a.example/x",), {"url": "http://b.example/"}, 7, "http://c.example/"]
    assert divided(given_objects, 4) == whole(given_objects)


def test_tables_are_divided_too_behind_a_list_of_lines(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("".join(f"http://h{n}.example/\n" for n in range(9)))
    (tmp_path / "t.csv").write_text(
        "url\nno url\n" + "".join(f"http://{n}.example/\n" for n in "abc")
    )
    names = [str(tmp_path / "plain"), str(tmp_path / "t.csv")]

    def refuse(url: str) -> None:
        raise AssertionError(url)

    def items(number: int) -> list[lists.Read]:
        found = ShardFilter(Shard(number, 3), url_key)
        return [item for source in open_sources(names, refuse) for item in found.read(source)]  # type: ignore[arg-type]

    told = Counter(
        item.target.listed if isinstance(item, Result) else item.listed
        for number in range(3)
        for item in items(number)
    )
    assert set(told.values()) == {1}
    assert len(told) == 9 + 1 + 3


def test_plain_lines_of_other_shards_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    parse = urls.parse

    def spy(url: str) -> urls.Url:
        asked.append(url)
        return parse(url)

    monkeypatch.setattr(urls, "parse", spy)
    hosts = [f"h{number}.example" for number in range(20)]
    lines = [f"http://{host}/{page}?q" for page in range(50) for host in hosts]
    shard = Shard(0, 4)
    ours = [item for item in read(lines, shard) if isinstance(item, Target)]
    assert {item.host for item in ours} == {host for host in hosts if shard.has(host)}
    assert len(asked) <= len(ours) + 2 * len(hosts)


@pytest.mark.parametrize("key", ["k", "b.example/x", "a.example", "a.example_http/x"])
def test_a_key_outside_the_directory_of_its_host_is_refused(key: str) -> None:
    (item,) = read([f"https://a.example/x\t{key}"], Shard(0, 1))
    assert isinstance(item, Result)
    assert item.failure is not None
    assert item.failure.kind == "bad_url"
    assert "'a.example/'" in item.failure.message


def test_a_key_in_the_directory_of_its_host_is_kept() -> None:
    (item,) = read(["https://a.example/x\ta.example/mine/K.html"], Shard(0, 1))
    assert isinstance(item, Target)
    assert item.key == "a.example/mine/K.html"


@given(st.text(st.sampled_from("ax0.-1n:98"), min_size=1, max_size=12), st.sampled_from(["", "s"]))
def test_a_host_that_is_not_parsed_is_the_one_that_parsing_gives(text: str, s: str) -> None:
    found = host_of(text.encode())
    with contextlib.suppress(BadTarget):
        assert found in {None, urls.parse(f"http{s}://{text}/").origin.host}


@pytest.mark.parametrize("text", ["a.example", "a.example:8080", "0.a", "a-b.c1", "1.2.3.4x.de"])
def test_usual_hosts_need_no_parsing(text: str) -> None:
    assert host_of(text.encode()) == text


def test_more_origins_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_filter, "_MOST", 4)
    lines = [f"http://h{number % 11}.example/{number}" for number in range(60)]
    assert divided(lines, 3) == whole(lines)


def test_a_list_that_breaks_off_is_told_by_one_shard(tmp_path: Path) -> None:
    path = tmp_path / "torn.gz"
    lines = "".join(f"http://h{number}.example/{number}\n" for number in range(5_000))
    path.write_bytes(gzip.compress(lines.encode())[:-2_000])

    def read_by(number: int) -> list[lists.Read]:
        reader = ListReader([torn(path)], url_key, lambda: None)
        reader.start(Shard(number, 3))
        items: list[lists.Read] = []
        while not reader.exhausted:
            items += reader.take(100)
        assert reader.incomplete
        return items

    told = [item for number in range(3) for item in read_by(number)]
    assert sum(isinstance(item, Result) for item in told) == 1
    assert len({item.line for item in told if isinstance(item, Target)}) == len(told) - 1


def torn(path: Path) -> Source:
    (source,) = open_sources([str(path)], lambda _: pytest.fail("nothing is remote"))
    return source
