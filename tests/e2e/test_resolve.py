"""--resolve and -4 hold for lists at URLs, robots.txt, targets and redirects."""

import pytest

from tests.e2e.command import Command
from tests.servers import Reply, Serve


@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_a_whole_run_goes_to_the_given_address(engine: str, cli: Command, serve: Serve) -> None:
    server = serve(
        {
            "/list": lambda request: Reply(body=f"http://site.test:{server.port}/a\n".encode()),
            "/robots.txt": b"User-agent: *\nDisallow: /private\n",
            "/a": lambda request: Reply(302, {"Location": f"http://moved.test:{server.port}/b"}),
            "/b": b"a page",
        }
    )
    site = f"http://site.test:{server.port}"
    ran = cli(
        *("-i", f"http://list.test:{server.port}/list", f"{site}/private", "--robots", "-4"),
        *("--resolve", f"*:{server.port}:[::1],127.0.0.1", "--engine", engine, "--to", "out"),
        *("--results", "-", "-q"),
    )
    asked = [(request.host.partition(":")[0], request.path) for request in server.requests]
    assert sorted(asked) == [
        ("list.test", "/list"),
        ("moved.test", "/b"),
        ("site.test", "/a"),
        ("site.test", "/robots.txt"),
    ]
    assert ran.status == 1, "one line is forbidden"
    assert '"status":"stored"' in ran.out
    assert '"kind":"robots"' in ran.out


def test_it_is_a_variable_with_several_lines_and_a_key_of_the_file(
    cli: Command, serve: Serve
) -> None:
    server = serve({"/a": b"a", "/b": b"b"})
    entries = [f"{name}.test:{server.port}:127.0.0.1" for name in ("one", "two")]
    urls = f"http://one.test:{server.port}/a", f"http://two.test:{server.port}/b"
    ran = cli(*urls, "--to", "v", env={"SCRAPER_RESOLVE": "\n".join(entries)})
    assert ran.status == 0, ran.err
    cli.write("c.toml", f"resolve = {entries}", "ipv4 = true")
    ran = cli("--config", "c.toml", *urls, "--to", "f")
    assert ran.status == 0, ran.err
