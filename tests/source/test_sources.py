"""Sources of lists: files, gzip, URLs, iterables, pipes, stdin; opened and read lazily."""

import gzip
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scraper.model.errors import ListError
from scraper.model.records import Target
from scraper.source import keys, lists
from scraper.source.sources import RemoteList, Source, from_iterable, open_sources
from tests.lists import never, only, read, read_file, seen, target

# ---------------------------------------------------------------- opening


def test_a_list_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ListError, match=r"missing\.txt.*No such file"):
        open_sources([str(tmp_path / "missing.txt")], never)
    with pytest.raises(ListError, match="directory"):
        open_sources([str(tmp_path)], never)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_list_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "locked.txt"
    path.write_bytes(b"http://a/\n")
    path.chmod(0)
    with pytest.raises(ListError, match=r"locked\.txt.*Permission"):
        open_sources([str(path)], never)


def test_every_list_is_opened_before_the_first_is_read(tmp_path: Path) -> None:
    path = tmp_path / "there.txt"
    path.write_bytes(b"http://a/\n")
    with pytest.raises(ListError, match="missing"):
        open_sources([str(path), str(tmp_path / "missing.txt")], never)


def test_a_list_that_vanishes_between_check_and_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.txt"
    path.write_bytes(b"http://a/\n")
    (source,) = open_sources([str(path)], never)
    path.unlink()
    with pytest.raises(ListError, match=r"gone\.txt"):
        read(source)


def test_the_size_of_a_plain_file_is_known_and_of_others_not(tmp_path: Path) -> None:
    plain, zipped = tmp_path / "plain", tmp_path / "zipped"
    plain.write_bytes(b"http://a/\n")
    zipped.write_bytes(gzip.compress(b"http://a/\n"))
    sources = open_sources([str(plain), str(zipped)], never)
    assert [source.size for source in sources] == [10, None]


def many_lines(count: int) -> bytes:
    return b"".join(b"http://a/%d/%x\n" % (number, hash(number * 7919)) for number in range(count))


def test_a_torn_gzip_list_gives_what_it_had_and_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "torn.gz"
    path.write_bytes(gzip.compress(many_lines(50_000))[:-2000])
    (source,) = open_sources([str(path)], never)
    items: list[lists.Read] = []
    with pytest.raises(ListError, match=r"torn\.gz.*broke off"):
        items.extend(lists.read(source, keys.url_key))
    assert len(items) > 1000


