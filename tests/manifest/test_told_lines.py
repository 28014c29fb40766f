"""The lines that a run has recorded before it was begun again."""

import json
from typing import Any

from scraper.manifest.told_lines import ToldLines
from scraper.model.records import Skipped, Target

RUN = "20261128T191524.123Z-3f9a"


def line(number: int, status: str, run: str = RUN, source: str = "a") -> bytes:
    record: dict[str, Any] = {"line": number, "source": source, "status": status, "run": run}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def target(number: int, source: str = "a") -> Target:
    return Target("http://h/", "http://h/", "h", "k", number, source)


def test_only_final_lines_of_this_run_are_told() -> None:
    lines = [
        line(1, "stored"),
        line(2, "failed"),
        line(3, "not_reached"),
        line(4, "stored", "another"),
        line(5, "not_reached"),
        line(5, "stored"),
        line(6, "stored", source="b"),
        line(700, "duplicate"),
        line(8, "stored")[:-9],
    ]
    told = ToldLines(lines, RUN)
    assert [number for number in range(1, 800) if told.has(target(number))] == [1, 2, 5, 700]
    assert told.has(target(6, "b"))
    decisions = told.over([target(1), target(3)], [None, None])
    assert isinstance(decisions[0], Skipped)
    assert decisions[1] is None
