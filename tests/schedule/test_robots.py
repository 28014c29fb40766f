"""What a robots.txt says to us, and what it means that there is none (RFC 9309)."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.errors import Kind
from scraper.model.records import Failure
from scraper.schedule.robots import ALLOWED, READ_BYTES, Rules, parse, product_token, without

SITE = "http://host"


def allows(rules: Rules, path: str) -> bool:
    return rules.forbids(SITE + path) is None


def ask(text: str | bytes, path: str, token: str = "scraper") -> bool:
    """Whether a robots.txt of `text` lets `token` fetch `path`."""
    return allows(parse(text.encode() if isinstance(text, str) else text, token), path)


# ---------------------------------------------------------------- who we are


@pytest.mark.parametrize(
    ("user_agent", "token"),
    [
        ("scraper/0.1.0", "scraper"),
        ("Foo-Bot/2.1 (+https://example.com/bot)", "Foo-Bot"),
        ("Mozilla/5.0 (compatible; FooBot/2.1)", "Mozilla"),
        ("foobot", "foobot"),
        ("  foobot (me)", "foobot"),
        ("foobot(me)", "foobot"),
        ("", ""),
        ("(nobody)", ""),
    ],
)
def test_the_first_product_of_the_user_agent_is_our_name(user_agent: str, token: str) -> None:
    assert product_token(user_agent) == token


# ---------------------------------------------------------------- which group is ours

GROUPS = """\
User-agent: *
Disallow: /everyone

User-agent: otherbot
User-agent: Scraper/9.9 beta
Disallow: /ours

User-agent: scraper-news
Disallow: /

