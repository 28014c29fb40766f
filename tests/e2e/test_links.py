"""Lists at URLs whose links are relative to themselves."""

import pytest

from tests.e2e.command import Command
from tests.servers import Reply, Request, Serve

LISTS = {
    "html": (b"<a href=b>b</a><img src=/c>", ["--list-format", "html"]),
    "feed": (
        b"<rss><item><enclosure url='b'/><enclosure url='/c'/></item></rss>",
        ["--list-format", "feed"],
    ),
    "m3u": (b'#EXTM3U\n#EXT-X-MAP:URI="b"\n/c\n', []),
}


@pytest.mark.parametrize("form", LISTS)
def test_they_are_relative_to_where_a_redirect_led(form: str, cli: Command, serve: Serve) -> None:
    content, words = LISTS[form]

    def answer(request: Request) -> Reply:
        if request.path == "/list":
            return Reply(302, {"Location": "/d/list?x"})
        return Reply(body=content if request.path.startswith("/d/list") else b"")

    server = serve(answer)
    ran = cli("-i", f"{server.url}/list", *words, "--results", "-")
    assert ran.status == 0, ran.err
    assert {one["url"].removeprefix(server.url) for one in ran.records} == {"/d/b", "/c"}
