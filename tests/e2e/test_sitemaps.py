"""A sitemap as the list of a run."""

import gzip

import pytest

from tests.e2e.command import Command
from tests.servers import Reply, Request, Serve

HEAD = '<?xml version="1.0"?>\n'


@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_an_index_at_a_url_is_followed(engine: str, cli: Command, serve: Serve) -> None:
    pages: dict[str, bytes] = {}

    def answer(request: Request) -> Reply:
        found = pages.get(request.path)
        return Reply(404) if found is None else Reply(body=found)

    url = serve(answer).url
    maps = "".join(f"<sitemap><loc>{url}/{name}</loc></sitemap>" for name in ("1.gz", "no", "2"))
    pages["/index.xml"] = f"{HEAD}<sitemapindex>{maps}</sitemapindex>".encode()
    one = f"<url><loc>\n{url}/a?x&amp;y</loc><lastmod>2024-02-03</lastmod></url>"
    pages["/1.gz"] = gzip.compress(f"{HEAD}<urlset>{one}</urlset>".encode())
    pages["/2"] = f"<urlset><url><loc>{url}/b</loc></url><url><loc>{url}/".encode()
    pages["/a?x&y"], pages["/b"] = b"a", b"b"
    ran = cli("-i", f"{url}/index.xml", "--engine", engine, "--results", "-", "--retries", "0")
    assert ran.status == 1
    done = {one["url"]: one for one in ran.records if one["status"] == "stored"}
    assert set(done) == {f"{url}/a?x&y", f"{url}/b"}
    assert done[f"{url}/a?x&y"]["lastmod"] == "2024-02-03"
    assert set(cli.files().values()) == {b"a", b"b"}
    failed = [one["error"]["message"] for one in ran.records if one["status"] == "failed"]
    assert len(failed) == 2
    assert f"can't fetch the list '{url}/no': HTTP 404" in failed[0]
    assert f"the list '{url}/2' broke off: " in failed[1]
    assert "(line 1, column " in failed[1]


def test_a_list_that_a_list_names_is_no_way_around_public_only(cli: Command, serve: Serve) -> None:
    server = serve(lambda _: Reply(body=b"<urlset/>"))
    cli.write("index", f"<sitemapindex><sitemap><loc>{server.url}/</loc></sitemap></sitemapindex>")
    ran = cli("index", "--public-only", "--results", "-")
    assert (ran.status, server.requests) == (1, [])
    assert "is not public" in ran.records[0]["error"]["message"]


def test_xml_that_is_no_sitemap_is_one_clear_refusal(cli: Command) -> None:
    cli.write("feed", "<rss><channel/></rss>")
    assert (ran := cli("feed")).status == 2
    assert len(ran.complaints) == 1
    ran = cli("-", "--list-format", "sitemap", stdin="http://127.0.0.1:1/\n")
    assert (ran.status, "the list '-' is no sitemap: " in ran.err) == (2, True)
