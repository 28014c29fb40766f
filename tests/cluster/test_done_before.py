"""What the summary of a shard that was done says by now: the failures that its manifest has."""

import json
from collections.abc import Iterator
from typing import Any

from scraper.cluster.done_before import renewed

DONE, LATER = "20261128T191524.123Z-3f9a", "20261129T191524.123Z-77aa"


def line(name: str, status: str = "failed", run: str = DONE, number: int = 1) -> bytes:
    url = f"http://a.example/{name}"
    record: dict[str, Any] = {
        "url": url, "line": number, "source": "urls.txt", "key": f"a.example/{name}",
        "status": status, "attempts": 1, "run": run,
    }  # fmt: skip
    if status in {"failed", "deferred"}:
        record |= {"http_code": 500, "error": {"kind": "http_status", "message": "HTTP 500"}}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def summary(**statuses: int) -> dict[str, Any]:
    group = {"status": "failed", "kind": "http_status", "http_code": 500, "reason": "HTTP 500",
             "failures": 2, "hosts": 1, "urls": []}  # fmt: skip
    return {"run": DONE, "statuses": statuses, "failures": [group], "new_failures": [group],
            "failing_hosts": [], "slowest_hosts": []}  # fmt: skip


def told(done: dict[str, Any], *lines: bytes) -> tuple[dict[str, int], list[tuple[str, int]]]:
    def given() -> Iterator[bytes]:
        yield from lines

    found = renewed(done, given())
    groups = [(one["status"], one["failures"]) for one in found["failures"]]
    assert found["new_failures"] == []
    return {name: count for name, count in found["statuses"].items() if count}, groups


def test_what_a_later_run_has_stored_is_skipped() -> None:
    """It may have been killed: a record is enough."""
    lines = [line("a", "stored"), line("b", number=2), line("c", number=3)]
    done = summary(stored=1, failed=2)
    assert told(done, *lines) == ({"stored": 1, "failed": 2}, [("failed", 2)])
    lines.append(line("b", "stored", LATER, number=1))
    assert told(done, *lines) == ({"stored": 1, "failed": 1, "skipped": 1}, [("failed", 1)])
    lines.append(line("c", "deferred", LATER, number=2))
    assert told(done, *lines) == ({"stored": 1, "deferred": 1, "skipped": 1}, [("deferred", 1)])
    lines.append(line("c", "stored", LATER, number=2)[:-9])  # torn
    assert told(done, *lines)[0] == {"stored": 1, "deferred": 1, "skipped": 1}


def test_what_the_first_part_of_a_run_recorded_is_a_failure_still() -> None:
    """The second part, after a loss, has passed over it as told."""
    lines = [line("a"), line("b", "not_reached", number=2), line("b", "stored", number=2)]
    assert told(summary(stored=1, skipped=1), *lines) == (
        {"stored": 1, "failed": 1},
        [("failed", 1)],
    )


def test_what_an_earlier_run_recorded_says_nothing() -> None:
    lines = [line("a", "stored", "20261127T191524.123Z-0000"), line("a")]
    assert told(summary(failed=1), *lines)[0] == {"failed": 1}
