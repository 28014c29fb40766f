"""--processes: one run with several children, and every promise as it is with one process."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import scraper
from scraper.engines.processes import Family, ProcessesEngine, Setup
from scraper.engines.processes.children import Child
from scraper.engines.processes.messages import Down, Up
from scraper.model.errors import DestinationError, UsageError
from scraper.model.settings import Http, RunLimits, Settings
from scraper.model.shared_numbers import SharedNumbers
from scraper.run.loop import Run
from scraper.sinks.base import SinkOptions
from scraper.sinks.lease import now_s
from scraper.source.sources import from_iterable
from tests.conformance.engine_bench import PATIENT, Bench, failure
from tests.conformance.test_gaps import CLOCK_S, DELAY_S, Watched, page
from tests.engines.processes.family import MakeProcesses
from tests.s3servers import Front, S3Server
from tests.servers import WAIT_S, HttpFarm, Reply, Request

PAGE = b"a page " * 500
HOSTS = [f"127.0.0.{number}" for number in range(1, 9)]
LISTED = 5  # pages of each host


def children_of(pid: int) -> list[int]:
    """The processes that `pid` has started and that have not ended."""
    found: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += (task / "children").read_text(encoding="ascii").split()
    return [int(child) for child in found]


def is_there(pid: int) -> bool:
    """Whether the process has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2][1] != "Z"
    return False


def wait_until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until, "what was waited for never came"
        time.sleep(0.01)


def recorded(out: Path) -> list[dict[str, Any]]:
    lines = (out / ".scraper/manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


class Site(HttpFarm):
    """Pages of several hosts. `held`: paths that are answered only when the site closes."""

    def __init__(self, *held: str) -> None:
        self.held = set(held)
        super().__init__(self._page, HOSTS)

    def _page(self, request: Request) -> Reply:
        self.closing.wait(None if request.path in self.held else 0.005)
        return Reply(body=PAGE)

    def list(self, count: int = LISTED) -> list[str]:
        return [f"{url}/{number}" for number in range(count) for url in self.urls]

    @property
    def asked(self) -> Counter[str]:
        return Counter(f"{request.host}{request.path}" for request in self.requests)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        yield made


class Started:
    """`scraper` as a process of its own, with two children."""

    def __init__(self, urls: list[str], out: Path, *options: str) -> None:
        words = [sys.executable, "-m", "scraper", "--to", str(out), "--processes", "2", *options]
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write("\n".join(urls))
        self.process.stdin.close()

    @property
    def children(self) -> list[int]:
        return children_of(self.process.pid)

    def ends(self) -> tuple[int, str]:
        assert self.process.stderr is not None
        with self.process.stderr as said:
            return self.process.wait(WAIT_S), said.read()


def fetched(site: Site, out: Path, **options: Any) -> list[scraper.Result]:
    options = {"processes": 2, "max_concurrency": 8, **options}
    return list(scraper.run(site.list(), to=out, **options))


def statuses(results: list[scraper.Result]) -> Counter[str]:
    return Counter(result.status for result in results)


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_caps_hold_over_all_children_as_the_server_saw_it(
    engine: Any, site: Site, tmp_path: Path
) -> None:
    results = fetched(site, tmp_path, engine=engine, per_host=2)
    assert statuses(results) == {"stored": len(HOSTS) * LISTED}
    assert site.max_in_flight <= 8
    assert max(site.max_in_flight_by_host.values()) <= 2
    assert {(tmp_path / result.key).read_bytes() for result in results} == {PAGE}
    assert statuses(fetched(site, tmp_path, resume=True)) == {"skipped": len(HOSTS) * LISTED}
    assert site.total == len(HOSTS) * LISTED


def test_a_host_is_asked_by_one_child_and_hosts_are_shared_out(site: Site, tmp_path: Path) -> None:
    fetched(site, tmp_path, per_host=1)
    assert site.connections == len(HOSTS)


def test_delays_hold_while_redirects_lead_from_the_hosts_of_one_child_to_those_of_another(
    tmp_path: Path,
) -> None:
    servers: list[Watched] = []

    def answer(path: bytes, _connection: int, _count: int) -> bytes:
        to = path.decode().split("/")
        if len(to) < 3:
            return page()
        return page(b"", "302 Found", f"Location: {servers[int(to[1])].url}/{to[2]}")

    with ExitStack() as stack:
        servers += [stack.enter_context(Watched(answer)) for _ in range(4)]
        first, second, third, last = servers
        urls = [f"{one.url}/{to}/{n}" for n in range(6) for one, to in ((first, 1), (third, 3))]
        urls += [f"{one.url}/{n}" for n in range(6, 12) for one in (second, last)]
        results = list(scraper.run(urls, to=tmp_path, processes=2, delay=DELAY_S))
        assert statuses(results) == {"stored": 24}
        for server, count in zip(servers, (6, 12, 6, 12), strict=True):
            assert len(server.arrivals) == count
            assert min(server.gaps) >= DELAY_S - CLOCK_S


def test_all_children_together_take_no_more_than_max_total_size(site: Site, tmp_path: Path) -> None:
    results = fetched(site, tmp_path, max_total_size=10 * len(PAGE))
    assert statuses(results)["stored"] == 10
    assert set(statuses(results)) == {"stored", "not_reached"}
    assert {result.error.message for result in results if result.error} == {
        f"not finished: max_total_size {10 * len(PAGE):,} bytes is reached"
    }


def test_all_children_together_take_the_rate_and_no_more(tmp_path: Path) -> None:
    body, rate = bytes(200_000), 1_000_000
    with HttpFarm({"/": Reply(body=body)}, HOSTS[:4]) as farm:
        begun = time.monotonic()
        results = list(scraper.run(farm.urls, to=tmp_path, processes=2, limit_rate=rate))
        took_s = time.monotonic() - begun
    assert statuses(results) == {"stored": 4}
    assert took_s >= 4 * len(body) / rate - 0.1


def test_robots_txt_is_asked_for_once_and_holds_for_redirects_too(tmp_path: Path) -> None:
    rules = b"User-agent: *\nDisallow: /secret\n"

    def answer(request: Request) -> Reply:
        if request.path == "/robots.txt":
            return Reply(body=rules)
        if request.path == "/go":
            return Reply(302, {"Location": "/secret/2"})
        return Reply(body=PAGE)

    with HttpFarm(answer, HOSTS[:4]) as farm:
        paths = ("open", "secret/1", "go")
        urls = [f"{url}/{path}" for path in paths for url in farm.urls]
        results = list(scraper.run(urls, to=tmp_path, processes=2, robots=True))
        assert statuses(results) == {"stored": 4, "failed": 8}
        assert {result.error.kind for result in results if result.error} == {"robots"}
        assert farm.hits["/robots.txt"] == 4
        assert not any(path.startswith("/secret") for path in farm.hits)


def test_parts_of_bodies_are_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="split is for one process"):
        Run(Settings.of(to=tmp_path / "out", processes=2, split=2), [from_iterable([])])
    assert not (tmp_path / "out").exists()


