"""`--cluster`: shards that workers run are as one run, whatever is killed meanwhile."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import psutil
import pytest

from tests.e2e.command import Command
from tests.e2e.dask import Cluster
from tests.e2e.places import Directory, Place
from tests.e2e.twelve_hosts import HOSTS, twelve_hosts
from tests.servers import HttpFarm, Reply, Request

_PAGES = 6  # of each host
_LATER = {f"/{page}" for page in range(_PAGES // 2, _PAGES)}
SAME = ("line", "source", "url", "key", "status", "size", "sha256", "of_line")


@pytest.fixture
def site() -> Iterator[HttpFarm]:
    with twelve_hosts() as farm:
        yield farm


def write_list(cli: Command, site: HttpFarm) -> list[str]:
    origins = [f"http://{host}:{site.port}" for host in HOSTS]
    pages = [f"{origin}/a/{page}.html" for page in range(5) for origin in origins]
    odd = ["no url", "# a comment", f"{origins[2]}/gone", f"{origins[0]}:x/"]
    lines = [*pages, *odd, *pages[:5], f'{{"url": "{origins[5]}/json?q=1"}}']
    cli.write("urls.txt", *lines)
    return lines


def account(records: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.dumps({name: one.get(name) for name in SAME}) for one in records)


def records_of(cli: Command, to: str) -> list[dict[str, Any]]:
    """The last record of each line, of all shards."""
    found = {}
    for path in (cli.directory / to).glob(".scraper/**/manifest.jsonl"):
        for line in path.read_text().splitlines():
            one = json.loads(line)
            found[one["line"]] = one
    return [*found.values()]


def summary_of(cli: Command, to: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cli.directory / to / ".scraper/summary.json").read_text())
    return found


def objects(cli: Command, to: str) -> dict[str, bytes]:
    return {key: body for key, body in cli.files(to).items() if not key.startswith(".scraper/")}


def test_workers_on_this_machine_are_as_one_run(cli: Command, site: HttpFarm) -> None:
    write_list(cli, site)
    words = ("urls.txt", "--retries", 0, "-q")
    whole = cli(*words, "--to", "one")
    asked = Counter(site.hits)
    site.hits.clear()
    ran = cli(*words, "--to", "many", "--cluster", "local:2")
    assert ran.status == whole.status == 1
    assert "69 targets: 61 stored, 5 duplicate, 3 failed in " in ran.err
    assert "69 targets: 61 stored, 5 duplicate, 3 failed in " in whole.err
    assert site.hits == asked
    assert objects(cli, "many") == objects(cli, "one")
    assert account(records_of(cli, "many")) == account(records_of(cli, "one"))
    one, many = summary_of(cli, "one"), summary_of(cli, "many")
    for name in ("statuses", "tried", "attempts", "bytes", "errors", "http_codes", "exit_status"):
        assert many[name] == one[name], name
    status = cli("status", "many")
    assert "done" in status.out


@pytest.mark.slow
def test_a_scheduler_and_workers(cli: Command, site: HttpFarm) -> None:
    write_list(cli, site)
    with Cluster(cli) as cluster:
        cluster.worker(2)
        cluster.worker(2)
        ran = cli("urls.txt", "--retries", 0, "--to", "many", "--cluster", cluster.url)
        assert ran.status == 1, ran.err + cluster.logs()
    assert summary_of(cli, "many")["statuses"]["stored"] == 61


class Gate:
    """Requests for the later half of each host's pages wait until the gate is opened.

    So each shard that is open comes to have as many in flight as its hosts allow.
    """

    def __init__(self, site: HttpFarm) -> None:
        self._opened = threading.Event()
        self._answer = site.handler
        site.handler = self

    def __call__(self, request: Request) -> Reply | None:
        if request.path in _LATER:
            assert self._opened.wait(100)
        return self._answer(request)

    def open(self) -> None:
        self._opened.set()


def write_pages(cli: Command, site: HttpFarm, pages: int = _PAGES) -> int:
    cli.write("urls.txt", *(f"{url}/{page}" for page in range(pages) for url in site.urls))
    return pages * len(site.urls)


WORDS = ("urls.txt", "--per-host", "2", "--no-refresh", "--retries", "2", "--to", "out")


def test_a_killed_worker_costs_what_was_in_flight(cli: Command, site: HttpFarm) -> None:
    count, gate = write_pages(cli, site), Gate(site)
    with Cluster(cli) as cluster:
        first, _ = cluster.worker(2), cluster.worker(2)
        cluster.wait_for_workers(2)
        with cli.start(*WORDS, "--cluster", cluster.url) as process:
            site.wait_until(lambda: site.in_flight > 4)  # of both workers
            lost = site.in_flight
            first.kill()
            first.wait()
            gate.open()
            ran = cli.ended(process)
    assert ran.status == 0, ran.err
    told = summary_of(cli, "out")
    assert told["statuses"]["stored"] == count == told["targets"]
    assert told["bytes"] == sum(map(len, objects(cli, "out").values()))
    assert len(objects(cli, "out")) == count
    assert count < site.total <= count + lost
    assert max(site.max_in_flight_by_host.values()) <= 2


@pytest.mark.parametrize("nanny", [False, True])
def test_a_worker_that_is_told_to_end_costs_nothing(
    nanny: bool, cli: Command, site: HttpFarm
) -> None:
    """The signal reaches all of its processes, as that of a service does."""
    count, gate = write_pages(cli, site), Gate(site)
    with Cluster(cli) as cluster:
        first = cluster.worker(2, nanny=nanny)
        cluster.wait_for_workers(1)
        with cli.start(*WORDS, "--cluster", cluster.url) as process:
            site.wait_until(lambda: site.total > 8 and site.in_flight >= 4)
            for one in psutil.Process(first.pid).children(recursive=True):
                one.terminate()
            first.terminate()
            cluster.worker(2)
            gate.open()
            assert first.wait(60) == 0
            ran = cli.ended(process)
    assert ran.status == 0, ran.err
    told = summary_of(cli, "out")
    assert told["statuses"]["stored"] == count == told["targets"] == site.total
    assert max(site.max_in_flight_by_host.values()) <= 2


def test_a_lost_scheduler_is_told_and_the_next_run_does_the_rest(
    cli: Command, site: HttpFarm
) -> None:
    count, gate = write_pages(cli, site), Gate(site)
    with Cluster(cli) as cluster:
        cluster.worker(2)
        cluster.wait_for_workers(1)
        with cli.start(*WORDS, "--cluster", cluster.url) as process:
            site.wait_until(lambda: site.total > 8 and site.in_flight >= 4)
            cluster.scheduler.kill()
            ran = cli.ended(process)
            assert (ran.status, "the scheduler" in ran.err) == (1, True), ran.err
            assert "Error" not in ran.err, "no line of Dask's own"
        lost = site.in_flight  # nobody waits for these any more
        gate.open()
    done = site.total
    with Cluster(cli) as cluster:
        cluster.worker(2)
        ran = cli(*WORDS, "--resume", "--cluster", cluster.url)
    assert ran.status == 0, ran.err
    assert len(objects(cli, "out")) == count
    told = summary_of(cli, "out")
    assert told["targets"] == count
    assert told["statuses"]["stored"] + told["statuses"]["skipped"] == count
    assert done < site.total <= count + lost


def test_a_killed_coordinator_is_followed_by_another(cli: Command, site: HttpFarm) -> None:
    count, gate = write_pages(cli, site), Gate(site)
    with Cluster(cli) as cluster:
        cluster.worker(2)
        cluster.wait_for_workers(1)
        with cli.start(*WORDS, "--cluster", cluster.url) as process:
            site.wait_until(lambda: site.total > 8 and site.in_flight >= 4)
            second = cli(*WORDS, "--resume", "--cluster", cluster.url)
            assert second.status == 75, second.err
            assert "a coordinator" in second.err
            process.kill()
            process.wait()
        gate.open()
        ran = cli(*WORDS, "--resume", "--cluster", cluster.url)
    assert ran.status == 0, ran.err
    assert len(objects(cli, "out")) == count == site.total
    assert summary_of(cli, "out")["targets"] == count


def test_what_workers_of_a_killed_coordinator_finish_is_in_the_account_of_the_next(
    cli: Command, site: HttpFarm
) -> None:
    count = write_pages(cli, site) + len(site.urls)
    urls = (cli.directory / "urls.txt").read_text().split()
    cli.write("urls.txt", *(f"{url}/gone" for url in site.urls), *urls)
    gate = Gate(site)
    with Cluster(cli) as cluster:
        cluster.worker(2)
        cluster.wait_for_workers(1)
        with cli.start(*WORDS, "--cluster", cluster.url) as process:
            site.wait_until(lambda: site.total > 8 and site.in_flight >= 4)
            process.kill()
            process.wait()
        with cli.start(*WORDS, "--resume", "--cluster", cluster.url) as process:
            assert process.stderr is not None
            assert b"going on with " in process.stderr.readline()
            gate.open()  # its workers are busy with shards of the first one
            ran = cli.ended(process)
    told = summary_of(cli, "out")
    assert (told["targets"], told["statuses"]["failed"]) == (count, len(site.urls))
    assert told["statuses"]["stored"] < count - len(site.urls)
    assert (ran.status, told["exit_status"]) == (1, 1), ran.err


def test_what_was_fetched_since_a_shard_was_done_is_no_failure_any_more(
    cli: Command, site: HttpFarm
) -> None:
    cli.write("urls.txt", *(f"{url}/{page}" for url in site.urls for page in ("a", "once")))
    answer, asked = site.handler, Counter[str]()

    def once(request: Request) -> Reply | None:
        asked[request.host] += request.path == "/once"
        is_first = request.path == "/once" and asked[request.host] == 1
        return Reply(404) if is_first else answer(request)

    site.handler = once
    words = ("urls.txt", "--to", "out", "--resume")
    assert cli("plan", *words[:3], "--shards", 3).status == 0
    for shard in ("0/3", "1/3"):
        assert cli(*words, "--shard", shard).status == 1
    retry = ("--to", "out", "--retry-failed", "--all")
    assert cli(*retry, "--shard", "0/3").status == 0
    ran = cli(*words, "--cluster", "local:1")
    told, status = summary_of(cli, "out"), json.loads(cli("status", "out", "--json").out)
    assert ran.status == 1, ran.err
    assert told["statuses"]["failed"] == 8 == status["statuses"]["failed"]
    assert told["statuses"]["skipped"] == 4 + 4 + 4
    assert told["targets"] == 24


def test_a_coordinator_that_is_told_to_end_stops_all_shards(cli: Command, site: HttpFarm) -> None:
    count, gate = write_pages(cli, site), Gate(site)
    with Cluster(cli) as cluster:
        cluster.worker(2)
        cluster.wait_for_workers(1)
        with cli.start(*WORDS, "--cluster", cluster.url) as process:
            site.wait_until(lambda: site.total > 8 and site.in_flight >= 4)
            process.send_signal(signal.SIGINT)
            threading.Timer(2.0, gate.open).start()
            ran = cli.ended(process)
        assert ran.status == 130, ran.err
        stored = len(objects(cli, "out"))
        told = summary_of(cli, "out")
        assert stored == site.total == told["statuses"]["stored"] < count
        ran = cli(*WORDS, "--resume", "--cluster", cluster.url)
        assert ran.status == 0, ran.err
        assert len(objects(cli, "out")) == count == site.total


def test_a_signal_to_a_worker_that_has_lost_its_scheduler_does_not_keep_it(
    cli: Command, site: HttpFarm
) -> None:
    write_pages(cli, site)
    gate = Gate(site)
    with Cluster(cli) as cluster:
        worker = cluster.worker(2)
        cluster.wait_for_workers(1)
        with cli.start(*WORDS, "--cluster", cluster.url) as process:
            site.wait_until(lambda: site.total > 8 and site.in_flight >= 4)
            cluster.scheduler.terminate()  # which tells its workers
            cluster.wait_for_log("Removing Worker plugin scraper")
            worker.terminate()
            gate.open()
            assert worker.wait(60) == 0, cluster.logs()
            cli.ended(process)
    assert len(objects(cli, "out")) == site.total


@pytest.mark.slow
@pytest.mark.parametrize("is_local", [True, False])
def test_a_shard_that_kills_its_workers_is_reported_and_all_others_are_done(
    is_local: bool, cli: Command, site: HttpFarm
) -> None:
    """It costs six workers, also where a scheduler of others would try it four times as often."""
    count = write_pages(cli, site)
    answer, killed = site.handler, list[int]()

    def poison(request: Request) -> Reply | None:
        if (request.host, request.path) == (f"127.0.0.3:{site.port}", "/2"):
            for pid in pids_of(request):
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)
        return answer(request)

    site.handler = poison
    with ExitStack() as stack:
        url, workers = "local:2", []
        if not is_local:
            cluster = stack.enter_context(Cluster(cli))
            workers = [cluster.worker(2, nanny=True) for _ in range(2)]
            cluster.wait_for_workers(2)
            url = cluster.url
        with cli.start(*WORDS, "--cluster", url) as process:
            _, err = process.communicate(timeout=360)  # a busy machine starts one in ten seconds
        for worker in workers:  # nannies end their workers
            worker.terminate()
            worker.wait(60)
    assert process.returncode == 1, err
    assert len(set(killed)) == 6
    told = summary_of(cli, "out")
    assert told["reason"].startswith("shard "), told
    assert " is not done (" in told["reason"], told
    stored = {key.split("_")[0] for key in objects(cli, "out")}
    assert stored == set(HOSTS)
    others = [key for key in objects(cli, "out") if not key.startswith("127.0.0.3_")]
    assert len(others) == count - 6
    assert told["statuses"]["stored"] == len(objects(cli, "out"))
    status = cli("status", "out")
    assert (status.status, "11 of 12 done" in status.out) == (3, True), status.out


@pytest.mark.slow
def test_a_signal_to_everything_at_once_loses_nothing(cli: Command, site: HttpFarm) -> None:
    count, gate = write_pages(cli, site), Gate(site)
    with cli.start(*WORDS, "--cluster", "local:2", start_new_session=True) as process:
        site.wait_until(lambda: site.total > 8 and site.in_flight >= 4)
        os.killpg(process.pid, signal.SIGTERM)
        threading.Timer(1.0, gate.open).start()
        ran = cli.ended(process)
    assert ran.status == 143, ran.err
    assert len(objects(cli, "out")) == site.total < count
    assert summary_of(cli, "out")["statuses"]["stored"] == site.total
    ran = cli(*WORDS, "--resume", "--cluster", "local:2")
    assert ran.status == 0, ran.err
    assert len(objects(cli, "out")) == count == site.total


def test_a_failure_over_the_budget_stops_all_shards(cli: Command, site: HttpFarm) -> None:
    urls = [f"{url}/gone{page}" for page in range(20) for url in site.urls]
    cli.write("urls.txt", *urls)
    ran = cli(*WORDS, "--fail-fast", "--delay", "0.3", "--cluster", "local:1")
    assert ran.status == 1, ran.err
    assert summary_of(cli, "out")["reason"] == "--fail-fast: more failures than --max-failures"
    assert site.total < len(urls)


@pytest.mark.slow
def test_a_bucket_is_filled_by_workers(cli: Command, place: Place, site: HttpFarm) -> None:
    if isinstance(place, Directory):
        pytest.skip("all other tests are of a directory")
    count, gate = write_pages(cli, site), Gate(site)
    words = ("urls.txt", "--per-host", "2", *place.words, "--cluster")
    with Cluster(cli, place.environment) as cluster:
        first = cluster.worker(2)
        cluster.worker(2)
        cluster.wait_for_workers(2)
        with cli.start(*words, cluster.url, env=place.environment) as process:
            site.wait_until(lambda: site.in_flight > 4)
            second = cli(*words, cluster.url, "--resume", env=place.environment)
            assert second.status == 75, second.err
            alone = cli(*words[:-1], "--resume", env=place.environment)
            assert alone.status == 75, alone.err
            first.kill()
            first.wait()  # one that is not waited for is there still
            gate.open()
            ran = cli.ended(process)
        assert ran.status == 0, ran.err
        assert len(place.files()) == count
        cli.write("urls.txt", *(f"{url}/new" for url in site.urls))
        ran = cli(*words, cluster.url, env=place.environment)
        assert ran.status == 0, ran.err
    assert len(place.files()) == count + len(site.urls)
    status = cli("status", *place.words[1:], env=place.environment)
    assert status.status == 0, status.out + status.err
    secret = cli(
        "plan", "-", *place.words, stdin="http://a.example/?token=s3cr3t\n", env=place.environment
    )
    assert "-:1 has a secret, so DEST gets no lists" in secret.err
    assert max(site.max_in_flight_by_host.values()) <= 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shard", "0/2"], "--shard is one shard"),
        (["--processes", "2"], "--processes"),
        (["--manifest", "m.jsonl"], "--manifest names one file"),
        (["--max-total-size", "1M"], "--max-total-size"),
        (["--results", "-"], "--results"),
        (["--dry-run"], "--dry-run"),
        (["--metrics", "m.prom"], "--metrics"),
        (["--metrics-port", "0"], "--metrics-port"),
        (["--retry-failed"], "--retry-failed"),
        (["--key", "{path}"], "two shards might make one key"),
        (["--to", "-"], "several workers can't write to '-'"),
        (["--to", "tar:a.tar"], "several workers can't write to 'tar:a.tar'"),
        (["--to", "zip:a.zip"], "several workers"),
        (["--to", "warc:a"], "several workers"),
        (["--cluster", "remote"], "--cluster 'remote' is not local"),
        (["--cluster", "local:0"], "is not local"),
    ],
)
def test_what_a_cluster_can_not_keep_is_refused(cli: Command, words: list[str], said: str) -> None:
    cli.write("urls.txt", "http://a.example/")
    ran = cli("urls.txt", "--cluster", "local:1", *words)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.complaints[0]
    assert cli.wrote == ["urls.txt"]


def test_an_empty_list_is_done_at_once(cli: Command) -> None:
    cli.write("urls.txt", "# nothing")
    one, many = (cli("urls.txt", "--to", to, *words) for to, words in [
        ("one", ()), ("many", ("--cluster", "local:1")),
    ])  # fmt: skip
    for ran, to in ((one, "one"), (many, "many")):
        assert ran.status == 0, ran.err
        assert "0 targets: the list is empty, nothing to do" in ran.err
        assert cli("status", to).status == 0
        assert objects(cli, to) == {}
    assert summary_of(cli, "many")["statuses"] == summary_of(cli, "one")["statuses"]
    assert not [*cli.directory.glob("many/.scraper/plans/*-of-*")]


def test_a_pipe_is_kept_while_it_is_divided(cli: Command, site: HttpFarm) -> None:
    lines = "".join(f"{url}/{page}\n" for url in site.urls for page in range(2))
    ran = cli("-", "--to", "out", "--cluster", "local:1", "--max-run-time", "600", stdin=lines)
    assert ran.status == 0, ran.err
    told = {(one["source"], one["line"]) for one in records_of(cli, "out")}
    assert told == {("-", number) for number in range(1, 25)}


@pytest.mark.slow
def test_the_time_of_the_whole_run_is_the_coordinators(cli: Command, site: HttpFarm) -> None:
    count, gate = write_pages(cli, site), Gate(site)
    words = (*WORDS, "--cluster", "local:1", "--max-run-time", "20", "--grace", "1")
    with cli.start(*words) as process:
        site.wait_until(lambda: site.total > 6)
        ran = cli.ended(process)
    gate.open()
    assert ran.status == 1, ran.err
    assert summary_of(cli, "out")["reason"] == "--max-run-time 20 s is over"
    assert len(objects(cli, "out")) < count


@pytest.mark.slow
def test_a_server_that_is_no_scheduler_is_told_in_a_line(cli: Command, site: HttpFarm) -> None:
    write_pages(cli, site)
    ran = cli(*WORDS, "--cluster", f"tcp://127.0.0.1:{site.port}")
    assert (ran.status, ran.out, len(ran.errors)) == (1, "", 1)
    assert ran.err == f"scraper: tcp://127.0.0.1:{site.port}: no scheduler answers\n"


def test_without_dask_there_is_one_clear_line(cli: Command, site: HttpFarm) -> None:
    write_pages(cli, site)
    (cli.directory / "without").mkdir()
    (cli.directory / "without/dask.py").write_text("raise ImportError('no dask')\n")
    env = {"PYTHONPATH": str(cli.directory / "without")}
    ran = cli(*WORDS, "--cluster", "local:1", env=env)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        "scraper: --cluster needs dask and distributed: pip install 'scraper[cluster]' (no dask)\n"
    )


def test_what_a_host_asked_a_killed_worker_for_holds_for_the_next_one(
    cli: Command, site: HttpFarm
) -> None:
    count, asked, asking = write_pages(cli, site, 8), list[float](), list[int]()
    answer, busy = site.handler, f"127.0.0.5:{site.port}"

    def log(request: Request) -> Reply | None:
        if request.host != busy:
            return answer(request)
        asked.append(time.monotonic())
        if len(asked) > 1:
            return answer(request)
        asking.extend(pids_of(request))
        return Reply(503, {"Retry-After": "7"})

    site.handler = log
    words = ("--per-host", "1", "--delay", "0.5", "--to", "out", "--cluster")
    with Cluster(cli) as cluster:
        workers = [cluster.worker(6), cluster.worker(6)]
        cluster.wait_for_workers(2)
        with cli.start("urls.txt", *words, cluster.url) as process:
            kept = partial(cli.directory.glob, "out/**/pauses.json")
            site.wait_until(lambda: bool(asked) and any(kept()))
            (first,) = [one for one in workers if one.pid in asking]
            first.kill()
            ran = cli.ended(process)
    assert ran.status == 0, ran.err
    assert len(objects(cli, "out")) == count
    assert min(asked[1:]) - asked[0] >= 6.5


def test_a_pace_that_a_host_forced_on_a_killed_worker_holds_for_the_next_one(
    cli: Command, site: HttpFarm
) -> None:
    """Of one host by its Crawl-delay, of another by its 429s, as their log tells."""
    slow, busy = f"127.0.0.4:{site.port}", f"127.0.0.5:{site.port}"
    cli.write("urls.txt", *(f"http://{host}/{page}" for page in range(9) for host in (slow, busy)))
    asked: dict[str, list[tuple[float, int]]] = {slow: [], busy: []}
    answer, first = site.handler, list[int]()

    def log(request: Request) -> Reply | None:
        if request.path == "/robots.txt":
            rule = "Crawl-delay: 3" if request.host == slow else "Allow: /"
            return Reply(body=f"User-agent: *\n{rule}\n".encode())
        pid = next(iter(pids_of(request)), 0)
        asked[request.host].append((time.monotonic(), pid))
        if not first:
            first.append(pid)
        is_pushed = request.host == busy and pid == first[0] and len(asked[busy]) > 2
        return Reply(429) if is_pushed else answer(request)

    site.handler = log
    words = ("urls.txt", "--robots", "--per-host", "1", "--to", "out", "--cluster")
    with Cluster(cli) as cluster:
        workers = [cluster.worker(6)]
        cluster.wait_for_workers(1)
        with cli.start(*words, cluster.url) as process:
            site.wait_until(lambda: gap_kept(cli, busy) > 0.5 and len(asked[slow]) > 1)
            workers[0].kill()
            workers.append(cluster.worker(6))
            ran = cli.ended(process)
    assert ran.status == 0, ran.err
    for host, least_s in ((slow, 2.9), (busy, 0.4)):
        after = [at for at, pid in asked[host] if pid == workers[1].pid]
        last = max(at for at, pid in asked[host] if pid == workers[0].pid)
        assert after[0] - last >= least_s, host
        assert after[1] - after[0] >= least_s, host


def gap_kept(cli: Command, host: str) -> float:
    """The gap of a host that its shard has kept."""
    for path in cli.directory.glob("out/**/pauses.json"):
        with suppress(ValueError, FileNotFoundError):
            if (found := json.loads(path.read_text())["hosts"].get(host)) is not None:
                return float(found["gap_s"])
    return 0.0


def pids_of(request: Request) -> list[int]:
    """The process that sent it."""
    found = [one.pid for one in psutil.net_connections("tcp4") if one.laddr == request.client]
    return [pid for pid in found if pid is not None and pid != os.getpid()]


@pytest.mark.parametrize(
    ("file", "said"),
    [(None, "TLS is not set up"), ("none.pem", "Dask's TLS settings are of no use: ")],
)
def test_a_scheduler_with_tls_needs_settings_of_dask_which_are_named(
    file: str | None, said: str, cli: Command, site: HttpFarm
) -> None:
    write_pages(cli, site)
    names = ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY")
    env = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": file for name in names if file}
    ran = cli(*WORDS, "--cluster", "tls://127.0.0.1:9", env=env)
    assert (ran.status, ran.out, len(ran.errors)) == (1, "", 2)
    assert ran.errors[0].startswith(f"scraper: tls://127.0.0.1:9: {said}"), ran.err
    assert "distributed.comm.tls" in ran.errors[1], ran.err