User-agent: scraper
Disallow: /merged
"""


def test_the_group_that_names_us_counts_alone_and_all_that_do_are_one() -> None:
    assert not ask(GROUPS, "/ours")
    assert not ask(GROUPS, "/merged")
    assert ask(GROUPS, "/everyone")
    assert ask(GROUPS, "/")


def test_who_is_not_named_obeys_the_group_of_everyone() -> None:
    for token in ("else", "scrape", "scrap", "per", ""):
        assert not ask(GROUPS, "/everyone", token)
        assert ask(GROUPS, "/ours", token)


def test_upper_and_lower_case_of_a_name_are_the_same() -> None:
    assert not ask("USER-AGENT: SCRAPER\nDISALLOW: /a", "/a", "ScraPer")


def test_an_empty_group_of_ours_allows_everything() -> None:
    assert ask("User-agent: *\nDisallow: /\n\nUser-agent: scraper\nDisallow:\n", "/a")
    assert ask("User-agent: *\nDisallow: /\n\nUser-agent: scraper\n", "/a")


def test_rules_before_any_group_are_nobodys() -> None:
    assert ask("Disallow: /\nUser-agent: *\nDisallow: /b", "/a")


@pytest.mark.parametrize(
    "between",
    [
        "",
        "Sitemap: http://host/map.xml\n",
        "# a comment\n",
        "\n\n",
        "Crawl-delay: 5\n",
        "x: y\n",
        "y\n",
    ],
)
def test_what_is_no_rule_does_not_end_the_names_of_a_group(between: str) -> None:
    assert not ask(f"User-agent: scraper\n{between}User-agent: other\nDisallow: /a", "/a")


def test_a_name_after_a_rule_begins_another_group() -> None:
    text = "User-agent: scraper\nDisallow: /a\nUser-agent: other\nDisallow: /b"
    assert not ask(text, "/a")
    assert ask(text, "/b")


@pytest.mark.parametrize(
    "line", ["user agent: scraper", "Useragent:scraper", "User-Agent scraper*"]
)
def test_names_are_read_as_people_write_them(line: str) -> None:
    assert not ask(f"{line}\nDisallow: /a", "/a")


def test_a_crawl_delay_is_for_the_names_before_it() -> None:
    text = b"User-agent: a\nCrawl-delay: 5\nUser-agent: *\nDisallow: /x\nCrawl-delay: 7\n"
    assert [parse(text, name).delay_s for name in ("a", "b")] == [7.0, 7.0]
    text = b"User-agent: a\nCrawl-delay: 5\n\nUser-agent: *\nDisallow: /x\n"
    assert [parse(text, name).delay_s for name in ("a", "b")] == [5.0, 0.0]
    assert not allows(parse(text, "a"), "/x")  # the names are of one group (RFC 9309 2.2.4)


# ---------------------------------------------------------------- what the rules are


@pytest.mark.parametrize(
    ("rules", "path", "allowed"),
    [
        ("Disallow: /a", "/a/b?c", False),
        ("Disallow: /a", "/b/a", True),
        ("Disallow: /a", "/A", True),
        ("Disallow: /", "/", False),
        ("Disallow: /\nAllow: /a", "/ab", True),  # the longest match
        ("Allow: /a\nDisallow: /ab", "/ab", False),
        ("Allow: /a\nDisallow: /a", "/a", True),  # as long: allowed
        ("Disallow: /*.gif$", "/x/y.gif", False),
        ("Disallow: /*.gif$", "/x/y.gif?z", True),
        ("Disallow: /a*b*c", "/a1b2c3", False),
        ("Disallow: /a*b*c", "/acb", True),
        ("Disallow: /*?", "/a?b", False),
        ("Disallow: /a?b=", "/a?b=c", False),
        ("Disallow: /caf%C3%A9", "/caf%c3%a9/x", False),
        ("Disallow: /café", "/caf%C3%A9", False),
        ("Disallow: /%61", "/abc", False),
        ("Disallow: /a%2Fb", "/a/b", True),
        ("Disallow: /a # not /b", "/a", False),
        ("Disalow: /a", "/a", False),
        ("Disallow /a", "/a", False),
        ("Disallow /a b", "/a", True),
        ("disallow:/a", "/a", False),
        ("Disallow: /quz#qux", "/quz", False),
        ("Disallow:", "/a", True),
        ("Noindex: /a", "/a", True),
    ],
)
def test_rules_are_those_of_the_rfc(rules: str, path: str, *, allowed: bool) -> None:
    assert ask(f"User-agent: *\n{rules}\n", path) is allowed


@pytest.mark.parametrize("end", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\x1e", "\u2029"])
def test_no_other_character_ends_a_line(end: str) -> None:
    text = f"User-agent: *\nDisallow: /a{end}Disallow: /b\n"
    assert ask(text, "/b")
    assert ask(text, "/a")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\r\n"])
def test_lines_end_in_any_way(end: str) -> None:
    assert not ask(end.join(["User-agent: *", "Disallow: /a", ""]), "/a")


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(mark: bytes) -> None:
    assert not ask(mark + b"User-agent: scraper\nDisallow: /a", "/a")


def test_bytes_that_are_no_utf8_spoil_their_own_line_alone() -> None:
    text = b"User-agent: *\nDisallow: /\xff\xfe\nDisallow: /a\n\x00\x80\nDisallow: /b\n"
    assert not ask(text, "/a")
    assert not ask(text, "/b")
    assert ask(text, "/c")


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<!DOCTYPE html><html><body>Disallow: /<p>User-agents: *</body></html>",
        bytes(range(256)) * 100,
        "User-agent: *\nDisallow: /".encode("utf-16"),
        b"\x1f\x8b" + b"\xff" * 1000,
    ],
)
def test_what_is_no_robots_txt_allows_everything(page: bytes) -> None:
    assert parse(page, "scraper") == ALLOWED


@pytest.mark.parametrize(
    ("said", "delay_s"),
    [("2.5", 2.5), ("0", 0.0), ("-1", 0.0), ("soon", 0.0), ("nan", 0.0), ("1e999", 0.0)],
)
def test_a_crawl_delay_is_a_number_of_seconds(said: str, delay_s: float) -> None:
    text = f"User-agent: *\nCrawl-delay: 99\n\nUser-agent: scraper\nCrawl-delay: {said}\n"
    assert parse(text.encode(), "scraper").delay_s == delay_s


# ---------------------------------------------------------------- limits


def test_what_comes_after_the_first_500_kib_is_ignored() -> None:
    head = b"User-agent: *\nDisallow: /first\n"
    filler = b"# filler\n" * (READ_BYTES // 9)
    assert not ask(head + filler + b"Disallow: /last\n", "/first")
    assert ask(head + filler + b"Disallow: /last\n", "/last")


def test_a_rule_that_the_limit_cuts_in_two_does_not_count() -> None:
    text = b"User-agent: *\nDisallow: /other\n"
    text += b"#" * (READ_BYTES - len(text) - 12) + b"\nDisallow: /private\n"
    assert text[:READ_BYTES].endswith(b"\nDisallow: /")
    assert ask(text, "/public")
    assert not ask(text, "/other")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_rule_that_ends_at_the_limit_counts(end: bytes) -> None:
    last = b"\nDisallow: /last"
    text = b"User-agent: *\n"
    text += b"#" * (READ_BYTES - len(text) - len(last)) + last
    assert len(text) == READ_BYTES
    assert not ask(text, "/last")
    text += end + b"Disallow: /later\n"
    assert not ask(text, "/last")
    assert ask(text, "/later")


def test_one_line_without_an_end_is_no_rule() -> None:
    assert parse(b"User-agent: *" + b"x" * READ_BYTES, "scraper") == ALLOWED


def test_more_wildcards_than_can_be_tried_allow_nothing_and_that_is_said() -> None:
    some = b"User-agent: *\n" + b"Allow: /*a*b\n" * 2_000
    assert allows(parse(some, "scraper"), "/x")
    rules = parse(some + b"Allow: /c$\n", "scraper")
    assert rules.forbids(SITE + "/x") == "has more than 2,000 rules with wildcards"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "".join(f"User-agent: a{n}\n" for n in range(14_000))
            + "".join(f"Disallow: /{n}\n" for n in range(14_000)),
            id="as many names as rules",
        ),
        pytest.param(
            "User-agent: *\x0b" + "\x0b".join(f"user\x0cagent:{n}" for n in range(60_000)),
            id="lines that end as nobody ends them",
        ),
        pytest.param("User-agent: *\n" + "Disallow: /\n" * 40_000, id="the same rule"),
        pytest.param("User-agent: *\nDisallow: /" + "*a" * 250_000, id="one rule of wildcards"),
        pytest.param("User-agent: *\n" + "Allow:*cb\n" * 50_000, id="rules of wildcards"),
        pytest.param("a " * 256_000, id="words"),
        pytest.param("\n" * 512_000, id="empty lines"),
    ],
)
def test_the_worst_that_fits_takes_no_longer_than_many_plain_rules(text: str) -> None:
    """Twice as many lines may take twice as long, and other work on the machine doubles that.

    What is meant is a cost that grows with the square, which would be a thousand times as much.
    """
    plain = "User-agent: *\n" + "".join(f"Disallow: /%e4{n}\n" for n in range(20_000))
    assert _cost(text) < 20 * _cost(plain)


def _cost(text: str) -> float:
    """CPU seconds of this thread to read it, and to ask of a hundred URLs."""
    costs = []
    for _ in range(3):  # the least one has the least of what else goes on
        begun = time.thread_time()
        rules = parse(text.encode(), "scraper")
        for number in range(100):
            rules.forbids(f"{SITE}/{'ab' * 500}/{number}")
        costs.append(time.thread_time() - begun)
    return min(costs)


@given(st.binary(max_size=300), st.text(max_size=30))
def test_nothing_that_a_server_sends_raises(body: bytes, path: str) -> None:
    from scraper.model.urls import parse as parse_url

    rules = parse(b"User-agent: *\n" + body, "scraper")
    rules.forbids(parse_url("http://host/" + path.replace("\udc80", "")).href)


NO_RULES = st.sampled_from(
    ["Sitemap: http://host/", "Host: host", "Noindex: /", "Crawl-delay: x", "nonsense", "", "# no",
     "Allow", "Clean-param: a /", "Request-rate: 1/5", "User-agents: *", "\x0b"]
)  # fmt: skip
REAL = st.sampled_from(
    ["User-agent: *", "User-agent: other", "User-agent: scraper", "Disallow: /a", "Allow: /a/b"]
)


@given(st.lists(st.tuples(st.booleans(), REAL, NO_RULES), max_size=12))
def test_what_is_no_rule_changes_nothing_wherever_it_stands(
    lines: list[tuple[bool, str, str]],
) -> None:
    plain = "".join(f"{real}\n" for _, real, _ in lines)
    mixed = "".join(f"{real}\n{other}\n" if both else f"{real}\n" for both, real, other in lines)
    for path in ("/", "/a", "/a/b"):
        assert ask(mixed, path) is ask(plain, path)


# ---------------------------------------------------------------- when there is none


def http(code: int) -> Failure:
    return Failure(Kind.HTTP_STATUS, f"HTTP {code}", http_code=code)


@pytest.mark.parametrize("code", [204, 205, 400, 401, 403, 404, 408, 410, 451, 499])
def test_a_robots_txt_that_is_not_there_allows_everything(code: int) -> None:
    assert without(http(code)) == ALLOWED


@pytest.mark.parametrize("code", [202, 207, 429, 500, 503, 599, 600, 999, 300, 304, 100])
def test_one_that_the_server_can_not_give_allows_nothing_and_that_is_said(code: int) -> None:
    reason = f"can't be had (HTTP {code}), so nothing is allowed"
    assert without(http(code)).forbids(f"{SITE}/a") == reason


def test_redirects_without_end_are_none_at_all() -> None:
    assert without(Failure(Kind.TOO_MANY_REDIRECTS, "more than 10", http_code=302)) == ALLOWED


@pytest.mark.parametrize(
    "kind", [Kind.DNS, Kind.CONNECT, Kind.TLS, Kind.TIMEOUT, Kind.TRUNCATED, Kind.PROTOCOL]
)
def test_a_server_that_can_not_be_reached_allows_nothing(kind: Kind) -> None:
    rules = without(Failure(kind, "why", http_code=404 if kind is Kind.TRUNCATED else None))
    assert rules.forbids(f"{SITE}/a") == "can't be had (why), so nothing is allowed"
