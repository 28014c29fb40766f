"""`scraper plan`: what bounds a run is told before it; its shards together are as one run."""

import fcntl
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.command import Command
from tests.e2e.places import Bucket, Place
from tests.s3servers import Front, S3Server
from tests.servers import HttpFarm, Reply, Request

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 7))


@pytest.fixture
def site() -> Iterator[HttpFarm]:
    """Six hosts."""

    def answer(request: Request) -> Reply:
        return Reply(body=f"{request.headers['host']}{request.path}".encode())

    with HttpFarm(answer, HOSTS) as farm:
        yield farm


def write_list(cli: Command, site: HttpFarm, *more: str) -> list[str]:
    """A list of which half the lines are of one host."""
    urls = [f"http://{host}:{site.port}/{page}" for host in HOSTS for page in range(3)]
    urls += [f"http://{HOSTS[3]}:{site.port}/giant/{page}" for page in range(15)]
    cli.write("list", "".join(f"{line}\n" for line in [*urls, *more]))
    return urls


def test_shards_of_a_plan_are_as_one_run(cli: Command, place: Place, site: HttpFarm) -> None:
    urls = write_list(cli, site, "no url")
    planned = cli("plan", "list", *place.words, "--shards", 3, env=place.environment)
    assert (planned.status, planned.err) == (0, "")
    assert site.total == 0
    assert "/.scraper/plans/0001-of-3/shard-0/plan.json" in planned.out
    status = cli("status", *place.words[1:], env=place.environment)
    assert status.status == 3
    assert "0 of 3 done" in status.out
    records: list[dict[str, Any]] = []
    for number in range(3):
        ran = cli(
            *("list", *place.words, "--shard", f"{number}/3", "--results", "-", "-q"),
            env=place.environment,
        )
        records += ran.records
        hosts = {one["url"].split("/")[2] for one in ran.records if one["status"] == "stored"}
        if number == 0:  # the longest
            assert hosts == {f"{HOSTS[3]}:{site.port}"}
            assert ran.status == 1  # the bad line
        else:
            assert ran.status == 0
    assert Counter(one["status"] for one in records) == Counter(stored=len(urls), failed=1)
    assert sorted(one["line"] for one in records) == list(range(1, len(urls) + 2))
    assert site.total == len(urls)
    assert cli("status", *place.words[1:], env=place.environment).status == 1
    whole = cli("list", *place.words, "--resume", "--results", "-", "-q", env=place.environment)
    assert Counter(one["status"] for one in whole.records)["skipped"] == len(urls)
    assert not [key for key in place.files() if "plan.json" in key]


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
def test_no_shard_looks_for_objects_in_a_store_that_was_empty_when_it_was_planned(
    cli: Command, moto_server: S3Server, site: HttpFarm, *, filled: bool
) -> None:
    urls = write_list(cli, site)
    bucket = moto_server.make_bucket()
    if filled:
        moto_server.client.put_object(Bucket=bucket, Key="pages/other", Body=b"x")
    with Front(moto_server.url, lambda _: None) as front:
        place = Bucket(moto_server, bucket, front.url)

        def ran(*words: object) -> int:
            """How often all objects were listed."""
            front.asked.clear()
            made = cli(*words, *place.words, env=place.environment)
            assert made.status == 0, made.err
            asked = [parse_qs(urlsplit(one.path).query) for one in front.asked]
            return sum(one.get("prefix") == ["pages/"] for one in asked)

        assert ran("plan", "list", "--shards", 2) == 1
        assert [ran("list", "--shard", f"{n}/2", "-q") for n in range(2)] == [filled, filled]
    assert len(place.files()) == len(urls) + filled


