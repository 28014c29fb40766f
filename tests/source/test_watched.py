"""Lists that change while they are read: said at the end, if what was read is not one list."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scraper.model.errors import ListChanged
from scraper.source.sources import open_sources

LINES = [f"http://host/{number:06}\n" for number in range(20_000)]  # more than is read at once


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "list"
    made.write_text("".join(LINES))
    os.utime(made, (1, 1))  # a change in the same tick of the clock shows
    return made


def lines_while(change: Callable[[Path], object], path: Path) -> list[str]:
    """The lines of the list, which is changed after its first one."""
    (source,) = open_sources([str(path)], lambda _: pytest.fail("nothing is remote"))
    reading = source.open()
    first = next(reading)
    change(path)
    return [line.decode() for line in (first, *reading)]


def appended(path: Path) -> None:
    with open(path, "a") as file:
        file.write("http://host/more\n")


def replaced(path: Path) -> None:
    new = path.with_name("new")
    new.write_text("http://other/\n")
    new.replace(path)


def touched(path: Path) -> None:
    path.chmod(0o600)
    os.utime(path)


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [appended, replaced, touched, removed])
def test_what_leaves_the_lines_as_they_were_is_fine(
    path: Path, change: Callable[[Path], None]
) -> None:
    more = ["http://host/more\n"] if change is appended else []
    assert lines_while(change, path) == [*LINES, *more]


def in_place(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda path: os.truncate(path, 100_000), "cut short"),
        (in_place("http://other/\n"), "cut short"),
        (in_place("".join(reversed(LINES))), "rewritten"),
        (in_place("".join(["http://host/new\n", *LINES])), "rewritten"),
    ],
    ids=["cut", "shorter", "as long", "longer"],
)
def test_what_mixes_two_lists_is_said(
    path: Path, change: Callable[[Path], object], how: str
) -> None:
    with pytest.raises(ListChanged, match=f"list '{path}' was {how} while it was read"):
        lines_while(change, path)


def test_a_gzip_file_is_compared_as_it_is_on_the_disk(path: Path) -> None:
    path.write_bytes(gzip.compress("".join(LINES).encode()))
    assert lines_while(touched, path) == LINES


def test_a_list_whose_reading_was_given_up_says_nothing(path: Path) -> None:
    (source,) = open_sources([str(path)], lambda _: pytest.fail("nothing is remote"))
    reading = source.open()
    next(reading)
    os.truncate(path, 0)
    reading.close()
