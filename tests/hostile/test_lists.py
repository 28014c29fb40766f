"""Hostile lists: what each line is taken for, to the letter.

A line is asked for through a proxy of ours, which takes any host there is, so that what
travels is seen as it is sent.
"""

import base64
import gzip
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.model.options import EngineName
from scraper.model.records import Failed, Stored
from tests.e2e.command import WAIT_S, Command, folder
from tests.servers import HttpServer, Reply, Request, Serve

ENGINES = ["threads", "curl"]

# The line, the URL that is asked for, the key.
ASKED = [
    # Blanks and tabs
    ("http://a/b c.html", "http://a/b%20c.html", "a_http/b_c--nl4mrp5bbbpb2.html"),
    ("http://a/ x/ y", "http://a/%20x/%20y", "a_http/_x--untspc67aggma/_y--qmeikq4ayszqy"),
    ("  http://a/x.html?a b  ", "http://a/x.html?a%20b", "a_http/x--lbt3rk5qypqws.html"),
    ("http://a/x.html\tk/y z.txt", "http://a/x.html", "k/y z.txt"),
    ("http://a/x.html\t", "http://a/x.html", "a_http/x.html"),
    ("http://a/x.html \t spaced ", "http://a/x.html", "spaced"),
    ("http://a/x.html\xa0", "http://a/x.html%C2%A0", "a_http/x.html_--3jsw4o4cpvt74"),
    ("http://a/x.html\u3000", "http://a/x.html%E3%80%80", "a_http/x.html_--jiwikzenev2uu"),
    ("\x01http://a/x.html\x1f", "http://a/x.html", "a_http/x.html"),
    # Hosts
    ("http://B\xdcCHER.de/", "http://xn--bcher-kva.de/", "xn--bcher-kva.de_http/index.html"),
    ("http://xn--bcher-kva.de/", "http://xn--bcher-kva.de/", "xn--bcher-kva.de_http/index.html"),
    ("http://fa\xdf.example/", "http://xn--fa-hia.example/", "xn--fa-hia.example_http/index.html"),
    ("http://\uff45\uff58.example/", "http://ex.example/", "ex.example_http/index.html"),
    ("http://a\u3002example/", "http://a.example/", "a.example_http/index.html"),
    ("http://\u2603.example/", "http://xn--n3h.example/", "xn--n3h.example_http/index.html"),
    ("http://%65x%61mple.com/", "http://example.com/", "example.com_http/index.html"),
    # Passwords; what looks like a host before or after them
    ("http://u:p@a/", "http://u:p@a/", "a_http/index.html"),
    ("http://u@v@a/x.html", "http://u@v:@a/x.html", "a_http/x.html"),
    ("http://u%40:p%3A@a/x.html", "http://u@:p:@a/x.html", "a_http/x.html"),
    ("http://u:p@evil.example@a/x.html", "http://u:p@evil.example@a/x.html", "a_http/x.html"),
    ("http://:@a/", "http://a/", "a_http/index.html"),
    ("http://@a/x.html", "http://a/x.html", "a_http/x.html"),
    (
        "http://a\\@evil.example/x.html",
        "http://a/@evil.example/x.html",
        "a_http/@evil.example--muhcal6vaj75a/x.html",
    ),
    # Ports
    ("http://a:/x.html", "http://a/x.html", "a_http/x.html"),
    ("http://a:080/x.html", "http://a/x.html", "a_http/x.html"),
    ("http://a:443/x.html", "http://a:443/x.html", "a_http_443/x.html"),
    ("http://a:65535/x.html", "http://a:65535/x.html", "a_http_65535/x.html"),
    ("http://a:0/x.html", "http://a:0/x.html", "a_http_0/x.html"),
    # Addresses
    ("http://[0:0:0:0:0:0:0:1]/x.html", "http://[::1]/x.html", "0-z-1_ipv6_http/x.html"),
    (
        "http://[::FFFF:127.0.0.1]/x.html",
        "http://[::ffff:7f00:1]/x.html",
        "0-z-ffff-7f00-1_ipv6_http/x.html",
    ),
    (
        "http://[2001:DB8::0:1]:8080/x.html",
        "http://[2001:db8::1]:8080/x.html",
        "2001-db8-z-1_ipv6_http_8080/x.html",
    ),
    ("http://0177.0.0.1/x.html", "http://127.0.0.1/x.html", "127.0.0.1_http/x.html"),
    ("http://0x7f.1/x.html", "http://127.0.0.1/x.html", "127.0.0.1_http/x.html"),
    ("http://2130706433/x.html", "http://127.0.0.1/x.html", "127.0.0.1_http/x.html"),
    ("http://0x7f000001/x.html", "http://127.0.0.1/x.html", "127.0.0.1_http/x.html"),
    ("http://017700000001/x.html", "http://127.0.0.1/x.html", "127.0.0.1_http/x.html"),
    ("http://127.1/x.html", "http://127.0.0.1/x.html", "127.0.0.1_http/x.html"),
    ("http://127.0.0.1./x.html", "http://127.0.0.1/x.html", "127.0.0.1_http/x.html"),
    ("http://\uff11\uff12\uff17.0.0.1/x.html", "http://127.0.0.1/x.html", "127.0.0.1_http/x.html"),
    ("http://0/x.html", "http://0.0.0.0/x.html", "0.0.0.0_http/x.html"),
    # Fragments and empty queries
    ("http://a/x.html#part", "http://a/x.html", "a_http/x.html"),
    ("http://a/x.html?#part", "http://a/x.html?", "a_http/x--4kywzt5hmkmeq.html"),
    ("http://a/x.html#a#b", "http://a/x.html", "a_http/x.html"),
    ("http://a#part", "http://a/", "a_http/index.html"),
    ("http://a/%23.html", "http://a/%23.html", "a_http/_--bdxh7vb4wa67w.html"),
    # Percent-encoding: none, half, wrong, twice, in either case
    ("http://a/%", "http://a/%", "a_http/_--pixav6jk5qbw4"),
    ("http://a/%2", "http://a/%2", "a_http/_2--l6lzc7zfkf25u"),
    ("http://a/%zz.html", "http://a/%zz.html", "a_http/_zz--o3sncpj2uoktm.html"),
    ("http://a/%00.html", "http://a/%00.html", "a_http/_--yrpr3zxcsg7i6.html"),
    ("http://a/%0d%0aX:%20y", "http://a/%0d%0aX:%20y", "a_http/__X__y--qrs35raz2rule"),
    ("http://a/%2e%2e/%2E%2e/x.html", "http://a/x.html", "a_http/x.html"),
    (
        "http://a/%252e%252e/x.html",
        "http://a/%252e%252e/x.html",
        "a_http/_2e_2e--ehr5jnug3fmgk/x.html",
    ),
    ("http://a/\xe9.html", "http://a/%C3%A9.html", "a_http/\xe9.html"),
    ("http://a/%C3%A9.html", "http://a/%C3%A9.html", "a_http/\xe9.html"),
    ("http://a/%c3%a9.html", "http://a/%c3%a9.html", "a_http/\xe9--5xpztoctpcuag.html"),
    ("http://a/%E9.html", "http://a/%E9.html", "a_http/_E9--obgz346dknbzu.html"),
    ("http://a/%ff%fe", "http://a/%ff%fe", "a_http/_ff_fe--6ft24e4duwfw2"),
    ("http://a/b%2Fc.html", "http://a/b%2Fc.html", "a_http/b_c--cvobjxe3r7hpk.html"),
    ("http://a/b%2fc.html", "http://a/b%2fc.html", "a_http/b_c--qdajwpp4w5j3g.html"),
    ("http://a/%7Ex.html", "http://a/%7Ex.html", "a_http/_x--cicgjfv753sf6.html"),
    ("http://a/~x.html", "http://a/~x.html", "a_http/_x--debrct5japeza.html"),
    (
        "http://a/?q=%zz%&r=\xe9",
        "http://a/?q=%zz%&r=%C3%A9",
        "a_http/index--djv7h3lmtsci4.html",
    ),
    (
        "http://a/?'\"<>`{}|^\\",
        "http://a/?%27%22%3C%3E`{}|^\\",
        "a_http/index--mnsalxq3i3m3a.html",
    ),
    # What a terminal would obey
    ("http://a/\x7f", "http://a/%7F", "a_http/_--6rw7bwwdxcyyw"),
    ("http://a/\x1b[2J", "http://a/%1B[2J", "a_http/__2J--vv4fv5qiynxk2"),
    ("http://a/\u202ex.html", "http://a/%E2%80%AEx.html", "a_http/_x--fz53d6etynady.html"),
    # Slashes and dots, too few and too many
    ("http:a/x.html", "http://a/x.html", "a_http/x.html"),
    ("http:\\\\a\\x.html", "http://a/x.html", "a_http/x.html"),
    ("hTTp:////a/x.html", "http://a/x.html", "a_http/x.html"),
    ("http://a/../../x.html", "http://a/x.html", "a_http/x.html"),
    ("http://a/d/./../x.html", "http://a/x.html", "a_http/x.html"),
    ("http://a?q", "http://a/?q", "a_http/index--pq7ezplm3nz5y.html"),
    ("http://a//", "http://a//", "a_http/--6misl56tedlkq/index.html"),
    (
        "http://a///x.html",
        "http://a///x.html",
        "a_http/--6misl56tedlkq/--l252wiseeuox6/x.html",
    ),
    # JSON
    ('{"url": "http://a/\\u00e9.html"}', "http://a/%C3%A9.html", "a_http/\xe9.html"),
    ('{"url": "http://a/1", "url": "http://a/x.html"}', "http://a/x.html", "a_http/x.html"),
    ('{"url": "http://a/x.html", "line": 1e99, "source": []}', "http://a/x.html", "a_http/x.html"),
]

