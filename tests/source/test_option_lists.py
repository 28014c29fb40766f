"""Lists in the form of aria2's input file and of curl's config."""

from pathlib import Path

import pytest

from scraper.model.errors import ListBroken
from scraper.model.records import Result, Target
from scraper.source import keys, lists
from scraper.source.grammar import grammar_of
from scraper.source.sources import open_sources
from tests.lists import never, target


def listed(path: Path, content: str, form: str) -> tuple[list[lists.Read], list[str]]:
    """What a list says, and what is to be said of it."""
    path.write_text(content, encoding="utf-8", newline="")
    told: list[str] = []
    (source,) = open_sources([str(path)], never, grammar_of(list_format=form))
    return list(lists.read(source, keys.url_key, told.append)), told


def reasons(items: list[lists.Read]) -> list[str]:
    """Why lines are no targets."""
    return [item.failure.message for item in items if isinstance(item, Result) and item.failure]


def targets(items: list[lists.Read]) -> list[Target]:
    return [item for item in items if isinstance(item, Target)]


ARIA2 = """# a comment
http://a/x\thttp://b/x?y=1\tftp://c/x
  out=one.bin
  dir=sub/dir
  checksum=SHA-256=0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef
  header=X-One: 1
\theader=Authorization: Bearer secret-1
  user-agent=me/1
  referer=*
  split=5
http://a/dir/y%20z?q
  dir=sub
  checksum=adler32=00000001
  max-tries=2
  split=7

http://a/plain
"""


def test_aria2s_input_file_is_read(tmp_path: Path) -> None:
    items, told = listed(tmp_path / "list", ARIA2.replace("\n", "\r\n"), "aria2")
    one, two, three = (target(item) for item in items)
    assert (one.url, one.key) == ("http://a/x", "sub/dir/one.bin")
    assert [mirror.url for mirror in one.mirrors] == ["http://b/x?y=1"]
    assert one.expected is not None
    assert one.expected.digests == (("sha256", "0123456789abcdef" * 4),)
    assert one.headers == {
        "X-One": "1",
        "Authorization": "Bearer secret-1",
        "User-Agent": "me/1",
        "Referer": "http://a/x",
    }
    assert (two.key, two.expected) == ("sub/y z", None)
    assert (three.key, three.headers) == (keys_of("http://a/plain"), {})
    assert "secret" not in "".join(told)
    for name in ("split", "max-tries", "checksum"):
        assert f"'{name}'" in "".join(told)
    assert "".join(told).count("'split'") == 1


def keys_of(url: str) -> str:
    from scraper.model.urls import parse

    return keys.url_key(parse(url))


def test_what_is_wrong_in_aria2s_input_file_is_told_by_its_place(tmp_path: Path) -> None:
    content = "\n  out=x\n  dir=y\nhttp://a/1\n  dir=/etc\nhttp://a/2\n  dir=../x\n"
    content += "http://a/3\n  header=secret\nhttp://a/4\n"
    items, _ = listed(tmp_path / "list", content, "aria2")
    why = reasons(items)
    assert why[0] == "line 2: an option without a URL before it"
    assert "dir=/etc is absolute" in why[1]
    assert "leaves the destination" in why[2]
    assert why[3] == "line 9: a header is not NAME: VALUE"
    assert [one.url for one in targets(items)] == ["http://a/4"]
    assert len(items) == 5


@pytest.mark.parametrize(
    "line", ["http://a/2", "http://a/2?x=secret", "header X: secret", "p: x=secret"]
)
def test_an_indented_line_that_is_no_option_of_aria2_makes_a_failure(
    line: str, tmp_path: Path
) -> None:
    content = f"http://a/1\n  out=x\n  {line}\n \n\xa0\nhttp://a/3\n"
    items, told = listed(tmp_path / "list", content, "aria2")
    assert reasons(items)[0] == "line 3: an indented line is no option NAME=VALUE"
    assert [one.url for one in targets(items)] == ["http://a/3"]
    assert not told


def test_only_the_name_of_an_option_is_shown(tmp_path: Path) -> None:
    content = "http://a/1\n  http-passwd=secret\n  checksum=secret\n  checksum=secret=1\n"
    _, told = listed(tmp_path / "list", content, "aria2")
    assert "'http-passwd'" in "".join(told)
    assert "'checksum'" in "".join(told)
    content = "proxy-user=bob:secret\npass: secret\n-U bob:secret\n-sUbob:secret\n"
    _, more = listed(tmp_path / "list", content + "--pass=secret\n--pass:secret\n", "curl")
    assert "'proxy-user'" in "".join(more)
    assert "secret" not in "".join([*told, *more])


