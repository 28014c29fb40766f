"""`scraper report DEST`: a page about a run, or about all shards."""

import re

import pytest

from tests.e2e.command import MANIFEST, SUMMARY, Command, parsed
from tests.e2e.places import Place
from tests.servers import Reply, Request, Serve

pytest.importorskip("vl_convert")


def words_of(html: str) -> str:
    """Its text, in one line."""
    body = re.sub(r"<(style|svg).*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL)
    return " ".join(body.split())


def page_of(cli: Command, place: Place, *words: str) -> str:
    ran = cli("report", *place.words[1:], "-o", "-", *words, env=place.environment)
    assert (ran.status, ran.err) == (0, "")
    return words_of(ran.out)


def test_the_last_run_is_told_and_what_changed_since_the_one_before(
    cli: Command, place: Place, serve: Serve
) -> None:
    later = False

    def answer(request: Request) -> Reply:
        gone = request.path == ("/b" if later else "/a")
        body = b"new" if later and request.path == "/c" else b"old"
        return Reply(404 if gone else 200, {"Content-Type": "text/plain"}, body)

    server = serve(answer)
    cli.write("urls", *(f"{server.url}/{name}" for name in "abcd"))
    assert cli("urls", *place.words, "-q", env=place.environment).status == 1
    first = page_of(cli, place)
    assert "3 stored 1 failed" in first
    assert "HTTP 404" in first
    assert "Since the last run" not in first
    later = True
    assert cli("urls", *place.words, "-q", env=place.environment).status == 1
    second = page_of(cli, place)
    assert f"failed now, had a body before example {server.url}/b 1" in second
    assert f"has a body now, failed before example {server.url}/a 1" in second
    assert f"another body than before example {server.url}/c 1" in second
    assert "the same body 1" in second
    assert "text/plain" in second
    assert "Runs, the latest first" in second


def test_a_file_is_written_and_replaced(cli: Command, serve: Serve) -> None:
    server = serve({"/a": b"a"})
    cli(f"{server.url}/a")
    (cli.directory / "r.html").write_text("x" * 10**6)
    ran = cli("report", "out", "-o", "r.html")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    html = (cli.directory / "r.html").read_text()
    assert html.startswith("<!DOCTYPE html>")
    assert html.endswith("</html>\n")
    run = parsed((cli.directory / "out" / MANIFEST).read_bytes())[0]["run"]
    (cli.directory / "out" / SUMMARY).unlink()
    told = words_of(cli("report", "out", "--run", run, "-o", "-").out)
    assert f"no summary Run {run}" in told


def test_a_manifest_elsewhere_has_its_summary_beside_it(cli: Command, serve: Serve) -> None:
    cli(f"{serve({'/a': b'a'}).url}/a", "--manifest", "m.jsonl", "-q")
    told = words_of(cli("report", "out", "--manifest", "m.jsonl", "-o", "-").out)
    assert "out exit 0 Run" in told
    assert "1 stored" in told


def test_all_shards_are_one_page(cli: Command, serve: Serve) -> None:
    server = serve(lambda _: Reply(200, {}, b"body"))
    port = server.url.rpartition(":")[2]
    cli.write("urls", f"http://127.0.0.1:{port}/", f"http://localhost:{port}/", "http://[::")
    for number in range(2):
        cli("urls", "--shard", f"{number}/2", "--to", "out", "-q")
    told = words_of(cli("report", "out", "-o", "-").out)
    assert "Shards: 2 of 2" in told
    assert "2 stored 1 failed" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none"], "there is no manifest in 'none': no run has stored anything there"),
        (["out", "--run", "x"], "there is no record of a run 'x'"),
        (["out", "-o", "none/r.html"], "--output: can't write 'none/r.html': No such file"),
    ],
)
def test_wrong_calls_are_one_line(words: list[str], said: str, cli: Command, serve: Serve) -> None:
    cli(f"{serve({'/a': b'a'}).url}/a")
    ran = cli("report", *words)
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert ran.errors[0].startswith(f"scraper: {said}")


@pytest.mark.parametrize("name", ["vl_convert", "jinja2"])
def test_without_its_libraries_the_command_says_what_to_install(
    name: str, cli: Command, serve: Serve
) -> None:
    cli(f"{serve({'/a': b'a'}).url}/a")
    cli.write(f"{name}.py", "raise ImportError")
    ran = cli("report", "out", env={"PYTHONPATH": str(cli.directory)})
    needs = "the report needs vl-convert-python and Jinja2: pip install 'scraper[report]'"
    assert (ran.status, ran.errors) == (2, [f"scraper: {needs}"])
    assert not (cli.directory / "report.html").exists()