def test_there_are_no_more_children_than_transfers(site: Site, tmp_path: Path) -> None:
    with Run(Settings.of(to=tmp_path, processes=9, max_concurrency=2), [from_iterable([])]) as run:
        assert "engine in 2 processes" in run.describe()
        assert list(run) == []


def test_credentials_are_not_in_the_words_or_the_environment_of_a_child(tmp_path: Path) -> None:
    with Site("/held") as site:
        one = Started(
            [f"{site.url}/held"],
            tmp_path / "out",
            *("--header", "X-Key: s3cret", "--user", "me:s3cret", "--grace", "0"),
        )
        site.wait_until(lambda: site.total == 1)
        children = one.children
        assert len(children) == 2
        for child in children:
            for name in ("cmdline", "environ"):
                assert b"s3cret" not in Path(f"/proc/{child}/{name}").read_bytes()
        one.process.send_signal(signal.SIGTERM)
        one.ends()
        assert site.requests[0].headers["x-key"] == "s3cret"


def test_cookies_of_a_file_go_with_the_requests_of_children(tmp_path: Path) -> None:
    jar = tmp_path / "cookies.txt"
    lines = [f"{host}\tFALSE\t/\tFALSE\t0\tname\t{host[-1]}\n" for host in HOSTS[:2]]
    jar.write_text("".join(lines))
    with Site() as site:
        assert statuses(fetched(site, tmp_path / "out", cookies=jar)) == {"stored": 40}
        sent = {
            (one.host.partition(":")[0], one.headers.get("cookie", "")) for one in site.requests
        }
        others = {(host, "") for host in HOSTS[2:]}
        assert sent == {("127.0.0.1", "name=1"), ("127.0.0.2", "name=2"), *others}


PROGRAM = """
import enum, sys, scraper

class Name(enum.StrEnum):
    KEY, AGENT, VALUE, PAGE, URL = "X-Key", "X-Agent", "a value", "page", sys.argv[1]

class Count(enum.IntEnum):
    TWO = 2

given = {"url": Name.URL, "key": Name.PAGE, "headers": {Name.KEY: Name.VALUE}}
options = {"processes": Count.TWO, "headers": {Name.AGENT: Name.VALUE}, "user_agent": Name.VALUE}
for result in scraper.run([given], to=sys.argv[2], max_concurrency=Count.TWO, retries=0, **options):
    print(result.status, result.key, result.error)
"""


