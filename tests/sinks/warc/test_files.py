"""Files of an archive that lies in a store, copied here to be read."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from scraper.sinks.base import SinkOptions
from scraper.sinks.directory import open_sink
from scraper.sinks.warc.files import StoredFiles
from scraper.testing import store


def test_a_copy_stays_until_it_is_open_however_many_are_read(tmp_path: Path) -> None:
    inner = open_sink(str(tmp_path / "store"), SinkOptions())
    inner.check()
    names = [f"{number}.warc.gz" for number in range(12)]  # more than copies are kept
    for name in names:
        store(inner, name, name.encode())
    (tmp_path / "here").mkdir()
    numbers = count()
    files = StoredFiles(tmp_path / "here", inner, lambda: tmp_path / f"copy-{next(numbers)}")

    def read(name: str) -> bytes:
        with files.opened(name) as file:
            return file.read()

    asked = names * 200
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(read, asked)) == [name.encode() for name in asked]
    inner.close()
