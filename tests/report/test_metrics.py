"""What Prometheus is told: names, labels, and what is kept from run to run."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scraper.model.errors import Kind, UsageError
from scraper.model.records import STATUSES, Failed, Failure, Result, Target
from scraper.report.metrics import LastRun, RunMetrics
from scraper.report.metrics_outputs import MetricsFile, MetricsPort, Writer, registry_of
from scraper.report.snapshot import Load
from scraper.report.tally import Tally

parser: Any = pytest.importorskip("prometheus_client.parser")
LABELS = {"destination": 's3://b/"{date}"\\x'}


class Run:
    """A run that is measured."""

    def __init__(self) -> None:
        self.tally = Tally()

    def load(self) -> Load:
        """Busy."""
        return Load(3, 20, {"paused": 2, "": 9}, is_refused=True)


def failed(kind: Kind, code: int | None = None) -> Result:
    target = Target("http://h/", "http://h/", "k", "h", 1, "l")
    return Result(target, Failed(Failure(kind, "x", http_code=code)), 1)


def samples(path: Path) -> dict[tuple[str, tuple[str, ...]], float]:
    """All of them, without the labels of the run."""

    def all_of() -> Iterator[tuple[tuple[str, tuple[str, ...]], float]]:
        for family in parser.text_string_to_metric_families(path.read_text(encoding="utf-8")):
            for one in family.samples:
                own = {name: one.labels[name] for name in one.labels if name not in LABELS}
                assert {name: one.labels[name] for name in LABELS} == LABELS
                yield (one.name, tuple(own.values())), one.value

    return dict(all_of())


def written(metrics: RunMetrics, path: Path) -> dict[tuple[str, tuple[str, ...]], float]:
    MetricsFile(str(path)).write(registry_of(metrics))
    return samples(path)


def test_a_run_is_told_while_it_goes_and_when_it_has_ended(tmp_path: Path) -> None:
    metrics, run, path = RunMetrics(LABELS, LastRun(1, 2.0, None)), Run(), tmp_path / "m.prom"
    before = written(metrics, path)
    assert before["scraper_running", ()] == before["scraper_transfers_in_flight", ()] == 0
    metrics.watch(run)
    for one in (failed(Kind.HTTP_STATUS, 404), failed(Kind.HTTP_STATUS, 999), failed(Kind.DNS)):
        run.tally(one)
        metrics(one)
    for event in ("retry", "retry", "wait", "host_up", "proxy_down"):
        metrics.note(event)
    told = written(metrics, path)
    assert {
        name: told[name, ()]
        for name in (
            *("scraper_running", "scraper_transfers_in_flight", "scraper_targets_waiting"),
            *("scraper_retries_total", "scraper_destination_refusing"),
            *("scraper_last_exit_status", "scraper_last_run_timestamp_seconds"),
        )
    } == {
        "scraper_running": 1,
        "scraper_transfers_in_flight": 3,
        "scraper_targets_waiting": 20,
        "scraper_retries_total": 2,
        "scraper_destination_refusing": 1,
        "scraper_last_exit_status": 1,
        "scraper_last_run_timestamp_seconds": 2,
    }
    for status in STATUSES.values():
        count = told["scraper_targets_total", (status,)]
        assert count == (3 if status == "failed" else 0)
    failures = {key: count for (name, key), count in told.items() if "failures" in name and count}
    assert failures == {("404", "http_status"): 1, ("other", "http_status"): 1, ("", "dns"): 1}
    assert told["scraper_host_pauses_total", ("retry_after",)] == 1
    assert told["scraper_host_pauses_total", ("proxy_down",)] == 1
    assert told["scraper_hosts_waiting", ("paused",)] == 2
    metrics.end(0, 10.0)
    told = written(metrics, path)
    assert told["scraper_running", ()] == told["scraper_transfers_in_flight", ()] == 0
    assert told["scraper_last_exit_status", ()] == 0
    assert told["scraper_last_success_timestamp_seconds", ()] == 10.0
    assert told["scraper_targets_total", ("failed",)] == 3


def test_the_last_success_outlives_runs_that_fail(tmp_path: Path) -> None:
    path = tmp_path / "m.prom"
    for status, at in ((0, 1.5e9), (3, 1.6e9), (143, 1.7e9)):
        metrics = RunMetrics(LABELS, MetricsFile(str(path)).last_run(LABELS))
        metrics.end(status, at)
        written(metrics, path)
    assert MetricsFile(str(path)).last_run(LABELS) == LastRun(143, 1.7e9, 1.5e9)
    assert MetricsFile(str(path)).last_run({"destination": "other"}) == LastRun()


@pytest.mark.parametrize(
    "garbage",
    [b"", b"# HELP \xff\xfe", b"# HELP a b\nscraper_last_exit_status{", b"# HELP a b\na b c d\n"],
)
def test_metrics_that_are_torn_are_replaced(garbage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.prom"
    path.write_bytes(garbage)
    assert MetricsFile(str(path)).last_run(LABELS) == LastRun()
    assert written(RunMetrics(LABELS, LastRun()), path)["scraper_running", ()] == 0
    assert os.listdir(tmp_path) == ["m.prom"]


def test_promtool_finds_nothing_to_improve(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing (Debian: prometheus)")
    metrics = RunMetrics({**LABELS, "shard": "0/2"}, LastRun(0, 1.0, 1.0))
    metrics.watch(Run())
    metrics(failed(Kind.HTTP_STATUS, 404))
    path = tmp_path / "m.prom"
    MetricsFile(str(path)).write(registry_of(metrics))
    with path.open("rb") as file:
        ran = subprocess.run(
            ["promtool", "check", "metrics"], stdin=file, capture_output=True, check=False
        )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def test_a_file_that_can_not_be_written_later_is_told_once(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    file, said = MetricsFile(str(directory / "m.prom")), list[str]()
    directory.rmdir()
    with Writer(file, registry_of(RunMetrics(LABELS, LastRun())), said.append) as writer:
        writer.write()
    assert said == ["--metrics: not written: No such file or directory"]


@pytest.mark.parametrize("path", ["", "/dev/null", ".", "none/m.prom", "a\0b"])
def test_what_can_not_be_such_a_file_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="--metrics '"):
        MetricsFile(path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("http://h/\n")
    with pytest.raises(UsageError, match="is a file of something else"):
        MetricsFile(str(path))


def test_a_port_that_is_taken_is_refused() -> None:
    registry = registry_of(RunMetrics(LABELS, LastRun()))
    first = MetricsPort(0, registry)
    try:
        port = int(first.url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(UsageError, match=f"--metrics-port {port}: Address already in use"):
            MetricsPort(port, registry)
    finally:
        first.close()


def test_promtool_takes_the_alert_rules_of_the_docs(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing (Debian: prometheus)")
    page = (Path(__file__).parent.parent.parent / "docs/metrics.md").read_text(encoding="utf-8")
    rules = tmp_path / "rules.yml"
    rules.write_text("groups:" + page.partition("```text\ngroups:")[2].partition("```")[0])
    ran = subprocess.run(
        ["promtool", "check", "rules", rules], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert "4 rules found" in ran.stdout
