"""A system that gives few threads: fewer transfers at once, or status 3; never a trace.

The limit is RLIMIT_NPROC, of a user of its own: the kernel counts the threads of a user, and does
not limit root. So `setpriv` changes the user. It leaves the right to read and write all files,
since the interpreter may lie where only root can read.
"""

import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import orjson
import pytest

from tests.s3servers import S3Server
from tests.servers import HttpServer

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("prlimit"),
    reason="only root can run a program as another user, whose threads are counted anew",
)

LINES = 20
ENOUGH = 16  # threads, for any of these runs
REFUSED = "the system gives no more threads (ulimit -u, ulimit -v)"
FEWER = "the system gives no more threads: at most "
PYTHON = (sys.executable, "-P")
WHOLE = f"{LINES} objects: {LINES} whole, 0 missing, 0 changed, 0 unreadable, 0 unknown"
_TIMEOUT_S = 120


def within(threads: int) -> list[str]:
    """The words before a command that let it have `threads` threads, the first one included."""
    uid = f"{61_000 + os.getpid() % 4_000}"
    rights = "-all,+dac_override"
    user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return [
        *user,
        f"--inh-caps={rights}",
        f"--ambient-caps={rights}",
        "prlimit",
        f"--nproc={threads}:{max(threads, ENOUGH)}",
    ]