NO_URL = "not a valid URL"
SCHEME = "no scheme: a URL begins with http:// or https://"
BREAK = "line break within a line: lines end with LF or CR LF"
NUL = "line has a NUL byte"
NO_TEXT = "line is not UTF-8"

# The line, and why it is none.
REFUSED: list[tuple[bytes, str]] = [
    # Bytes
    (b"http://a/\xff", NO_TEXT),
    (b"http://a/\xed\xa0\x80", NO_TEXT),
    (b"http://a/\xc0\xaf", NO_TEXT),
    (b"http://a/\0", NUL),
    (b"http://a/x\tk\0", NUL),
    (b"h\0t\0t\0p\0:\0/\0/\0a\0", NUL),  # UTF-16 in mid list
    (b"http://a/1\rhttp://a/2", BREAK),
    (b"http://a/1\tkey\rhttp://a/2\tkey", BREAK),
    (b"# a comment\rhttp://a/2", BREAK),
    (b"http://a/".ljust(10_000_000, b"x"), "line is longer than 65,536 bytes"),
    # What looks like nothing
    (b"\xef\xbb\xbfhttp://a/", f"{NO_URL}: it has the character U+FEFF"),  # as `cat` leaves it
    (b"\xc2\xa0http://a/", f"{NO_URL}: it has the character U+00A0"),
    (b"http://\xe2\x80\x8ba b/", f"{NO_URL}: it has the character U+200B"),
    (b"\thttp://a/", "no URL"),
    (b"http://a\t/x", "key '/x' is absolute: it leaves the destination"),
    (b"http:/\t/a/x", NO_URL),
    (b"ht\ttp://a/", SCHEME),
    # Hosts
    (b"http://a b/", NO_URL),
    (b"http://%b/" % (b"a" * 60_000), "host name is longer than 254 bytes"),
    (b"http://xn--/", NO_URL),
    (b"http://xn--a/", NO_URL),
    (b"http://xn--0.example/", NO_URL),
    (b"http://xn--zz--zz.example/", NO_URL),
    (b"http://a%00b/", NO_URL),
    (b"http://a%2fb/", NO_URL),
    (b"http://ex%zzample/", NO_URL),
    ("http://\xad/".encode(), f"{NO_URL}: it has the character U+00AD"),
    (b"http://u:p@/", NO_URL),
    (b"http://a@", NO_URL),
    (b"http://", NO_URL),
    # Ports
    (b"http://a:65536/", NO_URL),
    (b"http://a:-1/", NO_URL),
    (b"http://a:80x/", NO_URL),
    (b"http://a: 80/", NO_URL),
    ("http://a:\uff18\uff10/".encode(), NO_URL),
    # Addresses
    (b"http://[::1%25eth0]/", NO_URL),
    (b"http://[fe80::1%eth0]/", NO_URL),
    (b"http://[::1/", NO_URL),
    (b"http://::1/", NO_URL),
    (b"http://[::g]/", NO_URL),
    (b"http://[1:2:3:4:5:6:7:8:9]/", NO_URL),
    (b"http://[v1.x]/", NO_URL),
    (b"http://[]/", NO_URL),
    (b"http://256.1.1.1/", NO_URL),
    (b"http://1.2.3.4.5/", NO_URL),
    (b"http://09/", NO_URL),
    (b"http://4294967296/", NO_URL),
    # Schemes
    (b"file:///etc/passwd", "scheme 'file' is not http or https"),
    (b"ftp://a/", "scheme 'ftp' is not http or https"),
    (b"javascript:alert(1)", "scheme 'javascript' is not http or https"),
    (b"data:text/plain,x", "scheme 'data' is not http or https"),
    (b"view-source:http://a/", "scheme 'view-source' is not http or https"),
    (b"C:\\x", "scheme 'c' is not http or https"),
    (b"//a/x", SCHEME),
    (b"/etc/passwd", SCHEME),
    # JSON
    (b"{", "line is not JSON: unexpected end of data: line 1 column 2 (char 1)"),
    (b'{"url": "http://a/"}\r{"url": "http://b/"}', "line is not JSON: unexpected content after"),
    (b'{"a":' * 5_000, "line is not JSON: "),
    (b'{"url": "\\ud800"}', "line is not JSON: "),
    (b'{"url": 5}', 'JSON line has no "url"'),
    (b'{"url": ["http://a/"]}', 'JSON line has no "url"'),
    (b'{"url": {"url": "http://a/"}}', 'JSON line has no "url"'),
    (b'{"url": true}', 'JSON line has no "url"'),
    (b'{"url": ""}', "no URL"),
    (b'{"url": "http://a/\\u0000"}', NUL),
    (b'{"url": "http://a/\\nhttp://b/"}', "URL has a line break"),
    (b"http://a/x.html\tone\ttwo", "line has two TABs: it is URL, or URL<TAB>key"),
    (b"http://a/x.html\t\tone", "line has two TABs: it is URL, or URL<TAB>key"),
    (b"http://a/\thttp://b/", "key 'http://b/' is a URL: a line has one URL"),
    (b"http://a/\thttp://b:pw@b/?token=x", "key 'http://REDACTED@b/?token=REDACTED' is a URL"),
    (b'{"url": "http://a/", "key": "S3://b/c"}', "key 'S3://b/c' is a URL: a line has one URL"),
    (b'{"url": "http://a/", "key": 5}', '"key" of a JSON line is not a string'),
    (b'{"url": "http://a/", "key": {}}', '"key" of a JSON line is not a string'),
    (b'{"url": "http://a/", "headers": []}', '"headers" of a JSON line is not an object'),
    (b'{"url": "http://a/", "headers": {"A": 5}}', "header 'A' of a JSON line is not allowed in"),
    (b'{"url": "http://a/", "headers": {"A": "b\\r\\nC: d"}}', "header 'A' of a JSON line is not"),
    (b'{"url": "http://a/", "headers": {":path": "/"}}', "header ':path' of a JSON line is not"),
    (
        b'{"url": "http://a/", "headers": {"Content-Length": "5"}}',
        "header 'Content-Length' of a JSON line announces a body, and there is none",
    ),
    (
        b'{"url": "http://a/", "headers": {"transfer-encoding": "chunked"}}',
        "header 'transfer-encoding' of a JSON line announces a body, and there is none",
    ),
]


