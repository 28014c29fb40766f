"""Cookies: where each of them goes (RFC 6265), and what a file of them says."""

from pathlib import Path

import pytest

from scraper.model.errors import UsageError
from scraper.transfer.cookies import ChainCookies, read_cookies, with_cookies
from scraper.transfer.exchange import Reply

FILE = """\
# Netscape HTTP Cookie File
# from an extension

.example.com\tTRUE\t/\tFALSE\t0\tall\t1
www.example.com\tFALSE\t/docs\tFALSE\t4102444800\tdocs\t2
#HttpOnly_.example.com\tTRUE\t/\tTRUE\t4102444800\tsecure\t3
example.com\tFALSE\t/\tFALSE\t1000000000\told\t4
other.example\tFALSE\t/\tFALSE\t0\tother\t5
127.0.0.1\tFALSE\t/\tFALSE\t0\taddress\t6
localhost\tFALSE\t/\tFALSE\t0\tlocal\t7
empty.example\tFALSE\t/\tFALSE\t0\tnothing
"""


@pytest.mark.parametrize("head", ["", "# Netscape HTTP Cookie File\n"])
@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("http://example.com/", {"all"}),
        ("https://example.com/x", {"all", "secure"}),
        ("http://www.example.com/", {"all"}),
        ("http://www.example.com/docs", {"all", "docs"}),
        ("https://www.example.com/docs/a?b", {"all", "docs", "secure"}),
        ("http://www.example.com/docsx", {"all"}),
        ("http://a.www.example.com/docs/a", {"all"}),
        ("http://badexample.com/", set()),
        ("http://other.example:8080/", {"other"}),
        ("http://www.other.example/", set()),
        ("http://127.0.0.1:8000/", {"address"}),
        ("http://localhost:8000/", {"local"}),
    ],
)
def test_each_cookie_goes_where_it_belongs(
    url: str, names: set[str], head: str, tmp_path: Path
) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text(head + FILE.partition("\n")[2])
    sent = with_cookies({}, url, read_cookies(str(path))).get("cookie", "")
    assert {pair.partition("=")[0] for pair in sent.split("; ") if pair} == names


def test_the_cookies_of_a_jar_stand_beside_others_and_replace_their_names(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text(FILE)
    jar = read_cookies(str(path))
    sent = with_cookies({"cookie": "mine=0; all=old"}, "http://example.com/", jar)
    assert sent == {"cookie": "mine=0; all=1"}
    headers = {"accept": "*/*"}
    assert with_cookies(headers, "http://nowhere.example/", jar) is headers


@pytest.mark.parametrize("line", ["a b c", "x\tTRUE\t/\tFALSE\tsoon\ta\tb", "x\tTRUE\t/\tFALSE"])
def test_a_line_that_is_no_cookie_is_named_by_its_number_only(line: str, tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text(f"# a comment\n{line}\n")
    with pytest.raises(UsageError, match="in line 2") as caught:
        read_cookies(str(path))
    assert line not in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--cookies: can't read"):
        read_cookies(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("set_cookie", "there", "here"),
    [
        ("a=1", "http://h.example/x", True),
        ("a=1", "http://g.example/x", False),
        ("a=1; Path=/y", "http://h.example/x", False),
        ("a=1; Path=/y", "http://h.example/y/z", True),
        ("a=1; Domain=h.example", "http://www.h.example/", True),
        ("a=1; Domain=other.example", "http://other.example/", False),
        ("a=1; Secure", "http://h.example/x", False),
        ("a=1; Max-Age=0", "http://h.example/x", False),
        ("a=1; Expires=Wed, 01 Jan 2020 00:00:00 GMT", "http://h.example/x", False),
        ("a=1; Expires=Wed, 01 Jan 2100 00:00:00 GMT; HttpOnly", "http://h.example/x", True),
    ],
)
def test_what_a_redirect_sets_goes_where_it_belongs(
    set_cookie: str, there: str, here: bool
) -> None:
    chain = ChainCookies()
    chain.keep("http://h.example/start", Reply(302, [("set-cookie", set_cookie)]))
    assert chain.added({}, there) == ({"cookie": "a=1"} if here else {})