CURL = r"""
# a comment
url = "http://a/1?q=\"x\"\\y"
output = one.bin
--url http://a/2
-o "two \"2\".bin"
header: "X-One: a\tb"
-H "X-Two: 2"
user-agent "me/1"
referer=http://r/
-sSLo three.bin
url=http://a/3
silent
retry = 5
next
url = a/4
-ofour.bin
H = x
"""


def test_curls_config_is_read(tmp_path: Path) -> None:
    items, told = listed(tmp_path / "list", CURL, "curl")
    found = targets(items)
    assert not reasons(items)
    assert [(one.listed, one.key) for one in found] == [
        ('http://a/1?q="x"\\y', "one.bin"),
        ("http://a/2", "two _2_.bin"),
        ("http://a/3", "three.bin"),
        ("http://a/4", "four.bin"),
    ]
    headers = {"X-One": "a\tb", "X-Two": "2", "User-Agent": "me/1", "Referer": "http://r/"}
    assert [one.headers for one in found] == [headers] * 3 + [{}]
    for name in ("-s", "-S", "-L", "silent", "retry", "h"):
        assert f"'{name}'" in "".join(told)


def test_what_is_wrong_in_curls_config_is_told_by_its_place(tmp_path: Path) -> None:
    content = "url = http://a/[1-3]\nurl = http://[::1]/x\noutput = a\noutput = -\noutput = c\n"
    items, _ = listed(tmp_path / "list", content, "curl")
    assert reasons(items) == [
        "line 1: the URL has a glob of curl: give each URL by itself",
        "line 4: output is stdout",
        "line 5: output without a URL",
    ]
    items, _ = listed(tmp_path / "list", 'url = http://a/1\nheader = "secret"\n', "curl")
    assert reasons(items) == ["line 1: line 2: a header is not NAME: VALUE"]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("data = secret", "data"),
        ("--data-urlencode secret", "data-urlencode"),
        ("json={}", "json"),
        ("form-string = a=b", "form-string"),
        ("upload-file = x", "upload-file"),
        ("request = POST", "request"),
        ("user = bob:secret", "user"),
        ("-sSd secret", "data"),
        ("-r0-9", "range"),
        ("-I", "head"),
        ("-G", "get"),
        ("-b secret", "cookie"),
        ("-z file", "time-cond"),
    ],
)
def test_an_option_of_curl_that_makes_another_body_come_makes_failures(
    line: str, name: str, tmp_path: Path
) -> None:
    content = f"url = http://a/1\n{line}\nurl = http://a/2\nnext\nurl = http://a/3\nrequest = GET\n"
    items, told = listed(tmp_path / "list", content, "curl")
    why = f"line 2: the option {name!r} makes another body come"
    assert reasons(items) == [f"line 1: {why}", f"line 3: {why}"]
    assert [one.url for one in targets(items)] == ["http://a/3"]
    assert "secret" not in "".join(told)


@pytest.mark.parametrize(
    "line", ["http://a/1", "https://a/1?x=y", "a.example/1", "a.example", "--url=http://a/1", "= x"]
)
def test_a_line_that_is_no_option_of_curl_is_a_failure(line: str, tmp_path: Path) -> None:
    items, told = listed(tmp_path / "list", f"# x\n{line}\nurl = http://a/2\ntlsv1.2\n", "curl")
    assert reasons(items) == ["line 2: no option of curl: a URL is url = URL"]
    assert [one.url for one in targets(items)] == ["http://a/2"]
    assert "tlsv1.2" in "".join(told)


def test_outputs_of_curl_belong_to_their_urls_beyond_the_most_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scraper.source.curl_config._MOST_URLS", 3)
    pairs = "".join(f"url = http://a/{at}\noutput = {at}.x\n" for at in range(10))
    behind = "".join(f"output = {at}.x\nurl = http://a/{at}\n" for at in range(10))
    for content in (pairs, behind):
        items, _ = listed(tmp_path / "list", content, "curl")
        assert [(one.url, one.key) for one in targets(items)] == [
            (f"http://a/{at}", f"{at}.x") for at in range(10)
        ]
    given = [f"url = http://a/{at}\n" for at in range(4)]
    content = "".join([*given, *(f"output = {at}.x\n" for at in range(5))])
    items, _ = listed(tmp_path / "list", content, "curl")
    assert [one.key for one in targets(items)][3:] == ["3.x"]
    assert [why[:23] for why in reasons(items)[:3]] == [
        f"line {number}: output comes to" for number in (5, 6, 7)
    ]
    assert reasons(items)[3:] == ["line 9: output without a URL"]
    with pytest.raises(ListBroken, match="line 8: too many outputs"):
        listed(tmp_path / "list", "url = http://a/\n" + "output = x\n" * 7, "curl")
