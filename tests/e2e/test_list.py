"""`scraper list DEST`: what is stored, by the last record of each key."""

import json

import pytest

from tests.e2e.command import Command, folder
from tests.e2e.places import Directory, Place
from tests.servers import Reply, Serve


def test_each_object_is_listed_once_with_who_stored_it_last(
    cli: Command, place: Place, serve: Serve
) -> None:
    server = serve(lambda one: Reply(404 if one.path == "/gone" else 200, {}, one.path.encode()))
    first = [f"{server.url}/a\tk.txt", f"{server.url}/longer\tl.txt", f"{server.url}/gone"]
    for lines in (first, [f"{server.url}/another\tk.txt"]):
        cli("-", *place.words, stdin="\n".join(lines), env=place.environment)
    words = place.words[1:]
    table = cli("list", *words, env=place.environment)
    assert (table.status, table.lines[0]) == (0, "key\tsize\turl\tdate")
    rows = [line.split("\t") for line in table.lines[1:]]
    found = {key: (int(size), url) for key, size, url, _ in rows}
    assert found == {"k.txt": (8, f"{server.url}/another"), "l.txt": (7, f"{server.url}/longer")}
    assert cli("list", *words, "--format", "keys", env=place.environment).lines == [
        "l.txt",
        "k.txt",
    ]
    records = cli("list", *words, "--format", "json", env=place.environment).records
    assert [record["status"] for record in records] == ["stored", "stored"]
    assert set(found) == set(place.files())


def test_characters_that_drive_a_terminal_are_shown_safely(cli: Command, serve: Serve) -> None:
    server = serve(lambda _: Reply(200))
    cli("-", stdin=json.dumps({"url": f"{server.url}/\x1b[2Ja", "key": "k"}) + "\n")
    out = cli("list", "out").out
    assert "\\u001b[2Ja" in out
    assert "\x1b" not in out


def test_an_object_is_found_by_its_url(cli: Command, place: Place, serve: Serve) -> None:
    url = _stored(cli, place, serve, "{}/a\tk/a.txt", "{}/b", "{}/c?token=geheim")
    upper = url.replace("http", "HTTP") + "/x/../a#part"  # another spelling of the same URL
    words = ["list", *place.words[1:]]
    for asked in (f"{url}/a", upper):
        ran = cli(*words, "--format", "keys", asked, env=place.environment)
        assert (ran.status, ran.lines, ran.err) == (0, ["k/a.txt"], "")
    ran = cli(*words, f"{url}/b", f"{url}/c?token=geheim", env=place.environment)
    assert (ran.status, len(ran.lines)) == (0, 3)
    ran = cli(*words, f"{url}/a", f"{url}/none?token=geheim", env=place.environment)
    assert (ran.status, len(ran.lines)) == (1, 2)
    assert ran.errors == [f"scraper: nothing is stored of {url}/none?token=REDACTED"]


def test_what_is_no_url_is_wrong_usage(cli: Command, serve: Serve) -> None:
    _stored(cli, Directory(cli), serve, "{}/a")
    ran = cli("list", "out", "a")
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)


def test_without_a_manifest_it_is_wrong_usage(cli: Command) -> None:
    ran = cli("list", "nowhere")
    assert (ran.status, len(ran.errors), cli.wrote) == (2, 1, [])


def _stored(cli: Command, place: Place, serve: Serve, *lines: str, key: str = "url") -> str:
    """Store `lines`, in which `{}` is the server. Its URL."""
    server = serve(lambda one: Reply(200, {}, one.path.encode()))
    text = "".join(line.format(server.url) + "\n" for line in lines)
    assert cli("-", *place.words, "--key", key, stdin=text, env=place.environment).status == 0
    return server.url


def test_unlisted_is_what_no_line_of_any_list_names(
    cli: Command, place: Place, serve: Serve
) -> None:
    url = _stored(cli, place, serve, "{}/a.x", "{}/b.x", "{}/c\tc.txt", "{}/d\td.txt", "{}/e.x")
    cli.write("plain.txt", f"{url}/a.x", f"{url}/c\tother.txt", f"{url}/new")
    cli.write("more.csv", "url,key", f"{url}/another,d.txt")
    lists = ["--unlisted", "plain.txt", "--unlisted", "more.csv"]
    asked = ["list", *place.words[1:], *lists]
    ran = cli(*asked, "--format", "keys", env=place.environment)
    assert (ran.status, ran.err) == (0, "")
    at = folder(url)
    assert sorted(ran.lines) == sorted([f"{at}/b.x", "c.txt", f"{at}/e.x"])
    records = cli(*asked, "--format", "json", env=place.environment).records
    assert sorted(one["key"] for one in records) == sorted(ran.lines)


def test_the_rule_of_keys_and_stdin_are_those_of_the_run(cli: Command, serve: Serve) -> None:
    url = _stored(cli, Directory(cli), serve, "{}/a", "{}/b", key="hash")
    asked = ["list", "out", "--format", "json", "--unlisted", "-"]
    ran = cli(*asked, "--key", "hash", stdin=f"{url}/a\n")
    assert [one["url"] for one in ran.records] == [f"{url}/b"]
    table = ["--key", "hash", "--list-format", "tsv", "--url-column", "2"]
    ran = cli(*asked, *table, stdin=f"1\t{url}/a\n")
    assert [one["url"] for one in ran.records] == [f"{url}/b"]
    wrong = cli("list", "out", "--url-column", "2")
    assert (wrong.status, wrong.errors) == (
        2,
        ["scraper: --url-column says how a list is read: give --unlisted LIST"],
    )
    ran = cli(*asked, stdin=f"{url}/a\n")  # it is said that this may be a mistake
    assert (ran.status, len(ran.records), len(ran.errors)) == (0, 2, 1)
    cli.write("fetch.toml", 'key = "hash"', "retries = 1")
    ran = cli(*asked, "--config", "fetch.toml", stdin=f"{url}/a\n")
    assert ([one["url"] for one in ran.records], ran.err) == ([f"{url}/b"], "")
    ran = cli("list", "out", "--config", "fetch.toml", "--format", "json")
    assert (ran.status, len(ran.records), ran.err) == (0, 2, "")
    ran = cli(*asked, "--key", "hash", stdin=f"{url}/a\nno URL\n{url}/b\n")
    assert (ran.status, ran.out) == (0, "")
    assert ran.errors == ["scraper: 1 line names no target"]


@pytest.mark.parametrize(
    "content",
    [None, b"", b"# nothing\n\n", b"no URL\n", b"\x1f\x8b\x08 broken", b"http://h/a\x00", "http"],
    ids=["missing", "empty", "comments", "bad", "gzip", "binary", "remote"],
)
def test_a_list_that_names_nothing_is_refused(
    cli: Command, serve: Serve, content: bytes | str | None
) -> None:
    url = _stored(cli, Directory(cli), serve, "{}/a")
    cli.write("good.txt", f"{url}/other")
    name = f"{url}/list" if isinstance(content, str) else "list.txt"
    if isinstance(content, bytes):
        (cli.directory / "list.txt").write_bytes(content)
    ran = cli("list", "out", "--unlisted", "good.txt", "--unlisted", name)
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)


def test_a_rule_of_keys_without_a_list_is_wrong_usage(cli: Command, serve: Serve) -> None:
    _stored(cli, Directory(cli), serve, "{}/a")
    ran = cli("list", "out", "--key", "hash")
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
