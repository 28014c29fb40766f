"""Keys: readable, injective, safe on every file system, a pure function of the target."""

import itertools
import random
import re
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scraper.model import urls
from scraper.model.errors import BadTarget, UsageError
from scraper.source import keys

B = "https://a.de/b.html"
NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
WINDOWS_FORBIDS = set('<>:"\\|?*') | {chr(code) for code in range(32)}
RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\.|$)", re.IGNORECASE
)


def url_key(text: str) -> str:
    return keys.url_key(urls.parse(text))


def folded(key: str) -> str:
    """What a file system without regard for case or normal form sees; not by our own `folded`."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", key).casefold())


def assert_safe(key: str) -> None:
    assert 0 < len(key.encode()) <= 1024
    assert not key.startswith("/")
    assert key.partition("/")[0].casefold() != ".scraper"
    for segment in key.split("/"):
        assert segment not in {"", ".", ".."}
        assert len(segment.encode()) <= 255
        assert len(segment.encode("utf-16-le")) <= 2 * 255
        assert segment[-1] not in ". "
        assert not WINDOWS_FORBIDS & set(segment)
        assert not RESERVED.match(segment)
        assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in segment)


def assert_apart(given_urls: Iterable[str]) -> None:
    """Distinct URLs have keys that no file system confuses, and no file is a directory."""
    targets = {urls.parse(text).href for text in given_urls}
    by_name: dict[str, str] = {}
    for target in targets:
        key = url_key(target)
        assert_safe(key)
        name = folded(key)
        assert name not in by_name, f"{target} and {by_name[name]} share {key}"
        by_name[name] = target
    for name, target in by_name.items():
        head = name
        while "/" in head:
            head = head.rpartition("/")[0]
            assert head not in by_name, f"{target} needs the file of {by_name.get(head)}"


# ---------------------------------------------------------------- the url rule, by example


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://example.com/docs/a.html", "example.com/docs/a.html"),
        ("https://example.com/", "example.com/index.html"),
        ("https://example.com/docs/", "example.com/docs/index.html"),
        ("https://example.com/a/b/c/photo-1_(2).jpg", "example.com/a/b/c/photo-1_(2).jpg"),
        ("https://example.com/x.tar.gz", "example.com/x.tar.gz"),
        ("https://example.com/caf%C3%A9.html", "example.com/café.html"),
        ("https://example.com/café.html", "example.com/café.html"),
        ("http://example.com/a.html", "example.com_http/a.html"),
        ("https://example.com:8443/a.html", "example.com_8443/a.html"),
        ("http://127.0.0.1:8080/a.html", "127.0.0.1_http_8080/a.html"),
        ("http://[::1]/a.html", "0-z-1_ipv6_http/a.html"),
        ("https://my_host.example.com/a.html", "my__host.example.com/a.html"),
    ],
)
def test_a_site_looks_like_a_site(url: str, key: str) -> None:
    assert url_key(url) == key


@pytest.mark.parametrize(
    ("url", "looks"),
    [
        ("https://example.com/docs", r"example\.com/docs--\w{13}"),
        ("https://example.com/search?q=1", r"example\.com/search--\w{13}"),
        ("https://example.com/a.html?q=1", r"example\.com/a--\w{13}\.html"),
        ("https://example.com/?q=1", r"example\.com/index--\w{13}\.html"),
        ("https://example.com/index.html", r"example\.com/index--\w{13}\.html"),
        ("https://example.com/README.md", r"example\.com/README--\w{13}\.md"),
        ("https://example.com/v1.2/a.html", r"example\.com/v1\.2--\w{13}/a\.html"),
        ("https://example.com/x.TAR.GZ", r"example\.com/x--\w{13}\.tar\.gz"),
        ("https://example.com/a%20b.html", r"example\.com/a_b--\w{13}\.html"),
        ("https://example.com/con.html", r"example\.com/_con--\w{13}\.html"),
        ("https://example.com/..%2f..%2fetc%2fpasswd", r"example\.com/[_.]*etc_passwd--\w{13}"),
        ("https://example.com/.htaccess", r"example\.com/htaccess--\w{13}"),
        ("https://example.com/a//b.html", r"example\.com/a/--\w{13}/b\.html"),
    ],
)
def test_a_name_that_cannot_stay_keeps_its_look_and_its_extension(url: str, looks: str) -> None:
    assert re.fullmatch(looks, url_key(url))


# ---------------------------------------------------------------- injective

ADVERSARIAL = [
    # a query, and none, and an empty one
    "https://a/x.html",
    "https://a/x.html?",
    "https://a/x.html?q",
    "https://a/x.html?Q",
    "https://a/x.html??",
    "https://a/x.html%3F",
    "https://a/x%3Fq.html",
    # file and directory
    "https://a",
    "https://a/?",
    "https://a/index.html",
    "https://a/INDEX.HTML",
    "https://a/index.html/",
    "https://a/index.html/index.html",
    "https://a/index.html?",
    "https://a/x",
    "https://a/x/",
    "https://a/x/y",
    "https://a/x/y/",
    "https://a/x.html/",
    "https://a/x.html/y.html",
    "https://a/x/index.html",
    # case
    "https://a/X.html",
    "https://a/x.HTML",
    "https://a/X/y.html",
    "https://a/x/y.html",
    "https://a/stra%C3%9Fe.html",
    "https://a/strasse.html",
    "https://a/STRASSE.html",
    "https://a/%C4%B1.html",  # dotless i, an I in NTFS's upper case
    "https://a/i.html",
    "https://a/I.html",
    "https://a/%C4%B0.html",  # I with a dot
    "https://a/i%CC%87.html",
    "https://a/%E2%84%AA.html",  # the Kelvin sign folds to k
    "https://a/k.html",
    "https://a/%C5%BF.html",  # the long s folds to s
    "https://a/s.html",
    "https://a/%CF%82.html",  # final sigma
    "https://a/%CF%83.html",
    "https://a/%E1%BE%B3.html",  # alpha with iota below, in three spellings
    "https://a/%CE%B1%CD%85.html",
    "https://a/%CE%B1%CE%B9.html",
    "https://a/%E1%8F%90.html",  # Cherokee folds to upper case
    "https://a/%EA%AD%B0.html",
    # normal forms
    "https://a/caf%C3%A9.html",
    "https://a/cafe%CC%81.html",
    "https://a/caf%c3%a9.html",
    "https://a/caf%C3%89.html",
    "https://a/%E2%84%AB.html",  # Angstrom
    "https://a/%C3%85.html",
    "https://a/%C3%A5.html",
    "https://a/%EF%AC%81.html",  # the ligature fi
    "https://a/fi.html",
    "https://a/%EA%B0%80.html",  # a Hangul syllable, and its parts
    "https://a/%E1%84%80%E1%85%A1.html",
    "https://a/caf%E9.html",  # Latin-1
    "https://a/caf%FF.html",
    # spellings of one name
    "https://a/%78.html",
    "https://a/x%2Ehtml",
    "https://a/x%2ehtml",
    "https://a/~x.html",
    "https://a/%7Ex.html",
    "https://a/%7ex.html",
    "https://a/a+b.html",
    "https://a/a%2Bb.html",
    "https://a/a%2bb.html",
    "https://a/a%20b.html",
    "https://a/a_b.html",
    "https://a/a;b.html",
    "https://a/a:b.html",
    "https://a/a*b.html",
    "https://a/a%2Fb.html",
    "https://a/a%5Cb.html",
    "https://a/a/b.html",
    # names that file systems trim or keep for themselves
    "https://a/x.",
    "https://a/x..",
    "https://a/x.html.",
    "https://a/x.html%20",
    "https://a/con",
    "https://a/con.html",
    "https://a/_con.html",
    "https://a/CON.html",
    "https://a/con/x.html",
    "https://a/_con/x.html",
    "https://a/con%20.html",
    "https://a/com1.html",
    "https://a/com%C2%B9.html",
    "https://a/nul.tar.gz",
    "https://a/.html",
    "https://a/..html",
    "https://a/...",
    "https://a/-x.html",
    "https://a/.scraper/manifest.jsonl",
    # empty names
    "https://a//",
    "https://a///",
    "https://a//x.html",
    "https://a//x//",
    # origins
    "http://a/x.html",
    "http://a:443/x.html",
    "https://a:80/x.html",
    "https://a:8080/x.html",
    "http://a:8080/x.html",
    "https://a_8080/x.html",
    "https://a__8080/x.html",
    "https://a_http/x.html",
    "https://a_http_8080/x.html",
    "http://a_8080/x.html",
    "https://a_/x.html",
    "http://a_/x.html",
    "https://a./x.html",
    "http://a./x.html",
    "https://a.:8080/x.html",
    "https://.a/x.html",
    "https://a..b/x.html",
    "https://-a/x.html",
    "https://a;b/x.html",
    "https://a~b/x.html",
    "https://a_b/x.html",
    "https://con/x.html",
    "https://_con/x.html",
    "https://__con/x.html",
    "https://aux.example/x.html",
    "https://.scraper/x.html",
    "https://scraper/x.html",
    "https://[::1]/x.html",
    "https://[1::]/x.html",
    "https://[::]/x.html",
    "https://0-z-1/x.html",
    "https://0-z-1_ipv6/x.html",
    "https://[::ffff:1.2.3.4]/x.html",
    "https://" + "a" * 200 + "/x.html",
    "https://" + "a" * 201 + "/x.html",
    "https://" + "a" * 254 + "/x.html",
    # long
    "https://a/" + "x" * 250 + ".html",
    "https://a/" + "x" * 251 + ".html",
    "https://a/" + "x" * 5000 + ".html",
    "https://a/" + "x" * 5001 + ".html",
    "https://a/" + "d/" * 400 + "x.html",
    "https://a/" + "d/" * 510 + "x.html",
    "https://a/" + "d/" * 511 + "x.html",
    "https://a/" + "d/" * 512 + "x.html",
    "https://a/" + "d/" * 2000 + "x.html",
    "https://a/" + "d/" * 2000,
    "https://a/" + "/" * 2000,
    "https://a/" + "%C3%A9" * 126 + ".html",
    "https://a/" + "%C3%A9" * 2000 + ".html",
    "https://a/" + "%F0%9D%94%BE" * 2000,
    "https://a/" + ("x" * 250 + "/") * 4 + "x.html",
]


def imitations() -> list[str]:
    """URLs whose plain names look like the marked names of the others."""
    found = []
    for url in ADVERSARIAL:
        host, *rest = url_key(url).split("/")
        if len(url) < 400:
            found += [f"https://{host}/{'/'.join(rest)}", f"https://a/{'/'.join(rest)}"]
            found.append(f"https://a/{rest[-1]}/")
            found.append(f"https://a/{rest[-1]}.gz")
    return found


def test_no_two_of_the_adversarial_urls_share_a_key() -> None:
    assert len({urls.parse(url).href for url in ADVERSARIAL}) == len(ADVERSARIAL)
    assert_apart(ADVERSARIAL + imitations())


def test_a_host_cannot_imitate_the_mark_of_another() -> None:
    marked = url_key("https://example.com./a.html").partition("/")[0]
    assert url_key(f"https://{marked}/a.html").partition("/")[0] != marked


PIECES = [
    *"aAbBxX.-_/%?&=+~ ;:@!$'()*,iIkK",
    *("%2f", "%2F", "%2e", "%2E", "%20", "%00", "%3f", "%25", "%61", "%41", "%C3%A9", "%c3%a9"),
    *("%CC%81", "e%CC%81", "%C3%89", "%C3%9F", "ss", "%C4%B0", "%C4%B1", "%E2%84%AA", "%FF"),
    *("//", "/./", "/../", ".html", ".HTML", ".tar.gz", "index.html", "con", "aux", "com1", "nul"),
    *(
        "--",
        "--aaaaaaaaaaaaa",
        "\\",
        "é",
        "É",
        "e\u0301",
        "\u017f",
        "K",
        "ﬁ",
        "中",
        "\U0001d53e",
        "\u200d",
        "\x01",
    ),
]
PATHS = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
HOSTS = st.sampled_from(
    ["a", "A", "a.", "b.a", "a_b", "a__b", "con", "[::1]", "[1::]", "1.2.3.4", "a_http", "é.de"]
)
PORTS = st.sampled_from(["", ":80", ":443", ":8080"])
URLS = st.builds("{}://{}{}/{}".format, st.sampled_from(["http", "https"]), HOSTS, PORTS, PATHS)


def parsed(text: str) -> urls.Url | None:
    try:
        return urls.parse(text)
    except BadTarget:
        return None


@settings(max_examples=400)
@given(st.lists(URLS, min_size=2, max_size=12))
def test_generated_urls_that_differ_have_keys_that_differ(texts: list[str]) -> None:
    assert_apart(url.href for url in map(parsed, texts) if url)


@settings(max_examples=400)
@given(HOSTS, st.lists(PIECES_TEXT := st.sampled_from(PIECES), max_size=5), st.data())
def test_a_url_and_its_near_relatives_have_keys_that_differ(
    host: str, pieces: list[str], data: st.DataObject
) -> None:
    path = "".join(pieces)
    text = f"https://{host}/{path}"
    at = data.draw(st.integers(0, len(path)))
    near = [
        text,
        text.upper(),
        text.swapcase(),
        text.casefold(),
        unicodedata.normalize("NFC", text),
        unicodedata.normalize("NFD", text),
        unicodedata.normalize("NFKC", text),
        text + "/",
        text + "?",
        text + ".",
        text + "%20",
        text + "/index.html",
        text.replace("https", "http"),
        f"https://{host}:8080/{path}",
        f"https://{host}/{path[:at]}/{path[at:]}",
        f"https://{host}/{path[:at]}%2F{path[at:]}",
        f"https://{host}/{path[:at]}{data.draw(PIECES_TEXT)}{path[at:]}",
    ]
    first = parsed(text)
    if first:
        key = keys.url_key(first)
        near += [f"https://{key}", f"https://{host}/{key.partition('/')[2]}"]
    assert_apart(url.href for url in map(parsed, near) if url)


@settings(max_examples=400)
@given(st.text(max_size=30), st.text(max_size=30))
@example("\u1fb3", "\u03b1\u03b9")
@example("ǰ", "J\u030c")
def test_any_two_names_of_any_script_are_kept_apart(one: str, other: str) -> None:
    found = [parsed(f"https://a/{name}.html") for name in (one, other)]
    assert_apart(url.href for url in found if url)


def test_every_letter_of_unicode_is_kept_apart_from_every_other() -> None:
    names = (chr(code) for code in range(0x20, 0x30000) if not 0xD800 <= code < 0xE000)
    found = filter(None, (parsed(f"https://a/{name}.html") for name in names))
    assert_apart({url.href for url in found})


def test_fifty_thousand_random_urls_of_a_small_alphabet_are_kept_apart() -> None:
    chance = random.Random(2)
    texts = {
        f"http{chance.choice(['', 's'])}://{chance.choice('ab')}/"
        + "".join(chance.choice(["a", "A", "b", ".", "/", "-", "?", "%2F", "_"]) for _ in range(8))
        for _ in range(50_000)
    }
    assert_apart(texts)


# ---------------------------------------------------------------- safe


@settings(max_examples=400)
@given(
    st.text(max_size=400), st.sampled_from(["https://a/", "http://a/b/", "https://a/?", "http://"])
)
def test_a_key_never_leaves_the_destination(text: str, prefix: str) -> None:
    url = parsed(prefix + text)
    if url:
        assert_safe(keys.url_key(url))
        assert_safe(keys.hash_key(url))
        assert_safe(keys.make_rule("{host}/{path}{ext}", NOW)(url, 1))


@given(
    st.integers(0, 70_000), st.sampled_from(["a", "/", "a/", "A/", "%C3%A9", "%C3%A9/", ".", "B"])
)
def test_a_key_of_a_url_of_any_length_is_safe(length: int, word: str) -> None:
    url = urls.parse("https://a/" + (word * length)[:65_000].rstrip("%C3A"))
    assert_safe(keys.url_key(url))
    assert_safe(keys.make_rule("x/{path}{ext}", NOW)(url, 1))


def test_many_long_directories_are_not_kept_in_memory() -> None:
    before = keys._directories.cache_info().currsize
    for number in range(50):
        keys.url_key(urls.parse(f"https://a/{number}/{'x' * 10_000}/a.html"))
    assert keys._directories.cache_info().currsize == before


@settings(max_examples=50)
@given(st.lists(URLS, min_size=1, max_size=20), st.randoms())
def test_a_key_depends_on_its_target_alone_and_not_on_what_came_before(
    texts: list[str], chance: random.Random
) -> None:
    targets = [url for url in map(parsed, texts) if url]
    first = {url.href: keys.url_key(url, line) for line, url in enumerate(targets)}
    chance.shuffle(targets)
    keys._directories.cache_clear()
    keys.host_segment.cache_clear()
    assert {url.href: keys.url_key(url, 7) for url in targets} == first


STABLE = """
import sys
from scraper.source import keys
from scraper.model import urls
for line in sys.stdin.buffer.read().decode().splitlines():
    url = urls.parse(line)
    print(ascii((keys.url_key(url), keys.hash_key(url))))
