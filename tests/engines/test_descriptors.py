"""File descriptors: a thousand transfers at once, and what is said when the system forbids it."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import scraper
from scraper.engines.descriptors import connections_to_keep
from scraper.model.errors import UsageError
from scraper.model.options import EngineName
from tests.manyserver import ManyServer
from tests.servers import HttpServer

THOUSAND = 1000


def limited(soft: int, hard: int, code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Python code in a process that may open so many files."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


KEEP = """
import resource, sys
from scraper.engines.descriptors import connections_to_keep
print(connections_to_keep(int(sys.argv[1])), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""
MAIN = "import sys; from scraper.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "answer"),
    [
        (1024, 4096, 16, "272 1024 4096"),  # enough as it is: nothing is changed
        (256, 4096, 16, "272 352 4096"),  # raised as far as is needed
        (256, 4096, 1000, "2000 3064 4096"),
        (256, 2500, 1000, "1436 2500 2500"),  # fewer idle connections are kept
        (64, 100, 16, "20 100 100"),
    ],
)
def test_the_limit_is_raised_as_far_as_is_needed(
    soft: int, hard: int, wanted: int, answer: str
) -> None:
    assert limited(soft, hard, KEEP, str(wanted)).stdout.strip() == answer


def test_too_few_are_a_usage_error_before_anything_is_done(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with HttpServer({"/": b"page"}) as server:
        (tmp_path / "list.txt").write_text(server.url)
        arguments = [str(tmp_path / "list.txt"), "--to", str(out), "-c", "1000"]
        ended = limited(256, 500, MAIN, *arguments)
        assert ended.returncode == 2
        assert ended.stderr == (
            "scraper: --max-concurrency 1000 needs 2064 open files, and the system allows 500"
            " (ulimit -n): 218 is the most here\n"
        )
        assert not out.exists()
        assert server.connections == 0
        assert limited(256, 500, MAIN, *arguments[:-1], "218").returncode == 0


@pytest.mark.parametrize("concurrency", [1, 16, 64, 1000])
@pytest.mark.parametrize("limit", [20, 30, 40, 64, 100])
def test_what_is_said_to_be_possible_is(limit: int, concurrency: int) -> None:
    said = limited(limit, limit, KEEP, str(concurrency))
    if not said.returncode:
        return
    message = said.stderr.splitlines()[-1]
    if found := re.search(r"(\d+) is the most here", message):
        assert 0 < int(found[1]) < concurrency
        assert limited(limit, limit, KEEP, found[1]).returncode == 0
        assert limited(limit, limit, KEEP, str(int(found[1]) + 1)).returncode != 0
    else:
        assert message.endswith(f"allows {limit} (ulimit -n): even 1 needs 66")
        assert limited(limit, limit, KEEP, "1").returncode != 0


@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_fewer_threads_than_asked_for_are_said_in_one_line(
    engine: EngineName, tmp_path: Path
) -> None:
    """In 400 MB of address space there is room for a few threads, with a stack of 8 MB each."""
    code = (
        "import resource, sys, scraper.engines.threads, scraper.engines.curl\n"
        "from scraper.cli import main\n"
        "with open('/proc/self/statm') as file: used = int(file.read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_STACK, (8 << 20, 8 << 20))\n"
        "limit = used + (120 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    with HttpServer({"/": b"page"}) as server:
        path = tmp_path / "list.txt"
        path.write_text("".join(f"{server.url}/?{number}\n" for number in range(200)))
        out = str(tmp_path / "out")
        ended = limited(
            1024, 4096, code, str(path), "--to", out, "-c", "64", "--engine", engine, "-v"
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        assert "Traceback" not in ended.stderr
        assert server.total == 200
        said = [line for line in ended.stderr.splitlines() if "gives no more threads" in line]
        assert len(said) == (engine == "threads"), ended.stderr[-2000:]


@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_a_thousand_transfers_are_in_flight_at_once(engine: EngineName, tmp_path: Path) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections_to_keep(2 * THOUSAND)  # the server is in this process
    with ManyServer(THOUSAND) as server:
        urls = [f"{server.url}/{number}" for number in range(2 * THOUSAND)]
        results = list(scraper.run(urls, to=str(tmp_path), max_concurrency=THOUSAND, engine=engine))
        assert {result.status for result in results} == {"stored"}
        assert len(results) == server.total == 2 * THOUSAND
        assert server.most == THOUSAND
    assert soft <= resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_no_number_is_too_large_to_be_refused() -> None:
    with pytest.raises(UsageError, match="open files"):
        connections_to_keep(10**9)