@pytest.fixture(params=["threads", "curl"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["directory", "boto3", "curl"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """Options that name a destination, and its variables."""
    if request.param == "directory":
        return ["--to", str(tmp_path / "out")], {}
    if request.param == "curl" and find_spec("pycurl") is None:
        pytest.skip("pycurl is not installed")
    server: S3Server = request.getfixturevalue("moto_server")
    bucket = f"s3://{server.make_bucket()}/p"
    options = ["--to", bucket, "--s3-endpoint", server.url, "--s3-client", request.param]
    return options, server.credentials


def listed(server: HttpServer, path: Path, run: int) -> str:
    """A list of pages that no earlier run has asked for."""
    path.write_text("".join(f"{server.url}/?{run}-{number}\n" for number in range(LINES)))
    return str(path)


def judge(status: int, log: str, asked: int) -> None:
    """Everything is stored, or nothing was asked for; and that is said in one line."""
    assert "Traceback" not in log, log
    assert "panicked" not in log, log
    assert status in {0, 3}, log
    assert asked == (0 if status else LINES), log
    if status:
        assert log.count("\n") == 1, log
        assert REFUSED in log
    assert log.count(FEWER) <= 1


@pytest.mark.each_value
def test_all_is_stored_or_nothing_is_begun(
    engine: str, place: tuple[Sequence[str], dict[str, str]], tmp_path: Path
) -> None:
    """Results go to a pipe. A run that left the lock behind would hold up the next one (75)."""
    options, variables = place
    statuses = []
    with HttpServer({"/": b"page"}) as server:
        for threads in range(1, 10):
            before = server.total
            urls = listed(server, tmp_path / "urls.txt", threads)
            words = [urls, *options, "--engine", engine, "--results", "-", "-q", "-c", "8"]
            ended = subprocess.run(
                [*within(threads), *PYTHON, "-m", "scraper", *words],
                env=os.environ | variables,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
            judge(ended.returncode, ended.stderr, server.total - before)
            results = [orjson.loads(line) for line in ended.stdout.splitlines()]
            statuses.append(ended.returncode)
            assert [one["status"] for one in results] == ["stored"] * (server.total - before)
    # In between, it depends on whether the list was read to its end by then.
    assert (statuses[0], statuses[-1]) == (3, 0)


def test_a_display_is_left_out(engine: str, tmp_path: Path) -> None:
    said = []
    with HttpServer({"/": b"page"}) as server:
        for threads in range(1, 8):
            before = server.total
            path = listed(server, tmp_path / "urls.txt", threads)
            words = ["-", "--to", str(tmp_path / "out"), "--engine", engine, "-c", "8"]
            ours, theirs = pty.openpty()
            with (
                ThreadPoolExecutor(1) as reader,
                subprocess.Popen(
                    [*within(threads), *PYTHON, "-m", "scraper", *words],
                    stdin=subprocess.PIPE,
                    stderr=theirs,
                    env=os.environ | {"TERM": "xterm"},
                ) as running,
            ):
                os.close(theirs)
                told = reader.submit(_all_of, ours)  # a terminal that nobody reads is full soon
                assert running.stdin is not None
                running.stdin.write(Path(path).read_bytes())
                running.stdin.flush()  # the thread that reads it has no end yet
                while running.poll() is None and server.total - before < LINES:
                    time.sleep(0.01)
            log = told.result().replace("\r\n", "\n")
            judge(running.returncode, log, server.total - before)
            said.append("no display" in log)
    assert said.count(True) == 1  # the one thread fewer that a run without a display needs
    assert not said[-1]


def _all_of(terminal: int) -> str:
    text = b""
    with open(terminal, "rb", buffering=0) as file:
        try:
            while more := file.read(1 << 16):
                text += more
        except OSError:  # EIO: nobody has the other end any more
            pass
    return text.decode()


def script(threads: int, code: str, *words: str, **variables: str) -> None:
    ended = subprocess.run(
        [*within(threads), *PYTHON, "-c", code, *words],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.each_value
@pytest.mark.parametrize("threads", [1, 3, 5])
@pytest.mark.parametrize("place", ["directory", "boto3"], indirect=True)  # Rust keeps its threads
def test_a_run_that_could_not_begin_leaves_nothing_behind(
    threads: int, engine: str, place: tuple[Sequence[str], dict[str, str]]
) -> None:
    """In the same process: a second run, with more threads, finds the destination free."""
    code = (
        "import resource, sys, threading, scraper\n"
        "from scraper.model.errors import NoThread\n"
        "from scraper.model.settings import S3\n"
        "url, engine, to, *s3 = sys.argv[1:]\n"
        "more = {'s3_endpoint': s3[0], 's3_client': s3[1]} if s3 else {}\n"
        "def run(): return list(scraper.run([url], to=to, engine=engine, **more))\n"
        "try:\n"
        "    run()\n"
        "except NoThread:\n"
        "    pass\n"
        "hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))\n"
        "[result] = run()\n"
        "assert result.status in {'stored', 'not_modified'}, result\n"
    )
    options, variables = place
    where = [options[1], *options[3::2]]
    with HttpServer({"/": b"page"}) as server:
        script(threads, code, f"{server.url}/", engine, *where, **variables)


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 12])
def test_a_large_body_is_put_by_the_threads_that_there_are(
    threads: int, moto_server: S3Server, tmp_path: Path
) -> None:
    """At once, or part by part."""
    code = (
        "import hashlib, sys\n"
        "from pathlib import Path\n"
        "from scraper.model.settings import S3\n"
        "from scraper.sinks.base import SinkOptions\n"
        "from scraper.sinks.objects.metadata import Facts\n"
        "from scraper.sinks.s3.bucket import Bucket, Sizes\n"
        "name, endpoint, path = sys.argv[1:]\n"
        "least = 5 << 20\n"
        "sizes = Sizes(part_threshold=least, part=least)\n"
        "bucket = Bucket(name, SinkOptions(8, S3(endpoint=endpoint)), sizes)\n"
        "data = Path(path).read_bytes()\n"
        "facts = Facts(hashlib.sha256(data).hexdigest())\n"
        "for key in 'ab':\n"
        "    bucket.put_file(key, Path(path), len(data), facts)\n"
        "bucket.close()\n"
    )
    bucket = moto_server.make_bucket()
    data = os.urandom(3 << 20) * 5
    body = tmp_path / "body"
    body.write_bytes(data)
    script(threads, code, bucket, moto_server.url, str(body), **moto_server.credentials)
    assert moto_server.read(bucket, "a") == moto_server.read(bucket, "b") == data


def test_lines_that_must_not_be_lost_need_a_thread_and_a_log_does_not() -> None:
    code = (
        "import os, re, socket, pytest\n"
        "from scraper.model.errors import NoThread\n"
        "from scraper.report.outputs import Output, of_descriptor\n"
        "from scraper.report.writer import Losses, Writer\n"
        "none = lambda _error: None\n"
        "losses = Losses(10.0, lambda lost: b'missing %d\\n' % lost)\n"
        "reader, end = os.pipe()\n"
        "pair = socket.socketpair()\n"
        "for fd in (end, pair[0].fileno()):\n"
        "    with pytest.raises(NoThread):\n"
        "        Writer(of_descriptor(fd), none)\n"
        "for fd, read in ((end, lambda: os.read(reader, 1 << 20)),\n"
        "                 (pair[0].fileno(), lambda: pair[1].recv(1 << 20))):\n"
        "    log = Writer(of_descriptor(fd), none, losses=losses)\n"
        "    line = b'x' * 999 + b'\\n'\n"
        "    for _ in range(3000):\n"
        "        log.write([line])\n"
        "    assert 0 < log.lost < 3000, log.lost\n"
        "    text = read()\n"
        "    log.write([b'last\\n'])\n"
        "    assert log.finish(lambda: 0.0)\n"
        "    while not text.endswith(b'last\\n'):\n"
        "        text += read()\n"
        "    said = sum(int(n) for n in re.findall(rb'missing ([0-9]+)', text))\n"
        "    assert said == log.lost, (said, log.lost)\n"
        "    assert text.count(line) == 3000 - said\n"
    )
    script(1, code)


def test_verify_needs_no_thread(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with HttpServer({"/": b"page"}) as server:
        urls = listed(server, tmp_path / "urls.txt", 0)
        fetch = [*PYTHON, "-m", "scraper", urls, "--to", out, "-q"]
        assert subprocess.run(fetch, timeout=_TIMEOUT_S, check=False).returncode == 0
    ended = subprocess.run(
        [*within(1), *PYTHON, "-m", "scraper", "verify", out],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, WHOLE + "\n")
