"""Runs against servers that alter their tags by coding: the second one gets its 304s."""

from pathlib import Path

import pytest

from tests.real_servers import apache
from tests.run.test_loop import fetch, statuses
from tests.servers import Reply, Request, Serve

ENGINES = pytest.mark.parametrize("engine", ["threads", "curl"])
PAGE = b"<p>a line of a page that is worth coding</p>\n" * 100


@ENGINES
@pytest.mark.parametrize("place", ["plain", "gzip", "br"])
def test_apache_gives_its_304_for_a_coded_page(engine: str, place: str, tmp_path: Path) -> None:
    with apache({"a.html": PAGE, "b.html": PAGE[:1000]}) as url:
        urls = [f"{url}/{place}/{name}.html" for name in ("a", "b")]
        first = fetch(urls, tmp_path, engine=engine)
        assert statuses(first) == {"stored": 2}
        etag = first[0].response and first[0].response.etag
        assert etag
        assert etag.endswith({"plain": '"', "gzip": '-gzip"', "br": '-br"'}[place])
        for _ in range(2):  # the record of a 304 serves the next run
            assert statuses(fetch(urls, tmp_path, engine=engine)) == {"not_modified": 2}
        if place != "plain":  # another form of the body
            assert statuses(fetch(urls, tmp_path, engine=engine, raw=True)) == {"stored": 2}


@ENGINES
def test_a_server_that_knows_its_coded_tag_alone_gives_its_304_too(
    engine: str, serve: Serve, tmp_path: Path
) -> None:
    asked: list[str] = []

    def answer(request: Request) -> Reply:
        asked.append(request.headers.get("if-none-match", ""))
        headers = {"ETag": '"x-br"', "Vary": "Accept-Encoding"}
        same = '"x-br"' in [tag.strip() for tag in asked[-1].split(",")]
        return Reply(304 if same else 200, headers, b"" if same else PAGE)

    server = serve(answer)
    assert statuses(fetch([server.url], tmp_path, engine=engine)) == {"stored": 1}
    assert statuses(fetch([server.url], tmp_path, engine=engine)) == {"not_modified": 1}
    assert asked == ["", '"x-br", "x"']