def test_a_spoiled_gzip_list_says_so(tmp_path: Path) -> None:
    raw = bytearray(gzip.compress(many_lines(50_000)))
    raw[len(raw) // 2 : len(raw) // 2 + 100] = b"\xff" * 100
    path = tmp_path / "spoiled.gz"
    path.write_bytes(raw)
    (source,) = open_sources([str(path)], never)
    with pytest.raises(ListError, match=r"spoiled\.gz.*broke off"):
        read(source)


def test_gzip_that_is_spoiled_from_its_start_is_known_before_anything_starts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "spoiled.gz"
    for raw in (
        b"\x1f\x8b",
        b"\x1f\x8b\x08",
        b"\x1f\x8bnot gzip at all",
        b"\x1f\x8b\x08" + b"\xff" * 99,
    ):
        path.write_bytes(raw)
        with pytest.raises(ListError, match=r"spoiled\.gz"):
            open_sources([str(path)], never)


def test_gzip_members_one_after_the_other_are_one_list(tmp_path: Path) -> None:
    content = gzip.compress(b"http://a/1\nhttp") + gzip.compress(b"://a/2\n")
    assert seen(read_file(tmp_path / "l", content)) == [(1, "http://a/1"), (2, "http://a/2")]


@pytest.mark.parametrize(
    "url", ["https://h/urls.txt", "S3://bucket/urls.txt", "http://h/l.csv?v=1"]
)
def test_a_list_may_be_at_a_url(url: str) -> None:
    asked = []

    def opener(name: str) -> RemoteList:
        asked.append(name)
        return RemoteList(io.BytesIO(b"url\nhttp://a/2\n" if ".csv" in name else b"\nhttp://a/2\n"))

    (source,) = open_sources([url], opener)
    assert asked == [url]
    assert seen(read(source)) == [(2, "http://a/2")]
    assert only(read(source)).source == url


def test_a_list_at_a_url_is_named_without_its_secrets() -> None:
    zipped = io.BytesIO(gzip.compress(b"http://a/\n"))
    (source,) = open_sources(["https://u:hunter2@h/l.gz?sig=hunter2"], lambda _: RemoteList(zipped))
    assert "hunter2" not in only(read(source)).source


def test_what_a_callers_iterable_raises_comes_as_it_is() -> None:
    def broken() -> Iterator[str]:
        yield "http://a/1"
        raise ConnectionResetError("theirs")

    items = lists.read(from_iterable(broken()), keys.url_key)
    assert target(next(items)).line == 1
    with pytest.raises(ConnectionResetError, match="theirs"):
        next(items)


def test_a_callers_iterable_is_taken_lazily() -> None:
    taken = []

    def endless() -> Iterator[str]:
        while True:
            taken.append(1)
            yield f"http://a/{len(taken)}"

    items = lists.read(from_iterable(endless()), keys.url_key)
    assert target(next(items)).line == 1
    assert len(taken) == 1


# ---------------------------------------------------------------- pipes


class Pipe:
    """A pipe whose writer is ours, and its reading end as a path."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        self.path = f"/dev/fd/{self.reader}"

    def write(self, data: bytes) -> None:
        os.write(self._writer, data)

    def close(self) -> None:
        os.close(self._writer)
        os.close(self.reader)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def first_of(source: Source) -> Target:
    return target(next(iter(lists.read(source, keys.url_key))))


@pytest.mark.timeout(30)
def test_the_first_target_of_a_pipe_comes_while_its_writer_holds_it_open(pipe: Pipe) -> None:
    (source,) = open_sources([pipe.path], never)
    pipe.write(b"http://a/1\n")
    assert first_of(source).listed == "http://a/1"


@pytest.mark.timeout(30)
def test_the_first_target_of_a_gzip_pipe_comes_while_its_writer_holds_it_open(
    pipe: Pipe,
) -> None:
    (source,) = open_sources([pipe.path], never)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as zipped:
        zipped.write(b"http://a/1\n")
        zipped.flush()
        pipe.write(buffer.getvalue())
        assert first_of(source).listed == "http://a/1"


@pytest.mark.timeout(30)
def test_a_gzip_pipe_that_begins_with_one_byte_is_still_gzip(pipe: Pipe) -> None:
    (source,) = open_sources([pipe.path], never)
    found: list[Target] = []
    pipe.write(b"\x1f")
    reader = threading.Thread(target=lambda: found.append(first_of(source)))
    reader.start()
    pipe.write(gzip.compress(b"http://a/1\n")[1:])
    reader.join()
    assert [item.listed for item in found] == ["http://a/1"]


@pytest.mark.timeout(30)
def test_looking_at_a_pipe_that_says_nothing_yet_does_not_wait(pipe: Pipe, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.csv"
    os.mkfifo(fifo)
    assert len(open_sources([pipe.path, str(fifo)], never)) == 2


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["fifo", "fifo.csv"])
def test_no_line_of_a_named_pipe_is_lost_by_looking_at_it(tmp_path: Path, name: str) -> None:
    fifo = tmp_path / name
    os.mkfifo(fifo)
    (source,) = open_sources([str(fifo)], never)
    writer = threading.Thread(target=fifo.write_bytes, args=(b"url\nhttp://a/2\nhttp://a/3\n",))
    writer.start()
    numbers = [line for line, _ in seen(read(source))]
    writer.join()
    assert numbers == ([2, 3] if name.endswith("csv") else [1, 2, 3])


def test_a_named_pipe_of_a_table_without_urls_breaks_the_run_with_its_name(
    tmp_path: Path,
) -> None:
    fifo = tmp_path / "fifo.csv"
    os.mkfifo(fifo)
    (source,) = open_sources([str(fifo)], never)
    writer = threading.Thread(target=fifo.write_bytes, args=(b"link\nhttp://a/2\n",))
    writer.start()
    with pytest.raises(ListError, match=r"fifo\.csv"):
        read(source)
    writer.join()


STDIN = """
from scraper.source import keys, lists
from scraper.source.sources import open_sources
(source,) = open_sources(["-"], None)
for item in lists.read(source, keys.url_key):
    print(item.source, item.line, item.listed, flush=True)
"""


@pytest.mark.timeout(60)
def test_stdin_is_read_line_by_line_as_it_comes() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STDIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        for number in (1, 2):
            process.stdin.write(b"http://a/%d\n" % number)
            process.stdin.flush()
            assert process.stdout.readline() == b"- %d http://a/%d\n" % (number, number)
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait() == 0


def test_a_stdin_that_is_closed_is_a_list_that_cannot_be_opened() -> None:
    command = ["sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, STDIN]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ListError: can't read the list '-'" in ended.stderr