def shown(request: Request) -> str:
    """The URL that was asked for, with the password that came along."""
    secret = request.headers.get("authorization", "").removeprefix("Basic ")
    who = f"{base64.b64decode(secret).decode()}@" if secret else ""
    return request.path.replace("://", f"://{who}", 1)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_line_is_asked_for_as_a_browser_would(
    engine: EngineName, tmp_path: Path, serve: Serve
) -> None:
    proxy = serve(lambda request: Reply(body=shown(request).encode()))
    for line, asked, key in ASKED:
        (result,) = scraper.run([line], to=tmp_path, engine=engine, proxy=proxy.url)
        assert isinstance(result.outcome, Stored), line
        assert (result.target.key, (tmp_path / key).read_bytes()) == (key, asked.encode()), line


def test_a_line_that_is_no_target_is_one_failed_result_with_its_number(
    cli: Command, serve: Serve
) -> None:
    proxy = serve(lambda request: Reply(body=b"reached"))
    (cli.directory / "list").write_bytes(b"".join(line + b"\n" for line, _ in REFUSED))
    ran = cli("list", "--proxy", proxy.url, "--results", "-")
    assert ran.status == 1
    for number, (record, (line, reason)) in enumerate(zip(ran.records, REFUSED, strict=True), 1):
        assert (record["line"], record["status"], record["attempts"]) == (number, "failed", 0), line
        assert record["error"]["kind"] == "bad_url"
        assert record["error"]["message"].startswith(reason), line
        assert "key" not in record
    assert proxy.total == 0
    assert cli.files() == {}
    assert len(ran.err) < 20_000  # no line in full


