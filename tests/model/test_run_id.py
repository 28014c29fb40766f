"""The id of a run."""

import re
from datetime import UTC, datetime

from scraper.model.run_id import new_run_id


def test_it_begins_with_the_moment_in_utc_and_ends_with_chance() -> None:
    moment = datetime(2026, 11, 28, 19, 15, 24, 123_000, UTC).timestamp()
    ids = {new_run_id(moment) for _ in range(20)}
    assert len(ids) > 1
    assert all(re.fullmatch(r"20261128T191524\.123Z-[0-9a-f]{4}", one) for one in ids)


def test_ids_sort_by_time() -> None:
    ids = [new_run_id(moment) for moment in (0.0, 0.001, 9.0, 10.0, 1e9, 1.8e9)]
    assert ids == sorted(ids)
    assert {len(one) for one in ids} == {len(ids[0])}