def test_texts_of_a_class_of_the_program_reach_the_server(site: Site, tmp_path: Path) -> None:
    """The program's `__main__` can be imported by no child."""
    words = [sys.executable, "-c", PROGRAM, f"{site.url}/", str(tmp_path)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("stored page None\n", "")
    (asked,) = site.requests
    names = ("x-key", "x-agent", "user-agent")
    assert [asked.headers[name] for name in names] == ["a value"] * 3


# ---------------------------------------------------------------- ends


@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_a_child_that_is_killed_costs_an_attempt_and_no_target(
    engine: str, site: Site, tmp_path: Path
) -> None:
    out, count = tmp_path / "out", 40
    one = Started(site.list(count), out, "--engine", engine, "-c", "8", "--per-host", "2")
    for kills in (1, 2, 3):
        site.wait_until(partial(lambda least: site.total >= least, 60 * kills))
        os.kill(one.children[0], signal.SIGKILL)
    status, said = one.ends()
    assert status == 0, said
    assert said.count("was ended by SIGKILL;") == 3
    records = recorded(out)
    assert Counter(record["status"] for record in records) == {"stored": len(HOSTS) * count}
    assert site.max_in_flight <= 8 + 3 * 8  # a server learns late that a client is gone
    assert sum(site.asked.values()) <= len(HOSTS) * count + 3 * 8
    assert not [path for path in (out / ".scraper/tmp").iterdir() if path.name != "lock"]


def test_a_child_that_does_not_answer_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scraper.engines.processes import engine

    monkeypatch.setattr(engine, "_SILENT_S", 0.05)
    monkeypatch.setattr(engine, "_HANGS_S", 0.2)
    told: list[str] = []
    with Site("/held") as site:
        make = MakeProcesses("curl", tell=told.append)
        with contextlib.closing(Bench(make, tmp_path / "out", PATIENT, Http())) as made:
            transfer = made.start(f"{site.url}/held")
            made.poll_until(lambda: site.total == 1)
            stopped = transfer.child.pid  # type: ignore[attr-defined]
            os.kill(stopped, signal.SIGSTOP)
            made.wait(transfer)
            found = failure(transfer)
            assert "internal error: the process that carried it out did not answer" in found.message
            assert found.transient
            assert not found.unreachable
            assert not is_there(stopped)
            assert len(told) == 1
            assert made.body(made.fetch(f"{site.url}/again")) == PAGE


@pytest.fixture
def unheard(monkeypatch: pytest.MonkeyPatch) -> object:
    """What no child can read: its class is of a module that is only here."""
    module: Any = ModuleType("only_here")
    module.Odd = type("Odd", (), {"__module__": module.__name__})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.Odd()


def setup_of(out: Path) -> Setup:
    options = SinkOptions(1)
    return Setup("threads", 1, PATIENT, Http(), RunLimits(), str(out), options, None, leased=False)


WHY = "ended with ModuleNotFoundError: No module named 'only_here'"


@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_a_child_that_can_not_read_its_parent_ends_and_says_why(
    engine: str, unheard: object, tmp_path: Path
) -> None:
    told: list[str] = []
    with Site("/held") as site:
        make = MakeProcesses(engine, tell=told.append)
        with contextlib.closing(Bench(make, tmp_path / "out", PATIENT, Http())) as made:
            transfer: Any = made.start(f"{site.url}/held")
            made.poll_until(lambda: site.total == 1)
            child = transfer.child
            child.tell(Down.RULES, "http://a", unheard, 0.0)
            made.wait(transfer)
            found = failure(transfer)
            assert found.message == f"internal error: the process that carried it out {WHY}"
            assert found.transient
            assert not is_there(child.pid)
            assert told == [f"process {child.pid} {WHY}; 1 transfers of it have failed"]
            assert made.body(made.fetch(f"{site.url}/again")) == PAGE


def test_children_that_can_not_read_their_set_up_say_why(unheard: object, tmp_path: Path) -> None:
    told: list[str] = []
    setup = setup_of(tmp_path)._replace(found=unheard)
    with pytest.raises(DestinationError, match=f"no process stays alive: the last one {WHY}"):
        ProcessesEngine(Family(1, setup, SharedNumbers(), (), told.append))
    assert len(told) == 3


STUCK = """
import sys, time
sys.path[:] = {path!r}
from scraper.engines.processes.child import Session, main
Session._work = lambda self: (self._flush(), {work})
Session._close = lambda self: time.sleep(600)
main({fd})
"""


@pytest.mark.parametrize("end", ["parent", "error", "error of its own"])
def test_a_child_that_hears_nothing_more_ends_whatever_it_waits_for(
    end: str, unheard: object, tmp_path: Path
) -> None:
    """So it frees the destination's lock."""
    ours, theirs = socket.socketpair()
    work = "1 / 0" if end == "error of its own" else "time.sleep(600)"
    code = STUCK.format(path=sys.path, fd=theirs.fileno(), work=work)
    words = [sys.executable, "-c", code]
    with ours, subprocess.Popen(words, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        numbers = SharedNumbers()
        child = Child(setup_of(tmp_path), [numbers.fd], lambda: (process, ours))
        child.flush()
        assert next(child.read()) == (Up.READY,)  # its own error may be in the same piece
        if end == "parent":
            ours.close()
        elif end == "error":
            child.tell(Down.RULES, "http://a", unheard, 0.0)
            child.flush()
        assert process.wait(WAIT_S) == 1
        numbers.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_end_with_their_parent_however_it_ends(
    number: signal.Signals, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with Site("/held") as site:
        one = Started([*site.list(1), f"{site.url}/held"], out, "--grace", "0.5")
        site.wait_until(lambda: site.total == len(HOSTS) + 1)
        children = one.children
        assert len(children) == 2
        if number == signal.SIGKILL:
            one.process.kill()
        else:
            os.killpg(one.process.pid, number)  # as a terminal and a service manager do
        status, said = one.ends()
        wait_until(lambda: not any(map(is_there, children)))
        if number != signal.SIGKILL:
            assert status == 128 + number
            assert "was ended" not in said
            kinds = Counter(record["status"] for record in recorded(out))
            assert kinds == {"stored": len(HOSTS), "not_reached": 1}
    with Site() as site:
        results = list(scraper.run(site.list(1), to=out, processes=2))
        assert statuses(results) == {"stored": len(HOSTS)}
        assert [path.name for path in (out / ".scraper/tmp").iterdir()] == ["lock"]


def test_the_lock_stays_until_the_last_child_of_a_killed_run_is_gone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Site("/held") as site:
        one = Started([f"{site.url}/held"], out)
        site.wait_until(lambda: site.total == 1)
        last, *others = one.children
        os.kill(last, signal.SIGSTOP)
        one.process.kill()
        one.process.wait()
        wait_until(lambda: not any(map(is_there, others)))
        with pytest.raises(scraper.Held):
            list(scraper.run([site.url], to=out))
        os.kill(last, signal.SIGKILL)
        wait_until(lambda: not is_there(last))
        one.ends()
        assert statuses(list(scraper.run([site.url], to=out))) == {"stored": 1}


def test_children_that_can_not_begin_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DestinationError, match="no process stays alive"):
        list(scraper.run(["http://127.0.0.1:1/"], to=tmp_path, processes=2))


# ---------------------------------------------------------------- S3


def test_a_bucket_is_probed_once_and_all_is_put_by_the_children(
    site: Site, server: S3Server, aws: None
) -> None:
    del aws
    bucket = server.make_bucket()
    with Front(server.url, lambda _: None) as front:
        to = f"s3://{bucket}/p"
        given: Any = {"to": to, "s3_endpoint": front.url, "processes": 2, "max_concurrency": 8}
        results = list(scraper.run(site.list(), **given))
        assert statuses(results) == {"stored": len(HOSTS) * LISTED}
        keys = {key.removeprefix("p/") for key in server.keys(bucket)}
        assert {result.key for result in results} <= keys
        puts = [one.path for one in front.asked if one.operation == "PUT"]
        assert len([path for path in puts if path.endswith("/.scraper/probe")]) == 1
        again = list(scraper.run(site.list(), resume=True, **given))
        assert statuses(again) == {"skipped": len(HOSTS) * LISTED}


def test_children_put_nothing_once_the_lease_may_be_another_runs(
    site: Site, moto_server: S3Server, aws: None
) -> None:
    del aws
    bucket = moto_server.make_bucket()
    to, given = f"s3://{bucket}", {"s3_endpoint": moto_server.url, "processes": 2}
    sources = [from_iterable(site.list())]
    with Run(Settings.of(to=to, **given), sources) as run:
        lease: Any = run._resources._lock
        lease.good_until = now_s() - 1.0
        run._resources.check_lock = lambda: None  # type: ignore[method-assign]
        with contextlib.suppress(scraper.Held):
            list(run)
    assert not [key for key in moto_server.keys(bucket) if key.startswith("127.")]


@pytest.mark.parametrize("place", ["directory", "moto"])
def test_a_shard_may_have_children(
    place: str, site: Site, tmp_path: Path, aws: None, request: pytest.FixtureRequest
) -> None:
    del aws
    given: Any = {"to": tmp_path, "processes": 2}
    if place == "moto":
        store: S3Server = request.getfixturevalue("moto_server")
        given |= {"to": f"s3://{store.make_bucket()}", "s3_endpoint": store.url}
    shards = [list(scraper.run(site.list(), shard=f"{number}/2", **given)) for number in (0, 1)]
    assert all(statuses(results).keys() <= {"stored"} for results in shards)  # one may have none
    assert sum(map(len, shards)) == len(HOSTS) * LISTED
    assert max(site.asked.values()) == 1