@pytest.mark.parametrize("engine", ENGINES)
def test_an_address_in_any_spelling_is_connected_to(
    engine: EngineName, tmp_path: Path, serve: Serve
) -> None:
    server = serve(lambda request: Reply(body=request.host.encode()))
    spellings = ["0177.0.0.1", "0x7f.1", "2130706433", "017700000001", "127.1", "[::ffff:7f00:1]"]
    lines = [f"http://{host}:{server.port}/\t{host}" for host in spellings]
    results = list(scraper.run(lines, to=tmp_path, engine=engine))
    assert [result.status for result in results] == ["stored"] * len(spellings)
    told = {result.target.key: (tmp_path / result.target.key).read_text() for result in results}
    mapped = told.pop("___ffff_7f00_1_")
    assert mapped == f"[::ffff:7f00:1]:{server.port}"
    assert set(told.values()) == {f"127.0.0.1:{server.port}"}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("http://127.0.0.1:0/", "connect", "can't connect: Connection refused"),
        (f"http://{'a' * 64}.example/", "dns", "no name to look up: "),
        (f"http://{'a' * 254}/", "dns", "no name to look up: "),
        ("http://a..example/", "dns", "no name to look up: "),
        ("http://.example/", "dns", "no name to look up: "),
    ],
    ids=["port 0", "label", "name", "dots", "dot"],
)
def test_what_only_looks_like_a_place_is_given_up_at_once(
    engine: EngineName, url: str, kind: str, message: str, tmp_path: Path
) -> None:
    (result,) = scraper.run([url], to=tmp_path, engine=engine, retries=0)
    assert isinstance(result.outcome, Failed)
    failure = result.outcome.failure
    assert (failure.kind.value, failure.message[: len(message)]) == (kind, message)


