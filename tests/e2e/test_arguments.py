"""URLs as arguments are targets; files, pipes and what -i names are lists."""

from typing import Any

import pytest

from tests.e2e.command import Command, folder
from tests.s3servers import CREDENTIALS, S3Server
from tests.servers import Serve

PAGES = {f"/{name}": name.encode() for name in ("a", "b", "c", "d", "e", "f")}
LISTED = b"<html>\n<body>\nno list\n</body>\n</html>\n"


def told(records: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """Path, source and line of each."""
    return [(one["url"].rpartition("/")[2], one["source"], one["line"]) for one in records]


@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_urls_as_arguments_are_fetched_and_not_read(
    engine: str, cli: Command, serve: Serve
) -> None:
    server = serve({"/page.html": LISTED, "/b.pdf": b"%PDF"})
    urls = [f"{server.url}/page.html", f"{server.url}/b.pdf"]
    ran = cli(*urls, "--to", "pages", "--engine", engine, "-c", 1)
    assert (ran.status, ran.out) == (0, "")
    site = folder(server.url)
    assert cli.files("pages") == {f"{site}/page.html": LISTED, f"{site}/b.pdf": b"%PDF"}
    records = cli.records("pages")
    assert told(records) == [("page.html", "arguments", 1), ("b.pdf", "arguments", 2)]


def test_a_url_alone_goes_to_out_and_into_a_bucket_too(
    cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    server = serve({"/page.html": LISTED})
    assert cli(f"{server.url}/page.html").status == 0
    assert [*cli.files("out").values()] == [LISTED]
    bucket = moto_server.make_bucket()
    to = ["--to", f"s3://{bucket}/p", "--s3-endpoint", moto_server.url]
    assert cli(f"{server.url}/page.html", *to, env=CREDENTIALS).status == 0
    key = f"p/{folder(server.url)}/page.html"
    assert moto_server.client.get_object(Bucket=bucket, Key=key)["Body"].read() == LISTED


def test_urls_files_stdin_and_lists_at_urls_are_read_in_order(cli: Command, serve: Serve) -> None:
    base = serve(PAGES).url
    cli.write("list.txt", f"{base}/b")
    cli.write("last.txt", f"{base}/f")
    ran = cli(
        *("-i", "last.txt", f"{base}/a", "list.txt", f"{base}/c", f"{base}/d", "-"),
        *("-c", 1, "--results", "-"),
        stdin=f"{base}/e\n",
    )
    assert ran.status == 0
    assert told(ran.records) == [
        ("a", "arguments", 1),
        ("b", "list.txt", 1),
        ("c", "arguments", 3),
        ("d", "arguments", 4),
        ("e", "-", 1),
        ("f", "last.txt", 1),
    ]


def test_a_list_of_i_is_a_list_wherever_it_lies(
    cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    bodies = dict(PAGES)
    server = serve(bodies)
    bodies["/list"] = f"{server.url}/a\n{server.url}/b\tkey\n".encode()
    bucket = moto_server.make_bucket()
    there = f"{server.url}/d\n".encode()
    moto_server.client.put_object(Bucket=bucket, Key="list", Body=there)
    cli.write("list.txt", f"{server.url}/c")
    ran = cli(
        *("-i", f"{server.url}/list", "--input-file", "list.txt", "-i", f"s3://{bucket}/list"),
        *("-i", "-", "-c", 1, "--results", "-", "--s3-endpoint", moto_server.url),
        env=CREDENTIALS,
        stdin=f"{server.url}/e\n",
    )
    assert ran.status == 0, ran.err
    assert told(ran.records) == [
        ("a", f"{server.url}/list", 1),
        ("b", f"{server.url}/list", 2),
        ("c", "list.txt", 1),
        ("d", f"s3://{bucket}/list", 1),
        ("e", "-", 1),
    ]


def test_a_list_of_i_alone_leaves_stdin_alone(cli: Command, serve: Serve) -> None:
    server = serve(PAGES)
    cli.write("list.txt", f"{server.url}/a")
    for words, env in ((["-i", "list.txt"], {}), ([], {"SCRAPER_INPUT_FILE": "list.txt"})):
        ran = cli(*words, "-q", "--results", "-", env=env, stdin=f"{server.url}/b\n")
        assert told(ran.records) == [("a", "list.txt", 1)]


def test_several_lists_in_a_variable_stand_on_lines_and_in_a_file_in_an_array(
    cli: Command, serve: Serve
) -> None:
    bodies = dict(PAGES)
    server = serve(bodies)
    bodies["/list"] = f"{server.url}/a\n".encode()
    cli.write("two", f"{server.url}/b")
    lists = [f"{server.url}/list", "two"]
    cli.write("config.toml", f"input-file = {lists}")
    for words, env in (
        ([], {"SCRAPER_INPUT_FILE": "\n".join(lists)}),
        (["--config", "config.toml"], {}),
    ):
        ran = cli(*words, "-q", "-c", 1, "--results", "-", env=env)
        assert told(ran.records) == [("a", lists[0], 1), ("b", "two", 1)]


def test_the_same_url_twice_is_fetched_once(cli: Command, serve: Serve) -> None:
    server = serve(PAGES)
    cli.write("list.txt", f"{server.url}/a")
    ran = cli(f"{server.url}/a", f"{server.url}/a", "list.txt", "-c", 1, "--results", "-")
    assert (ran.status, server.hits) == (0, {"/a": 1})
    assert sorted(one["status"] for one in ran.records) == ["duplicate", "duplicate", "stored"]


def test_an_argument_may_have_a_key_as_a_line_has(cli: Command, serve: Serve) -> None:
    server = serve(PAGES)
    assert cli(f"{server.url}/a\tmine.txt").status == 0
    assert cli.files() == {"mine.txt": b"a"}


def test_a_key_of_the_line_is_the_place_among_the_arguments(cli: Command, serve: Serve) -> None:
    server = serve(PAGES)
    assert cli(f"{server.url}/a", f"{server.url}/b", "--key", "{line}").status == 0
    assert cli.files() == {"1": b"a", "2": b"b"}


def test_arguments_are_previewed(cli: Command) -> None:
    ran = cli("--dry-run", "https://h/a?token=s3cret", "HTTPS://h/b")
    assert (ran.status, cli.wrote) == (0, [])
    assert [line.partition("\t")[0] for line in ran.lines] == [
        "https://h/a?token=REDACTED",
        "HTTPS://h/b",
    ]


def test_a_run_of_arguments_goes_on(cli: Command, serve: Serve) -> None:
    server = serve(PAGES)
    urls = [f"{server.url}/a", f"{server.url}/b"]
    assert cli(urls[0]).status == 0
    ran = cli(*urls, "--resume", "-c", 1, "--results", "-")
    assert [one["status"] for one in ran.records] == ["skipped", "stored"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://", "'http://': not a valid URL"),
        ("https://host:99999/", "'https://host:99999/': not a valid URL"),
        ("http://me:s3cret/@host/", "'http://REDACTED@host/': not a valid URL"),
    ],
)
def test_an_argument_that_is_no_url_ends_the_run_before_it_begins(
    url: str, said: str, cli: Command, serve: Serve
) -> None:
    server = serve(PAGES)
    ran = cli(f"{server.url}/a", url)
    assert (ran.status, ran.out) == (2, "")
    assert ran.errors[0] == f"scraper: {said}"
    assert (cli.wrote, server.total) == ([], 0)
