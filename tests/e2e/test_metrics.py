"""`--metrics` and `--metrics-port`, as a run is watched: while it goes, and when it has ended."""

import signal
import threading
import urllib.request
from typing import Any

import pytest

from tests.e2e.command import WAIT_S, Command
from tests.servers import HttpServer, Reply, Serve

parser: Any = pytest.importorskip("prometheus_client.parser")


def told(text: str) -> dict[str, float]:
    """The metrics, each with its own label, without that of the destination."""
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for one in family.samples:
            one.labels.pop("destination")
            found[" ".join([one.name, *one.labels.values()])] = one.value
    return found


def of_file(cli: Command) -> dict[str, float]:
    return told((cli.directory / "m.prom").read_text())


def asked(url: str) -> dict[str, float]:
    with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
        return told(answer.read().decode())


def test_a_run_with_processes_is_told_at_a_port_and_in_a_file(cli: Command, serve: Serve) -> None:
    server = serve({"/a": b"body", "/held": Reply(delay=threading.Event())})
    path = cli.write("list", f"{server.url}/a", f"{server.url}/status/404", f"{server.url}/held")
    words = ("-q", "--processes", "2", "--metrics", "m.prom", "--metrics-port", "0")
    with cli.start(path, *words) as process:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        assert line.startswith("metrics at http://127.0.0.1:")
        url = line.removeprefix("metrics at ").strip()
        server.wait_until(lambda: server.total >= 3)
        now = asked(url)
        assert now["scraper_running"] == 1
        assert of_file(cli)["scraper_running"] == 1
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(WAIT_S) == 143
    after = of_file(cli)
    assert after["scraper_running"] == 0
    assert after["scraper_last_exit_status"] == 143
    assert "scraper_last_success_timestamp_seconds" not in after
    assert (after["scraper_targets_total stored"], after["scraper_stored_bytes_total"]) == (1, 4)
    assert after["scraper_targets_total not_reached"] == 1
    assert after["scraper_failures_total 404 http_status"] == 1


def test_nights_from_cron(cli: Command, serve: Serve) -> None:
    server: HttpServer = serve({"/a": b"body"})
    path = cli.write("list", f"{server.url}/a")
    words = (path, "-q", "--metrics", "m.prom")
    assert cli(*words).status == 0
    first = of_file(cli)
    success = first["scraper_last_success_timestamp_seconds"]
    assert success == first["scraper_last_run_timestamp_seconds"]
    (cli.directory / "out/.scraper/manifest.jsonl").rename(cli.directory / "kept")
    (cli.directory / "out/.scraper/manifest.jsonl").mkdir()
    assert cli(*words).status == 3  # the destination is refused
    refused = of_file(cli)
    assert refused["scraper_last_exit_status"] == 3
    assert refused["scraper_last_success_timestamp_seconds"] == success
    assert refused["scraper_targets_total stored"] == 0
    assert cli("none.txt", *words[1:]).status == 2  # so is the list
    assert of_file(cli)["scraper_last_exit_status"] == 2
    assert cli(*words, "--rate", "-1").status == 2
    assert of_file(cli)["scraper_last_success_timestamp_seconds"] == success


def test_a_run_that_leaves_to_another_one_does_not_speak_for_it(cli: Command, serve: Serve) -> None:
    server = serve({"/held": Reply(delay=threading.Event()), "/a": b"a"})
    path = cli.write("list", f"{server.url}/held")
    with cli.start(path, "--metrics", "m.prom") as process:
        server.wait_until(lambda: server.total == 1)
        assert cli(f"{server.url}/a", "--metrics", "m.prom").status == 75
        assert of_file(cli)["scraper_running"] == 1
        assert "scraper_last_exit_status" not in of_file(cli)
        process.kill()
        process.communicate()


def test_shards_have_a_label(cli: Command, serve: Serve) -> None:
    server = serve({"/a": b"a"})
    cli(f"{server.url}/a", "--shard", "0/2", "--to", "d", "--metrics", "m.prom")
    text = (cli.directory / "m.prom").read_text()
    assert 'scraper_running{destination="d",shard="0/2"} 0.0' in text


def test_secrets_are_no_labels(cli: Command) -> None:
    ran = cli("http://127.0.0.1/", "--to", "gopher://me:secret@h/x", "--metrics", "m.prom")
    assert ran.status == 2
    text = (cli.directory / "m.prom").read_text()
    assert "secret" not in text
    assert "scraper_last_exit_status" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--metrics", "/dev/null"], "--metrics '/dev/null' is no file"),
        (["--metrics", "none/m.prom"], "--metrics 'none/m.prom': there is no directory"),
        (["--metrics-port", "65536"], "--metrics-port 65536 is not from 0 to 65535"),
        (["--metrics", "list"], "--metrics 'list' is a file of something else"),
    ],
)
def test_wrong_calls_are_one_line(words: list[str], said: str, cli: Command) -> None:
    path = cli.write("list", "http://127.0.0.1:9/")
    ran = cli(path, *words)
    assert ran.status == 2
    assert len(ran.complaints) == 1
    assert ran.errors[0].startswith(f"scraper: {said}")
    assert path.read_text() == "http://127.0.0.1:9/\n"


def test_a_port_that_is_taken_is_told_before_anything_is_fetched(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a": b"a"})
    port = server.url.rpartition(":")[2]
    ran = cli(f"{server.url}/a", "--metrics-port", port)
    assert (ran.status, ran.errors) == (
        2,
        [f"scraper: --metrics-port {port}: Address already in use"],
    )
    assert server.total == 0


def test_without_prometheus_client_the_command_says_what_to_install(cli: Command) -> None:
    cli.write("prometheus_client.py", "raise ImportError")
    ran = cli("http://127.0.0.1:9/", "--metrics", "m", env={"PYTHONPATH": str(cli.directory)})
    needs = "prometheus_client is missing: pip install 'scraper[metrics]'"
    assert (ran.status, ran.errors) == (2, [f"scraper: --metrics: {needs}"])