# ---------------------------------------------------------------- whole lists

ONE, TWO = "http://a/1", "http://a/2"
NEVER_CLOSED = "a quote is never closed"
COMMENT = "no URL: a line of a table is no comment"

# What is in a file, and what becomes of its lines: which URL it is, or why it is none.
FILES: dict[str, tuple[bytes, dict[int, str]]] = {
    "bom.txt": (b"\xef\xbb\xbfhttp://a/1\r\nhttp://a/2\r\n", {1: ONE, 2: TWO}),
    "bom-comment.txt": (b"\xef\xbb\xbf# http://a/1\nhttp://a/2", {2: TWO}),
    "bom-json.txt": (b'\xef\xbb\xbf{"url": "http://a/1"}', {1: ONE}),
    "ends.txt": (b"http://a/1\r\r\n\r\r\nhttp://a/2\n\r", {1: ONE, 3: TWO}),
    "mac.txt": (b"http://a/1\rhttp://a/2\r", {1: BREAK}),
    "mac-comment.txt": (b"# two\rhttp://a/1\rhttp://a/2\r", {1: BREAK}),
    "members": (gzip.compress(b"http://a/1\nht") + gzip.compress(b"tp://a/2"), {1: ONE, 2: TWO}),
    "junk.csv": (b'url\n"http://a/1"x\nhttp://a/2\n', {2: "no row: ',' expected", 3: TWO}),
    "inner.csv": (b'url\nhttp://a/"1"\n"http://a/""1"""\n', {2: 'http://a/"1"', 3: 'http://a/"1"'}),
    "doubled.csv": (b'note,url\n"say ""no"", or\n,",http://a/2\n', {2: TWO}),
    "open.csv": (b'url\nhttp://a/1\n"http://a/2\nx\n', {2: ONE, 3: NEVER_CLOSED, 4: SCHEME}),
    "open-note.csv": (b'note,url\n"open,http://a/1\nx,http://a/2\n', {2: NEVER_CLOSED, 3: TWO}),
    "open-titles.tsv": (b'url\tx\nhttp://a/1\t"A\nhttp://a/2\tB"\n', {2: ONE, 3: TWO}),
    "two-lines.csv": (b'note,url\n"a\nb",http://a/1\n,http://a/2\n', {2: ONE, 4: TWO}),
    "broken.csv": (b'url\n"http://a/1\nhttp://a/"\nhttp://a/2\n', {2: "URL has a line", 4: TWO}),
    "mac.csv": (b"url\nhttp://a/1\rhttp://a/2\nhttp://a/2\n", {2: BREAK, 3: TWO}),
    "comment.csv": (b'url,x\n#it,"s\nhttp://a/1,\n#it,s"\nhttp://a/2,\n', {2: COMMENT, 5: TWO}),
    "quoted-hash.csv": (b'id,url\n"#1",http://a/1\n#2,http://a/2\n', {2: ONE, 3: TWO}),
    "blank.csv": (b'url,key\n,\n"",\n\n ,\nhttp://a/1\n', {5: "no URL", 6: ONE}),
    "short.csv": (b"id,url\n1\n2,http://a/1,more,columns\n", {2: "no URL", 3: ONE}),
    "twice.csv": (b"url,url\nhttp://a/1,http://a/2\n", {2: ONE}),
    "spaced.csv": (b'url\n "http://a/1"\n', {2: NO_URL}),
    "no-text.csv": (b"url,x\nhttp://a/1,\xff\n\xff,\n", {2: ONE, 3: NO_TEXT}),
    "quoted.tsv": (b'url\tkey\n"http://a/1"\t\n', {2: ONE}),
}