def test_what_bounds_the_run_is_told(cli: Command) -> None:
    lines = [f"https://example.com/{page}\n" for page in range(3_600)]
    lines += [f"https://h{number}.example/\n" for number in range(100)]
    cli.write("list", "".join(lines))
    words = ("plan", "list", "--to", "out", "--workers", 2, "--per-host", 4)
    told = cli(*words, "--latency", 2)
    assert (told.status, told.err) == (0, "")
    first, bound, shards, where, then = told.out.splitlines()
    assert first == "3,700 URLs of 101 hosts"
    assert bound == (
        "example.com: 3,600 lines at 4 at once and 2 s: 30 min 00 s, whatever the number of workers"
    )
    assert shards.startswith("10 shards: the longest 30 min 00 s, the median ")
    assert where == "plan:  out/.scraper/plans/0001-of-10/shard-0/plan.json"
    assert then == (
        "next:  scraper list --to out --per-host 4 --resume --shard I/10,"
        " for I from 0 to 9, the lowest first"
    )
    slow = cli(*words, "--delay", 1, "--dry-run")
    assert "example.com: 3,600 lines at 4 at once and 1 s apart: 1 h 00 min 00 s" in slow.out
    found = json.loads(cli(*words, "--latency", 2, "--json", "--dry-run").out)
    assert found["bounds"] == [{"host": "example.com", "lines": 3600, "seconds": 1800.0}]
    assert (found["lines"], found["hosts"], len(found["shards"])) == (3700, 101, 10)
    assert found["plan"] is None


def test_keys_that_two_shards_could_make_are_told_while_planning(
    cli: Command, tmp_path: Path
) -> None:
    path = tmp_path / "list"
    path.write_text("http://a.example/1\tall/1\nhttp://a.example/2\nhttp://b.example/1\tall/1\n")
    ran = cli("plan", path, "--to", tmp_path / "out", "--shards", 2)
    assert (ran.status, len(ran.complaints)) == (0, 1), ran.err
    assert f"the keys of 2 lines ({path}:1) " in ran.err


def test_a_plan_is_made_of_stdin_and_a_dry_run_writes_nothing(cli: Command) -> None:
    told = cli("plan", "--dry-run", "-", stdin=b"http://a.example/\nhttp://b.example/\n")
    assert told.status == 0
    assert told.out.startswith("2 URLs of 2 hosts\n")
    assert "2 shards: the longest 0.0 s" in told.out
    assert not (cli.directory / "out").exists()


def test_a_shard_is_previewed_as_it_was_planned(cli: Command, site: HttpFarm) -> None:
    urls = write_list(cli, site)
    assert cli("plan", "list", "--shards", 2).status == 0
    keys = [cli("list", "--dry-run", "--shard", f"{number}/2").out for number in range(2)]
    assert f"127.0.0.4_http_{site.port}/giant/3" in keys[0]
    assert sum(text.count("\n") for text in keys) == len(urls)
    hosts = {line.split("/")[2] for line in keys[0].splitlines()}
    assert hosts == {f"{HOSTS[3]}:{site.port}"}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["plan", "nothing"], 2, "nothing"),
        (["plan", "empty"], 2, "the list has no URL"),
        (["plan", "list", "--key", "{path}"], 2, "two shards might make one key"),
        (["plan", "list", "--workers", "0"], 2, "--workers"),
        (["plan", "list", "--latency", "0"], 2, "--latency"),
        (["plan", "list", "--shards", "100001"], 2, "--shards"),
        (["plan", "list", "--to", "list"], 3, "it is a file"),
        (["plan", "list", "--to", "tar:a.tar"], 2, "several runs can't write to 'tar:a.tar'"),
        (["plan", "list", "--to", "warc:a"], 2, "--shard does not go with warc"),
    ],
)
def test_a_wrong_call_is_one_line(cli: Command, words: list[str], status: int, said: str) -> None:
    cli.write("list", "http://a.example/\n")
    cli.write("empty", "# nothing\n")
    ran = cli(*words)
    assert (ran.status, ran.out) == (status, "")
    assert said in ran.err.splitlines()[0]


def test_a_run_keeps_planning_out(cli: Command) -> None:
    cli.write("list", "http://a.example/\n")
    assert cli("plan", "list").status == 0
    with (cli.directory / "out/.scraper/lock").open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ran = cli("plan", "list")
    assert (ran.status, ran.out) == (75, "")
    assert "another run holds" in ran.err
