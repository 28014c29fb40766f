"""Which run was the last, and which records are of runs at all."""

from collections.abc import Callable, Iterator

import orjson

from scraper.manifest.run_records import last_run, records_of_run, run_records

PRUNED = {"url": "http://h/", "key": "k", "status": "pruned", "run": "p"}


def manifest(*records: object) -> Callable[[], Iterator[bytes]]:
    lines = [orjson.dumps(one) + b"\n" for one in records]
    return lambda: iter(lines)


def of(run: str) -> dict[str, object]:
    return {"url": "http://h/", "key": "k", "status": "stored", "run": run}


def test_the_last_run_is_that_of_the_last_fetch() -> None:
    assert last_run(manifest()) is None
    assert last_run(manifest(of("a"), of("b"), PRUNED)) == "b"
    assert last_run(manifest(of("a"), of("b"), *[PRUNED] * 3_000)) == "b"
    assert last_run(manifest(*[PRUNED] * 3_000)) is None


def test_what_is_no_record_is_passed_over() -> None:
    lines = [b"{}\n", b"[]\n", b"torn", b"\xff\n", b'{"url": 5, "key": []}\n', b"null\n"]
    found = [(identity is None, one) for identity, one in run_records(iter(lines))]
    assert all(is_none for is_none, _ in found)
    ((identity, record),) = run_records(manifest(of("a"), PRUNED)())
    assert isinstance(identity, int)
    assert record["run"] == "a"


def test_of_one_run_whatever_else_names_it() -> None:
    lines = [b'{"run": "a", "line": 1}\n', b'{"run": "b"}\n', b'["a"]\n', b'{"run": "a", "li']
    lines.append(b'{"run": "c", "key": "a"}\n')
    assert list(records_of_run(lines, "a")) == [{"run": "a", "line": 1}]