def test_every_kind_of_list_is_read_to_its_end_with_its_own_line_numbers(
    cli: Command, serve: Serve
) -> None:
    proxy = serve(lambda request: Reply(body=b"page"))
    for name, (content, _) in FILES.items():
        (cli.directory / name).write_bytes(content)
    ran = cli(*FILES, "--proxy", proxy.url, "--results", "-")
    assert ran.status == 1
    for name, (_, wanted) in FILES.items():
        became = {r["line"]: r for r in ran.records if r["source"] == name}
        assert sorted(became) == list(wanted), name
        for line, expected in wanted.items():
            if expected.startswith("http"):
                assert became[line]["status"] in {"stored", "duplicate"}, (name, line)
                assert became[line]["url"] == expected, (name, line)
            else:
                assert became[line]["error"]["kind"] == "bad_url", (name, line)
                assert became[line]["error"]["message"].startswith(expected), (name, line)


WIDE = "is UTF-16 or UTF-32: save it as UTF-8"
LINES = "http://127.0.0.1:1/a\r\nhttp://127.0.0.1:1/b\r\n"


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_list_in_another_unicode_is_one_clear_error_and_nothing_is_written(
    coding: str, cli: Command
) -> None:
    for name, text in (("list.txt", LINES), ("list.csv", f"url\r\n{LINES}")):
        (cli.directory / name).write_bytes(text.encode(coding))
        ran = cli(name)
        assert (ran.status, ran.out) == (2, "")
        assert ran.err == f"scraper: the list '{name}' {WIDE}\n"
    assert cli.wrote == ["list.csv", "list.txt"]


def test_a_pipe_in_another_unicode_ends_the_run_and_says_so(cli: Command) -> None:
    ran = cli("-", stdin=LINES.encode("utf-16"))
    assert (ran.status, ran.out) == (2, "")
    assert f"scraper: the list '-' {WIDE}" in ran.errors
    assert cli.records() == []


