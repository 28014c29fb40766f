"""The file of the summary: whole or not at all, where it always lies, and what it keeps."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from scraper.model.errors import DestinationError
from scraper.report.summary_file import EARLIER, KEY, SummaryFile
from scraper.sinks.directory.sink import DirectorySink
from tests.planted import WHAT, plant, untouched


def made(to: Path) -> SummaryFile:
    sink = DirectorySink(to)
    sink.check()
    sink.close()
    return SummaryFile(sink, str(to))


def record(number: int) -> dict[str, Any]:
    return {"run": f"run-{number}", "version": "1", "statuses": {"stored": number}, "command": "x"}


def test_it_is_replaced_as_a_whole_and_keeps_its_permissions(tmp_path: Path) -> None:
    file, path = made(tmp_path), tmp_path / KEY
    assert file.place == str(path)
    before = os.umask(0o027)
    try:
        file.write(record(1))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    with open(path) as reader:  # a reader of the old one is not disturbed
        file.write(record(2))
        assert json.loads(reader.read()) == record(1)
    assert json.loads(path.read_text()) == record(2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert not path.with_name(f"{path.name}.new").exists()


def test_it_tells_of_the_last_few_runs_the_latest_first(tmp_path: Path) -> None:
    file = made(tmp_path)
    assert file.earlier() == ()
    for number in range(EARLIER + 5):
        file.write(record(number) | {"earlier_runs": [*file.earlier()]})
    told = file.earlier()
    assert [one["run"] for one in told] == [f"run-{14 - number}" for number in range(EARLIER)]
    assert all(one.keys() == {"run", "version", "statuses"} for one in told)


@pytest.mark.parametrize(
    "content",
    [b"", b"torn {", b"[]", b"null", b'{"run": 1, "earlier_runs": 7}', b"\xff", b"[" * 100_000],
)
def test_an_older_file_that_makes_no_sense_says_nothing(content: bytes, tmp_path: Path) -> None:
    file = made(tmp_path)
    (tmp_path / KEY).write_bytes(content)
    assert [one for one in file.earlier() if one != {"run": 1}] == []
    file.write(record(1))
    assert json.loads((tmp_path / KEY).read_text()) == record(1)


@pytest.mark.parametrize("name", [KEY, f"{KEY}.new"])
@pytest.mark.parametrize("what", WHAT)
def test_what_was_planted_is_refused_and_left_alone(what: str, name: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    file = made(tmp_path / "out")
    plant(what, tmp_path / "out" / name, elsewhere)
    with pytest.raises(DestinationError):
        file.check()
    assert file.earlier() == () or what == "hard link"
    if name == KEY:
        with pytest.raises(DestinationError):
            file.write(record(1))
    assert untouched(elsewhere)
    assert os.path.lexists(tmp_path / "out" / name)
