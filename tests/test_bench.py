"""The benchmark's pieces work: servers, checks, arithmetic, and one small run of everything."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pytest

import scraper
from tests.bench import against, ceiling, measure, opponents, report, runner, servers, workloads
from tests.bench.opponents import Opponent
from tests.bench.report import Run
from tests.bench.servers import Web
from tests.bench.workloads import MB, Case, Page

TINY = replace(workloads.QUICK, large=MB).of(20)
NGINX = servers.find_nginx()
without_git = pytest.mark.skipif(
    not (servers.REPOSITORY / ".git").exists(), reason="no repository to take a commit from"
)


def case(*sizes: int, title: str = "a case", ideal_s: float | None = None) -> Case:
    pages = tuple(Page(f"http://h/{n}", f"{n}", size) for n, size in enumerate(sizes))
    return Case("small", title, pages, 2, ideal_s=ideal_s)


def run(tool: str, number: int, wall_s: float, **others: object) -> Run:
    made = Run("small", "a case", tool, number, urls=2, bytes=3 * MB, wall_s=wall_s)
    return replace(made, **others)  # type: ignore[arg-type]


def python(code: str, **others: object) -> Opponent:
    """A tool that is a line of Python: argv[1] is the list, argv[2] the destination."""
    made = Opponent("a tool", (sys.executable, "-c", code), "{name}\n", "{list} {to}")
    return replace(made, **others)  # type: ignore[arg-type]


# ---------------------------------------------------------------- servers


@pytest.mark.parametrize(
    ("nginx", "echo"),
    [
        pytest.param(None, False, id="ours"),
        pytest.param(
            NGINX, False, id="nginx", marks=pytest.mark.skipif(not NGINX, reason="no nginx")
        ),
        pytest.param(
            NGINX,
            True,
            id="nginx-echo",
            marks=pytest.mark.skipif(
                not (NGINX and servers.ECHO_MODULE.exists()), reason="no echo module"
            ),
        ),
    ],
)
def test_each_server_serves_files_pages_and_pages_that_take_their_time(
    nginx: str | None, echo: bool, tmp_path: Path
) -> None:
    with servers.web(tmp_path, nginx=nginx, echo=echo) as web:
        (page,) = workloads.files(web, 1)
        with urlopen(page.url) as response:
            assert response.read() == (web.root / page.name).read_bytes()
        page_bytes = b"p" * servers.PAGE_BYTES
        with urlopen(web.page("some", "127.0.0.7")) as response:
            assert response.read() == page_bytes
        begun = time.monotonic()
        with urlopen(web.after(servers.DELAY_MS, "some", "127.0.0.100")) as response:
            assert response.read() == page_bytes
        assert time.monotonic() - begun >= servers.DELAY_MS / 1000


@pytest.fixture
def web(tmp_path_factory: pytest.TempPathFactory) -> Web:
    """Where files are made, but nobody serves them."""
    return Web("none", tmp_path_factory.mktemp("www"), 1, 2, 3, Path("ca.pem"))


def test_the_ceiling_counts_what_came(tmp_path: Path) -> None:
    with servers.web(tmp_path) as web:
        (list_,) = workloads.small(web, TINY)
        urls = [page.url for page in list_.pages]
        assert ceiling.fetch(urls, 7) == (20, list_.bytes)
        with pytest.raises(ConnectionError, match="404"):
            ceiling.fetch([*urls, web.file("missing")], 7)


# ---------------------------------------------------------------- workloads


def test_two_runs_ask_for_the_same(web: Web) -> None:
    first = workloads.files(web, 5)
    bodies = [(web.root / page.name).read_bytes() for page in first]
    for page in first:
        (web.root / page.name).unlink()
    assert workloads.files(web, 5) == first
    assert [(web.root / page.name).read_bytes() for page in first] == bodies


def test_the_list_without_slow_hosts_is_the_other_list_in_its_order(web: Web) -> None:
    alone, beside = workloads.hosts(web, replace(TINY, per_host=3))
    assert len(beside.pages) == 300
    assert [page for page in beside.pages if "/after/" not in page.url] == list(alone.pages)
    assert {page.host for page in beside.pages} - {page.host for page in alone.pages} == {
        "127.0.0.99",
        "127.0.0.100",
    }


def test_a_tool_that_takes_too_long_gets_a_part_of_a_long_list() -> None:
    whole = case(*[1] * 100)
    assert whole.shortened(10).pages == whole.pages[:10]
    assert case(1, 1, 1, 1).shortened(10) == case(1, 1, 1, 1)


# ---------------------------------------------------------------- one run


STORES = (
    "import sys; names = open(sys.argv[1]).read().split();"
    "[open(f'{sys.argv[2]}/{name}', 'wb').write(b'abc') for name in names]"
)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (STORES, None),
        (STORES + "; sys.exit(3)", "exit status 3: "),
        (STORES + "; sys.exit('it broke')", "exit status 1: it broke"),
        (STORES.replace("in names", "in names[1:]"), "1 bodies of 2, 3 bytes of 6 arrived"),
        (STORES.replace("abc", "ab"), "2 bodies of 2, 4 bytes of 6 arrived"),
    ],
)
def test_a_run_counts_when_all_bodies_are_there(
    code: str, problem: str | None, tmp_path: Path
) -> None:
    places = runner.Destinations(tmp_path)
    assert runner.run_one(case(3, 3), python(code), 1, places, tmp_path).problem == problem
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_processor_time_and_memory_are_those_of_a_tool_and_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; subprocess.run([sys.executable, '-c',"
        "'import time; held = bytearray(300_000_000); until = time.process_time() + 0.5\\n"
        "while time.process_time() < until: pass'])"
    )
    usage = measure.run([sys.executable, "-c", code], tmp_path, {}, 60)
    assert usage.status == 0
    assert usage.cpu_s >= 0.5
    assert usage.peak_bytes >= 300_000_000


def test_a_tool_that_hangs_is_ended(tmp_path: Path) -> None:
    code = "import time; time.sleep(600)"
    assert measure.run([sys.executable, "-c", code], tmp_path, {}, 0.1).status == -9


def test_a_time_that_the_server_set_is_not_when_a_file_got_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    before = time.time()
    path.write_bytes(b"")
    os.utime(path, (1, 1))
    # The file system's clock ticks more slowly than ours.
    assert measure.last_stored(tmp_path, frozenset({"a", "b"})) > before - 1


# ---------------------------------------------------------------- arithmetic


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine was ten times slower in the second round, for both alike.
    ours = [run("ours", 1, 1.0), run("ours", 2, 10.0), run("ours", 3, 1.0)]
    theirs = [run("theirs", 1, 2.0), run("theirs", 2, 20.0), run("theirs", 3, 2.2)]
    assert report.ratio(ours, theirs) == pytest.approx(2.0)


def test_a_row_has_medians() -> None:
    runs = [run("ours", number, wall_s, cpu_s=wall_s) for number, wall_s in enumerate((3, 1, 2))]
    (row,) = report.rows(case(MB, 2 * MB, ideal_s=1.0), runs, "ours")
    assert (row.wall_s, row.best_s, row.urls_per_s, row.mb_per_s) == (2, 1, 1, 1.5)
    assert (row.cpu_ms, row.ratio, row.of_ideal, row.of_ceiling) == (1000, 1, 0.5, None)


def test_a_tool_is_held_against_what_the_server_can_give() -> None:
    runs = [run(report.CEILING, 1, 1.0), run("ours", 1, 1.25)]
    rows = report.rows(case(1, 2), runs, "ours")
    assert [row.of_ceiling for row in rows] == [1.0, 0.8]


def test_a_tool_with_one_bad_run_is_named_and_has_no_row() -> None:
    runs = [run("ours", 1, 1), run("theirs", 1, 1), run("theirs", 2, 0.1, problem="nothing came")]
    table = report.markdown(case(1, 2), runs, "ours")
    assert "ours" in table
    assert "theirs" not in table
    assert report.failures(runs) == ["theirs, a case: nothing came"]


def test_a_table_is_markdown() -> None:
    assert report.table(["a", "bcd"], [["long", "1"]]) == (
        "| a    | bcd |\n| ---- | --: |\n| long |   1 |"
    )


def test_what_slow_hosts_cost_the_others_is_a_share_of_their_time() -> None:
    alone = [run("ours", number, 9.0, others_s=2.0 * number) for number in (1, 2, 3)]
    beside = [run("ours", number, 9.0, others_s=2.5 * number) for number in (1, 2, 3)]
    assert report.later(alone, beside) == pytest.approx(0.25)


# ---------------------------------------------------------------- ours, and its commits


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("  --engine [auto|threads|other]  What carries", ["threads", "other"]),
        ("  --engine [auto|threads]  What carries", []),
        ("  --s3-client [auto|boto3|curl]  What", []),
    ],
)
def test_each_engine_that_help_offers_takes_part(text: str, choices: list[str]) -> None:
    assert opponents._choices(text, "engine") == choices


@without_git
def test_the_code_of_a_commit_is_what_runs(tmp_path: Path) -> None:
    tree = against.extract("HEAD", tmp_path / "tree")
    module = tree / "scraper" / "model" / "version.py"
    module.write_text(module.read_text().replace(f'"{scraper.__version__}"', '"0.0.99"'))
    tool = opponents.ours(tree)[0][-1]
    said = subprocess.run(
        [*tool.program, "--version"],
        env={**runner.environment(tmp_path), **tool.env},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "0.0.99" in said


def test_instructions_of_the_start_are_told_from_those_of_a_url(web: Web, tmp_path: Path) -> None:
    (some,) = workloads.small(web, replace(TINY, small=against.MORE))

    def count(tool: Opponent, case: Case, scratch: Path) -> int:
        return 1_000 + 7 * len(case.pages)

    assert against.split(python(""), some, tmp_path, count) == (1_000, 7)


# ---------------------------------------------------------------- all of it


def test_a_small_run_of_everything_has_a_table_for_each_workload(tmp_path: Path) -> None:
    kept = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--rounds", "1", "--json", str(kept)]
    done = subprocess.run(
        [*command, "--urls", "20", *(f"--workload={name}" for name in ("start", "small", "s3"))],
        cwd=servers.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("| tool ") == 3
    runs = [Run(**fields) for fields in json.loads(kept.read_text())["runs"]]
    assert not report.failures(runs)
    tools = {run.tool for run in runs}
    assert done.stdout.count("- requests loop: `") == 2, "into a directory, and into S3"
    assert {"requests loop", "rclone copyurl", "(ceiling)"} <= tools
    assert any(tool.startswith("scraper") for tool in tools)
    for tool in opponents.FILE_TOOLS:
        assert (tool.name in tools) != (tool.name in done.stdout.partition("###")[0])