def peak_bytes(process: subprocess.Popen[bytes]) -> int:
    """The most memory that it has had; it runs still."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) * 1024


@pytest.mark.parametrize("name", ["list.txt", "list.gz", "list.csv"])
def test_a_line_of_two_hundred_megabytes_costs_no_memory(name: str, cli: Command) -> None:
    lines = [b"url\n", b'{"url": "http://a/', b"x" * 1_000_000, b'"}\nnonsense\n']
    opener: Any = gzip.open if name.endswith("gz") else open
    with opener(cli.directory / name, "wb") as file:
        file.writelines([lines[0], lines[1], *lines[2:3] * 200, lines[3]])
    words = [name, "-", "--results", "-"]  # the pipe keeps it alive
    with cli.start(*words, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        count = 2 if name.endswith("csv") else 3
        records = [json.loads(process.stdout.readline()) for _ in range(count)]
        peak = peak_bytes(process)
        assert cli.ended(process).status == 1
    assert [record["line"] for record in records][-2:] == [2, 3]
    assert records[-2]["error"]["message"] == "line is longer than 65,536 bytes"
    assert len(records[-2]["url"]) <= 200
    assert peak < 120_000_000


def test_two_thousand_lines_of_sixty_kilobytes_are_not_held_in_memory(
    cli: Command, serve: Serve
) -> None:
    with HttpServer(lambda request: Reply(body=b"page"), keep_requests=False) as server:
        lines = (f"{server.url}/?{number}{'x' * 60_000}\n" for number in range(2_000))
        with (cli.directory / "list").open("w") as file:
            file.writelines(lines)
        words = ["list", "-", "-q", "--results", "-", "--manifest", "/dev/null"]
        with cli.start(*words, stdin=subprocess.PIPE) as process:
            assert process.stdout is not None
            statuses = [json.loads(process.stdout.readline())["status"] for _ in range(2_000)]
            peak = peak_bytes(process)
            assert cli.ended(process).status == 0
    assert set(statuses) == {"stored"}
    assert peak < 130_000_000


# ---------------------------------------------------------------- a list that includes itself


def test_a_list_that_is_stored_over_itself_is_read_as_it_was(cli: Command, serve: Serve) -> None:
    server = serve(lambda request: Reply(body=f"{server.url}/never\n".encode() * 9))
    mine = f"{folder(server.url)}/list.txt"
    (cli.directory / mine).parent.mkdir()
    others = [f"{server.url}/{n}.txt?{'x' * 60_000}" for n in range(200)]  # half is not read ahead
    cli.write(mine, f"{server.url}/list.txt", *others)
    ran = cli(mine, "--to", ".", "-q", "-c", 1, "--results", "-")
    assert (ran.status, len(ran.records)) == (0, 201)
    assert {record["status"] for record in ran.records} == {"stored"}
    assert server.hits["/never"] == 0
    assert (cli.directory / mine).read_text() == f"{server.url}/never\n" * 9


def test_a_list_at_a_url_may_list_that_url(cli: Command, serve: Serve) -> None:
    server = serve(lambda request: Reply(body=f"{server.url}/list\n{server.url}/a\n".encode()))
    ran = cli("-i", f"{server.url}/list", "--results", "-")
    assert [record["status"] for record in ran.records] == ["stored", "stored"]
    assert server.hits == {"/list": 2, "/a": 1}


GROWING = [
    ("list", "--results - < {0} >> {0}", "--results '-' is the list too"),
    ("list", "--results - {0} >> {0}", "--results '-' is the list too"),
    ("list", "-q {0} 2>> {0}", None),
    ("list", "--dry-run {0} >> {0}", "stdout '-' is the list too"),
    ("list", "--log-file {0} < {0}", "--log-file 'list' is the list too"),
    ("list", "--log-file hard {0}", "--log-file 'hard' is the list too"),
    ("list", "--results link {0}", "--results 'link' is the list too"),
    ("out/.scraper/manifest.jsonl", "{0}", "--manifest 'out/.scraper/manifest.jsonl' is"),
    ("out/.scraper/manifest.jsonl", "< {0}", "--manifest 'out/.scraper/manifest.jsonl' is"),
    ("list", "--manifest hard {0}", "--manifest 'hard' is the list too"),
]


@pytest.mark.parametrize(("name", "words", "said"), GROWING)
def test_a_list_that_would_grow_by_the_words_about_it_is_refused(
    name: str, words: str, said: str | None, cli: Command, serve: Serve
) -> None:
    server = serve({"/a": b"a"})
    (cli.directory / "out/.scraper").mkdir(parents=True)
    path = cli.write(name, json.dumps({"url": f"{server.url}/a"}))
    (cli.directory / "hard").hardlink_to(path)
    (cli.directory / "link").symlink_to(path)
    before = path.read_text()
    ran = run_in_shell(cli, words.format(name))
    assert ran.returncode == 2
    if said is None:  # it is the last line of the list now
        assert path.read_text() == f"{before}scraper: stderr is the list too\n"
    else:
        assert ran.stderr.startswith(f"scraper: {said}".encode())
        assert path.read_text() == before
    assert server.total == 0


def run_in_shell(cli: Command, words: str) -> subprocess.CompletedProcess[bytes]:
    line = f"{shlex.join(cli.words())} {words}"
    return subprocess.run(
        ["sh", "-c", line],
        cwd=cli.directory,
        env=cli.environment,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )
