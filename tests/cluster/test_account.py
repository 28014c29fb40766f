"""The account of all shards: the sum of what they left, also where a run of one was lost."""

import json
from typing import Any

from scraper.cluster.account import Account
from scraper.report.summary import Ending, Places

RUN = "20261128T191524.123Z-3f9a"


def summary(run: str = RUN, **statuses: int) -> dict[str, Any]:
    failed = statuses.get("failed", 0)
    group = {"status": "failed", "kind": "dns", "reason": "no such name", "failures": failed,
             "hosts": 1, "urls": ["http://a/"]}  # fmt: skip
    return {
        "run": run,
        "statuses": statuses,
        "tried": statuses.get("stored", 0) + failed,
        "attempts": 2 * failed + statuses.get("stored", 0),
        "bytes": 10 * statuses.get("stored", 0),
        "failures": [group] if failed else [],
        "failing_hosts": [{"host": "a", "failures": failed}] if failed else [],
        "slowest_hosts": [{"host": "b", "mean_s": 0.5, "attempts": 2}],
    }


def told(account: Account) -> dict[str, Any]:
    ended = account.summary(0.0, 1.0, Ending(0), Places("out", "manifest"))
    return {**ended.as_record(), "statuses": {k: v for k, v in ended.statuses.items() if v}}


def line(number: int, status: str = "stored", run: str = RUN, **fields: Any) -> bytes:
    record = {"url": f"http://a/{number}", "line": number, "source": "urls.txt", "key": "k",
              "status": status, "attempts": 1, "size": 10, "run": run, **fields}  # fmt: skip
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def test_shards_are_added_up() -> None:
    account = Account(RUN)
    account.add(summary(stored=3, failed=2))
    account.add(summary(stored=4, skipped=1, failed=1))
    record = told(account)
    assert record["statuses"] == {"stored": 7, "failed": 3, "skipped": 1}
    assert (record["tried"], record["attempts"], record["bytes"]) == (10, 13, 70)
    (group,) = record["failures"]
    assert (group["failures"], group["hosts"]) == (3, 2)
    assert record["errors"] == {"dns": 3}
    assert [one["failures"] for one in record["failing_hosts"]] == [2, 1]


def test_what_an_earlier_coordinator_stored_is_skipped() -> None:
    account = Account(RUN)
    account.add(summary("another", stored=3, not_modified=1, failed=1))
    record = told(account)
    assert record["statuses"] == {"skipped": 4, "failed": 1}
    assert (record["tried"], record["bytes"]) == (0, 0)


def test_a_shard_that_was_begun_twice_is_told_by_its_manifest() -> None:
    error = {"kind": "interrupted", "message": "the worker ended"}
    lines = [
        line(1, run="another"),
        line(1),
        line(2),
        line(3, "not_reached", error=error),
        line(4, "failed", error={"kind": "http_status", "message": "HTTP 404"}, http_code=404),
        line(3),
        line(5),
        line(6)[:30],  # torn off by a kill
    ]
    account = Account(RUN)
    account.add_records(lines, summary(stored=2, skipped=4, failed=0))
    record = told(account)
    assert record["statuses"] == {"stored": 4, "failed": 1, "skipped": 1}
    assert (record["tried"], record["attempts"], record["bytes"]) == (5, 5, 40)
    assert record["http_codes"] == {"404": 1}


def test_reasons_stay_few() -> None:
    account = Account(RUN)
    for number in range(20):
        one = summary(failed=1)
        one["failures"][0] |= {"reason": f"reason {number}"}
        account.add(one)
    record = told(account)
    assert len(record["failures"]) == 9
    assert sum(one["failures"] for one in record["failures"]) == 20
    assert record["errors"] == {"dns": 20}
