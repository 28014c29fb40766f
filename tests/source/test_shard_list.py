"""Lists of shards: what a shard reads there is what it would find in the whole list."""

import gzip
from collections.abc import Callable, Generator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import pytest

from scraper.model.errors import ListError
from scraper.model.records import Target
from scraper.model.shards import Division, Shard
from scraper.source import lists
from scraper.source.grammar import Grammar, grammar_of
from scraper.source.keys import KeyRule, hash_key, url_key
from scraper.source.lists import Read
from scraper.source.shard_buffers import BUFFER_BYTES
from scraper.source.shard_filter import ShardFilter
from scraper.source.shard_list import ShardLists, read_shard_list
from scraper.source.sources import Source, file_source, from_words
from scraper.source.spooled import digest_of, spooled

SHARDS = 3
DIVISION = Division({"b.example": 2}, [0, 1, 2, 0])
LINES = [
    *(f"http://{host}.example/{page}" for page in range(4) for host in "abcdefgh"),
    "",
    "# a comment",
    "no url",
    "http://a.example:x/",
    "http://a.example/\x00",
    "HTTP://B.example/Upper?q=1",
    "http://b.example:80/port  ",
    "http://b.example/key\tb.example/mine",
    "http://b.example/two\ttabs\there",
    "http://c.example/x\tanother.example/mine",
    "http://me:secret@d.example/",
    "http://d.example/?token=s3cr3t",
    '{"url": "http://e.example/", "headers": {"X": "y"}, "size": 7, "sha256": "' + "0" * 64 + '"}',
    '{"urls": ["http://f.example/1", "http://g.example/1"]}',
    "http://h.example/" + "x" * 70_000,
    "http://a.example/b\u00fccher",
]


def divided(
    sources: Sequence[Source], rule: KeyRule, most: int = BUFFER_BYTES
) -> tuple[ShardLists, Mapping[int, bytes]]:
    kept: dict[int, bytes] = {}

    def keep(shard: int, data: bytes) -> None:
        kept[shard] = kept.get(shard, b"") + data

    found = ShardLists(DIVISION, SHARDS, rule, keep, most=most)
    for source in sources:
        found.read(source)
    found.finish()
    return found, kept


def opened(data: bytes) -> Callable[[], Generator[bytes, None, None]]:
    def lines() -> Generator[bytes, None, None]:
        yield from gzip.GzipFile(fileobj=BytesIO(data))

    return lines


def facts(items: Sequence[Read]) -> list[tuple[object, ...]]:
    return [(*one,) if isinstance(one, Target) else (*one.target, one.failure) for one in items]


def written(path: Path, *text: str) -> Path:
    path.write_bytes("".join(f"{line}\n" for line in text).encode("utf-8", "surrogateescape"))
    return path


def sources_of(directory: Path) -> list[Source]:
    plain = written(directory / "urls.txt", *LINES)
    with plain.open("ab") as file:
        file.write(b"http://a.example/\xff\n")
    table = written(
        directory / "t.csv",
        "url,key",
        "http://a.example/t,",
        "no,",
        "http://b.example/t,b.example/k",
    )
    sitemap = written(
        directory / "s.xml",
        "<urlset><url><loc>http://c.example/s</loc><lastmod>2026-01-02</lastmod></url></urlset>",
    )
    words = from_words(["http://d.example/w", "http://e.example/w"], "arguments")
    return [*(file_source(str(one), Grammar()) for one in (plain, table, sitemap)), words]


@pytest.mark.parametrize("rule", [url_key, hash_key])
def test_a_shard_reads_what_it_would_find_in_the_whole_list(tmp_path: Path, rule: KeyRule) -> None:
    sources = sources_of(tmp_path)
    found, kept = divided(sources, rule)
    total = 0
    for number in range(SHARDS):
        shard = Shard(number, SHARDS, DIVISION)
        whole = [item for source in sources for item in ShardFilter(shard, rule).read(source)]
        own = Source("own", opened(kept[number]), of_shard=True)
        assert facts([*ShardFilter(shard, rule).read(own)]) == facts(whole)
        total += len(whole)
    everything = [item for source in sources for item in lists.read(source, rule)]
    assert total == len(everything)
    assert found.secret.endswith("urls.txt:43")
    assert sum(found.lines) >= total


def test_memory_is_bounded_and_members_follow_each_other(tmp_path: Path) -> None:
    sources = sources_of(tmp_path)
    _, whole = divided(sources, url_key)
    _, pieces = divided(sources, url_key, most=200)
    for number in range(SHARDS):
        assert [*opened(pieces[number])()] == [*opened(whole[number])()]
        assert pieces[number].count(b"\x1f\x8b\x08") > 1


@pytest.mark.parametrize("text", [b"x\n", b"={\n", b'1\t{"url"\n', b"=[]\n"])
def test_what_is_no_list_of_a_shard_is_an_error(text: bytes) -> None:
    source = Source("own", lambda: (line for line in [text]), of_shard=True)
    with pytest.raises(ListError):
        list(read_shard_list(source, url_key))


@pytest.mark.parametrize(
    ("text", "name"),
    [("http://a.example/\nhttp://b.example/", "urls"), ("url,key\nhttp://a.example/,", "csv"),
     ("<urlset><url><loc>http://c.example/s</loc></url></urlset>", "sitemap")],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the file stays
def test_a_pipe_is_read_twice(tmp_path: Path, text: str, name: str) -> None:
    path = written(tmp_path / name, text)
    once = file_source(str(path), grammar_of())._replace(unseen=True, format=None)
    whole = facts([*lists.read(once, url_key)])
    kept = spooled(once)
    path.unlink()
    for _ in range(2):
        assert facts([*lists.read(kept, url_key)]) == whole
    assert digest_of([kept]) == digest_of([kept])
    assert digest_of([kept]) != digest_of([kept._replace(name="another")])
