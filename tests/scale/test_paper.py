"""The page has what `python -m tests.scale.paper` prints, and the program asks what it counts."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.command import Command
from tests.s3servers import Asked, Front, S3Server
from tests.scale import paper
from tests.servers import HttpFarm, Reply

PAGE = (Path(__file__).parent.parent.parent / "docs/scale.md").read_text(encoding="utf-8")
HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 9))


@pytest.mark.parametrize(
    "words", [[], ["--way", "shard", "--shards", "100"]], ids=["cluster", "shard"]
)
def test_the_page_has_the_table_as_it_is_printed(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert paper.main(words) == 0
    assert capsys.readouterr().out in PAGE


def test_prices_are_the_readers_own(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--way", "shard", "--urls", "1_000_000", "--put-price", "1", "--get-price", "2"]
    assert paper.main(words) == 0
    printed = capsys.readouterr().out
    assert "| PUT of bodies | 1,000,000 | 1,000.00 |" in printed
    gets = paper.WAYS["shard"].gets
    assert f"| GET and HEAD | {500 * gets:,} | {gets:,}.00 |" in printed


def test_more_shards_cost_nothing_but_their_own_requests() -> None:
    few, many = (
        paper.work_out(paper.Job(10**8, 100, 500.0, shards, "shard", 0.005, 0.0004))
        for shards in (1_000, 10_000)
    )
    assert many.of_shards == 10 * few.of_shards
    same = ("look_s", "run_s", "bodies", "segments", "renewals", "record_bytes")
    assert all(getattr(few, name) == getattr(many, name) for name in same)


def test_a_shard_sends_to_s3_what_the_page_counts(cli: Command, moto_server: S3Server) -> None:
    """By the log of the endpoint: of the second shard, as the first makes what all share."""
    bucket = moto_server.make_bucket()
    with (
        HttpFarm(lambda _: Reply(body=b"a page"), HOSTS) as farm,
        Front(moto_server.url, lambda _: None) as front,
    ):
        cli.write("urls.txt", *(f"http://{host}:{farm.port}/" for host in HOSTS))
        words = ("--to", f"s3://{bucket}/p", "--s3-endpoint", front.url)
        env, before = moto_server.environment(), 0
        assert cli("plan", "urls.txt", *words, "--shards", 2, env=env).status == 0
        for shard in ("0/2", "1/2"):
            front.asked.clear()
            before = farm.total
            ran = cli(
                *("urls.txt", *words, "--resume", "--shard", shard, "-q"),
                env=env,
            )
            assert ran.status == 0, ran.err
        bodies = farm.total - before
    kinds, way = Counter(map(kind_of, front.asked)), paper.WAYS["shard"]
    assert bodies > 0
    assert kinds["PUT body"] == bodies
    assert kinds["PUT segment"] >= 1
    assert kinds["LIST"] == way.lists
    of_all = [one.path for one in front.asked if one.path.endswith("plans%2F")]
    assert of_all
    assert all("delimiter=%2F" in one for one in of_all)  # names of plans, and not what they keep
    # A lease is put again, and read, where the shard takes longer than a part of it.
    assert len({one.path for one in front.asked if kind_of(one) == "PUT"}) == way.puts
    assert kinds["GET"] >= way.gets


def kind_of(asked: Asked) -> str:
    path, _, query = asked.path.partition("?")
    if "list-type" in query:
        return "LIST"
    if asked.operation != "PUT":
        return "GET" if asked.operation == "HEAD" else asked.operation
    if re.search(r"/manifest-\d+-\w+\.jsonl$", path):
        return "PUT segment"
    return "PUT" if "/.scraper/" in path else "PUT body"
