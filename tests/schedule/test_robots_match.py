"""Which rule decides: the cases that RFC 9309 and Google publish, as a table, and an oracle.

The facts are those of RFC 9309 (2.2.2, 2.2.3), of Google's page "How Google interprets the
robots.txt specification", and of the tests of its parser. Left out is what Google calls its own
and what no owner of a site relies on: rules cut after 16,664 octets.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.schedule.robots_match import Rule, match_rules, spelling

YES, NO = True, False
# The rules of our group; what may be fetched, what not.
CASES: list[tuple[str, str, str]] = [
    # RFC 9309 5.1 and 5.2, Google's "order of precedence"
    ("-/x/page.html +/x/", "", "/x/page.html"),
    ("+/x/page.html -/x/", "/x/page.html", "/x/ /x/b"),
    ("-/ +/", "/x", ""),
    ("-/x +/x/", "/x/ /x/y /y", "/x"),
    ("-/x/page.html +/x/page.html", "/x/page.html", ""),
    ("+/page -/*.html", "/page", "/page.html"),
    ("+/x/page. -/*.html", "/x/page.html", "/x/y.html"),
    ("+/p -/", "/page", "/other"),
    ("+/folder -/folder", "/folder/page", ""),
    ("+/page -/*.htm", "/page", "/page.htm"),
    ("+/page -/*.ph", "/page.php5", ""),
    ("+/$ -/", "/", "/page.htm /?a"),
    ("-/x/", "/X/y", "/x/y"),
    # Google's "URL matching based on path values": /, /*, /fish, /fish*, /fish/, ...
    ("-/", "", "/ /a /?a"),
    ("-/*", "", "/ /a"),
    ("-/$", "/a /?a", "/"),
    *(
        (
            f"-/ +{fish}",
            "/fish /fish.html /fish/salmon.html /fishheads /fishheads/yummy.html /fish.html?id=any",
            "/Fish.asp /catfish /?id=fish /desert/fish",
        )
        for fish in ("/fish", "/fish*")
    ),
    (
        "-/ +/fish/",
        "/fish/ /fish/?id=anything /fish/salmon.htm",
        "/fish /fish.html /animals/fish/ /Fish/Salmon.asp",
    ),
    (
        "-/ +/*.php",
        "/index.php /a.php /b/a.php /b/a.php?c //b/any.php.file.html /a.php/ /index?f=a.php/",
        "/ /windows.PHP /php/ /index?php",
    ),
    (
        "-/ +/*.php$",
        "/filename.php /folder/filename.php",
        "/filename.php?parameters /filename.php/ /filename.php5 /windows.PHP /aaaphpaaa",
    ),
    ("-/ +/fish*.php", "/fish.php /fishheads/catfish.php?parameters", "/Fish.PHP"),
    # lengths are octets as written, not after encoding
    ("-/private/ +/*?page=", "", "/private/x?page=2"),
    ("+/abc -/*?", "/abc?x", "/ab?x"),
    ("+/caf%C3%A9 -/café/x", "/café/x /caf%C3%A9", ""),
    ("-/caf%C3%A9 +/café/x", "", "/café /café/x"),
    ("-/a?b +/a?bc", "/a?bc", "/a?b"),
    # %XX
    ("-/caf%E9", "/caf%E8 /caf%C3%A9 /caf\ufffd", "/caf%E9 /caf%e9/x"),
    ("-/foo/bar/ツ", "/foo/bar/%E3%83%83", "/foo/bar/%E3%83%84 /foo/bar/%e3%83%84"),
    ("-/foo/bar/%E3%83%84", "", "/foo/bar/ツ"),
    ("-/foo/bar/%62%61%7A", "/foo/bar/%62%61", "/foo/bar/baz /foo/bar/%62az"),
    ("-/foo/bar/baz", "", "/foo/bar/%62%61%7A"),
    ("-/a%2Fb", "/a/b", "/a%2fb"),
    ("-/a/b", "/a%2Fb", "/a/b"),
    ("-/a%25zz", "", "/a%25zz /a%zz"),
    ('-/a"<b>', "/ab", "/a%22%3Cb%3E"),
    ("-/a?b='c'", "", "/a?b=%27c%27"),
    ("-/foo/bar?baz=https://foo.bar", "", "/foo/bar?baz=https%3A%2F%2Ffoo.bar"),
    ("-/foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo%2Fbar?baz=https://foo.bar",
     "/foo/bar?baz=https://foo.bar /foo/bar?baz=https%3A%2F%2Ffoo.bar"),
    ("-/ +/foo/bar?qux=taz&baz=http://foo.bar?tar&par",
     "/foo/bar?qux=taz&baz=http://foo.bar?tar&par", "/foo/bar?qux=taz&baz=http://foo.bar?tar"),
    ("-/*u=http%3A", "/a?u=http:", "/a?u=http%3A"),
    # $ and *
    ("-/foo/bar$ +/foo/bar/qux", "/foo/bar/qux /foo/bar/ /foo/bar/baz /foo/bar$", "/foo/bar"),
    ("-/a$b", "/ab /a", "/a$b /a%24b"),
    ("-/a$$", "/a", "/a$ /a%24"),
    ("-/a%24", "/a", "/a$ /a$b /a%24"),
    ("-/path/file-with-a-%2A.html", "/path/file-with-a-b.html", "/path/file-with-a-*.html"),
    ("-/foo/bar/quz +/foo/*/qux", "/foo/quz /foo//quz /foo/bax/quz", "/foo/bar/quz"),
    ("-/a*$", "/b", "/a /ab"),
    ("-/a*b$", "/abc /a /ba", "/ab /abb /aXbYb"),
    ("-/a*b*b$", "/ab", "/abb /a-b-b"),
    ("-/ab*ab$", "/ab /aba", "/abab /abxab"),
    ("-*a", "/b", "/a /xa"),
    ("-a", "/a", ""),
    # a page index.html is its folder (Google)
    ("+/d/index.html -/", "/d/ /d/index.html", "/d/index.htm /d/x /other /"),
    ("+/d/index.htm -/", "/d/ /d/index.html /d/index.htm", "/d/x"),
    ("+/index.html -/", "/ /index.html", "/x"),
    ("-/d/index.html", "/d/", "/d/index.html"),
    ("+/*/index.html -/", "/d/ /d/e/", "/d /d/x"),
]  # fmt: skip


def rules_of(text: str) -> list[Rule]:
    return [Rule(word[0] == "+", word[1:].encode()) for word in text.split(" ")]


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        (rules, path, allowed)
        for rules, yes, no in CASES
        for allowed, paths in ((YES, yes), (NO, no))
        for path in paths.split()
    ],
)
def test_the_published_cases(rules: str, path: str, *, allowed: bool) -> None:
    assert match_rules(rules_of(rules)).allows(path.encode()) is allowed
    assert match_rules(reversed(rules_of(rules))).allows(path.encode()) is allowed


def slow(rules: list[Rule], path: bytes) -> bool:
    """The same without a table, by a regular expression for each rule."""
    found = []
    for rule in rules:
        anchored, text = rule.path.endswith(b"$"), rule.path.removesuffix(b"$")
        pattern = b".*".join(re.escape(spelling(piece)) for piece in text.split(b"*"))
        if re.match(pattern + (rb"\Z" if anchored else b""), spelling(path), re.DOTALL):
            found.append((len(rule.path), rule.allows))
    return max(found, default=(0, True))[1]


TEXT = st.text("/ab*$?", max_size=6).map(lambda text: f"/{text}".encode())


@given(st.lists(st.builds(Rule, st.booleans(), TEXT), max_size=6), TEXT)
def test_many_rules_at_once_decide_as_one_after_the_other(rules: list[Rule], path: bytes) -> None:
    assert match_rules(rules).allows(path) is slow(rules, path)


@given(st.binary(max_size=30))
def test_a_spelling_is_spelled_the_same_again(path: bytes) -> None:
    once = spelling(path)
    assert spelling(once) == once
    assert once.isascii()


def test_a_weight_is_about_what_the_rules_take() -> None:
    import tracemalloc

    for shape in (b"/page/%d", b"/*page*%d", b"/a?page=%d", b"/" + b"*ab" * 50 + b"%d"):
        written = [Rule(allows=False, path=shape % number) for number in range(2_000)]
        tracemalloc.start()
        rules = match_rules(written)
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert taken / 2 < rules.weight < 3 * taken, shape