"""


def test_keys_are_the_same_in_every_process() -> None:
    texts = [url for url in ADVERSARIAL if url.isprintable()]
    told = set()
    for seed in ("0", "1"):
        told.add(
            subprocess.run(
                [sys.executable, "-c", STABLE],
                input="\n".join(texts).encode(),
                env={"PYTHONHASHSEED": seed},
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
        )
    (lines,) = told
    own = [urls.parse(text) for text in texts]
    expected = [ascii((keys.url_key(url), keys.hash_key(url))) for url in own]
    assert lines.decode().splitlines() == expected


@given(st.text(max_size=30), st.sampled_from([str.upper, str.lower, str.casefold, str.swapcase]))
def test_keys_that_differ_in_case_or_form_only_fold_to_one(
    text: str, change: Callable[[str], str]
) -> None:
    for form in ("NFC", "NFD"):
        assert keys.folded(unicodedata.normalize(form, text)) == keys.folded(text)
    assert keys.folded(keys.folded(text)) == keys.folded(text)
    if len(change(text)) == len(text) and change(text).casefold() == text.casefold():
        assert keys.folded(change(text)) == keys.folded(text)


def test_keys_stay_what_they_were_so_that_an_old_manifest_resumes() -> None:
    assert url_key("https://example.com/d/a.html") == "example.com/d/a.html"
    assert url_key("https://example.com/Docs/a?b=1") == (
        "example.com/Docs--2j5cxadpsassy/a--pwfupkonh6dbu"
    )


# ---------------------------------------------------------------- hash


def test_the_hash_rule_is_two_levels_and_the_sha256_of_the_url_with_its_extension() -> None:
    key = keys.hash_key(urls.parse("https://example.com/a/b.JPG?x"))
    assert re.fullmatch(r"([0-9a-f]{2})/([0-9a-f]{2})/\1\2[0-9a-f]{60}\.jpg", key)


@pytest.mark.parametrize(
    ("path", "ending"),
    [
        ("/a.html", ".html"),
        ("/a.HTML", ".html"),
        ("/a.tar.gz", ".tar.gz"),
        ("/a", ""),
        ("/", ""),
        ("/.htaccess", ""),
        ("/a.b/c", ""),
        ("/a.", ""),
        ("/a.%68tml", ""),
        ("/a.waytoolongtobeone", ""),
    ],
)
def test_the_extension_is_the_last_one_of_the_path(path: str, ending: str) -> None:
    assert keys.extension(path) == ending


@given(URLS, URLS)
def test_hashes_of_urls_that_differ_differ(one: str, other: str) -> None:
    first, second = parsed(one), parsed(other)
    if first and second:
        assert (keys.hash_key(first) == keys.hash_key(second)) == (first.href == second.href)


# ---------------------------------------------------------------- templates


@pytest.mark.parametrize(
    ("template", "url", "key"),
    [
        ("{host}/{path}{ext}", "https://a.de/d/b.html", "a.de/d/b.html"),
        ("{host}/{path}{ext}", "https://a.de/", "a.de/index.html"),
        ("{date}/{path}{ext}", "https://a.de/b.html", "2026-03-09/b.html"),
        ("{date:%Y/%m}/{path}{ext}", "https://a.de/b.html", "2026/03/b.html"),
        ("{line}{ext}", "https://a.de/b.html", "7.html"),
        ("{line:06d}{ext}", "https://a.de/b.html", "000007.html"),
        ("x/{hash:.8}{ext}", "https://a.de/b.html", f"x/{sha256(B.encode()).hexdigest()[:8]}.html"),
        ("{path}.body", "https://a.de/x/b.tar.gz", "x/b.body"),
    ],
)
def test_a_template_offers_host_path_ext_hash_line_and_date(
    template: str, url: str, key: str
) -> None:
    assert keys.make_rule(template, NOW)(urls.parse(url), 7) == key


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{nothing}/{path}", "unknown field {nothing}"),
        ("{}/{path}", "unknown field"),
        ("{0}/{path}", "unknown field"),
        ("{host.__class__}/{path}", "unknown field"),
        ("{host[0]}/{path}", "unknown field"),
        ("{path", "stray brace"),
        ("path}{path}", "stray brace"),
        ("{{path}}", "stray brace"),
        ("{path:d}", "Unknown format code"),
        ("{line:s}", "Unknown format code"),
        ("{line:99999999999999999999}", "Too many decimal digits"),
        ("fixed", "every target one key"),
        ("{host}/{date}{ext}", "every target one key"),
        ("", "every target one key"),
        ("/tmp/{path}", "leaves the destination"),
        ("../{path}", "leaves the destination"),
        ("{path}/../{path}", "leaves the destination"),
        ("C:\\{path}", "leaves the destination"),
        (".scraper/{path}", "manifest's own"),
    ],
)
def test_a_template_that_cannot_work_is_wrong_usage_before_the_first_target(
    template: str, reason: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)) as caught:
        keys.make_rule(template, NOW)
    assert "--key" in str(caught.value)


@given(
    st.lists(URLS, min_size=2, max_size=8), st.sampled_from(["{host}/{path}{ext}", "{hash}{ext}"])
)
def test_a_template_with_host_path_and_ext_or_hash_keeps_urls_apart(
    texts: list[str], template: str
) -> None:
    rule = keys.make_rule(template, NOW)
    found = {url.href: rule(url, 1) for url in map(parsed, texts) if url}
    assert len(set(found.values())) == len(found)


def test_a_template_key_of_an_over_long_url_is_shortened_and_still_its_own() -> None:
    rule = keys.make_rule("mirror/{date}/{host}/{path}{ext}", NOW)
    texts = [f"https://a/{'d/' * 505}{name}.html" for name in "ab"]
    one, other = (rule(urls.parse(text), 1) for text in texts)
    assert_safe(one)
    assert one != other
    assert one.startswith("mirror/")
    assert one.endswith("/a.html")


# ---------------------------------------------------------------- given keys


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        ("a/b.html", "a/b.html"),
        ("A/B.HTML", "A/B.HTML"),
        ("Grüße/日本.txt", "Grüße/日本.txt"),
        ("a b (1).txt", "a b (1).txt"),
        ("a\\b.txt", "a/b.txt"),
        ("./a//b/./c/", "a/b/c"),
        ("cafe\u0301", "caf\u00e9"),
        ('a:b*c?"<>|.txt', "a_b_c_____.txt"),
        ("con", "_con"),
        ("CON.txt", "_CON.txt"),
        ("con .txt", "_con .txt"),
        ("COM¹", "_COM¹"),
        ("a.", "a_"),
        ("a ", "a_"),
        ("...", ".._"),
        ("..a", "..a"),
        ("a..b/..c", "a..b/..c"),
        ("a\tb\x00c\x7f", "a_b_c_"),
        ("a\u202eb", "a_b"),
        ("a\u200d\u2028\ud800b", "a___b"),
        ("हिन्दी/😀 5€.txt", "हिन्दी/😀 5€.txt"),
        ("a\uff0fb\uff3cc\uff0e\u2025", "a_b_c__"),  # slashes and dots to some
        ("x/.scraper/y", "x/.scraper/y"),
        (".hidden", ".hidden"),
    ],
)
def test_a_given_key_is_kept_but_for_what_is_unsafe(key: str, kept: str) -> None:
    assert keys.given_key(key) == kept
    assert_safe(kept)


@pytest.mark.parametrize(
    "key",
    [
        "..",
        "../x",
        "a/../b",
        "a/..",
        "..\\x",
        "a\\..\\..\\x",
        "/etc/passwd",
        "\\\\server\\share",
        "\\x",
        "C:\\x",
        "c:/x",
        "//x",
        ".scraper/manifest.jsonl",
        ".SCRAPER/manifest.jsonl",
        "./.scraper/x",
        ".\u017fcraper/x",  # the long s is an s to APFS
        ".scraper",
        "/",
        ".",
        "./",
        "",
        "x/" * 600,
        "é" * 200 + ("/" + "é" * 120) * 4,
    ],
)
def test_a_given_key_that_leaves_the_destination_or_names_nothing_is_refused(key: str) -> None:
    with pytest.raises(BadTarget):
        keys.given_key(key)


@given(st.text(max_size=300), st.text(st.sampled_from("./\\ :aA.\u017f\t\0"), max_size=12))
def test_any_given_key_is_made_safe_or_refused(text: str, odd: str) -> None:
    for key in (text, odd, odd + text, text + odd, f".scraper{text}"):
        try:
            safe = keys.given_key(key)
        except BadTarget:
            continue
        assert_safe(safe)
        assert folded(safe).partition("/")[0] != ".scraper"
        assert keys.given_key(safe) == safe


def test_over_long_given_names_stay_apart_and_keep_their_extension() -> None:
    one, other = (keys.given_key("x" * 300 + letter + ".tar.gz") for letter in "ab")
    assert one != other
    assert one.endswith(".tar.gz")
    assert_safe(one)


@pytest.mark.parametrize("make", [lambda name: url_key(f"http://h/{name}"), keys.given_key])
def test_accents_in_disorder_take_no_longer_than_in_order(make: Callable[[str], str]) -> None:
    """To put them in order costs fifty times as much here, and more with each; others are busy."""
    took = []
    for accents in ("\u0301\u0301", "\u0301\u0323"):
        begun = time.thread_time()
        make(accents * 20_000)
        took.append(time.thread_time() - begun)
    assert took[1] < 10 * took[0] + 0.01


def test_the_pairs_of_names_that_collide_on_windows_are_all_marked() -> None:
    pairs = itertools.product(["con", "Nul", "com9", "lpt\u00b2"], ["", ".txt", ".tar.gz", ".a.b"])
    for name, ending in pairs:
        assert_safe(url_key(f"https://a/{name}{ending}"))
        assert_safe(url_key(f"https://a/{name}{ending}/x.html"))
        assert_safe(keys.given_key(f"{name}{ending}"))


PARTS = ["con", "nul", "lpt9", "com10", "index.html", "/", "/", "/", ".", "..", "--", "a", "x.html"]
PARTS += ["-", "%2e", "é", "_", "!", "(", "Ab", "conin$", "2" * 13, ".tar.gz", "n" * 90]


@given(st.lists(st.sampled_from(PARTS), max_size=9).map("".join))
def test_the_short_way_to_a_key_leads_to_the_same_key(path: str) -> None:
    url = urls.parse("https://a.de/" + path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_PLAIN_PATH", re.compile("(?!)"))
        long_way = keys.url_key(url)
    assert keys.url_key(url) == long_way
