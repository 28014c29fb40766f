"""URLs: one parser, one identity, no secrets shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model import urls
from scraper.model.errors import BadTarget, Kind


@pytest.mark.parametrize(
    ("listed", "asked"),
    [
        ("HTTP://EXAMPLE.com", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443/x", "https://example.com/x"),
        ("https://example.com:80/x", "https://example.com:80/x"),
        ("http://example.com/a/../b/./c", "http://example.com/b/c"),
        ("http://example.com/%2e%2e/x", "http://example.com/x"),
        ("http://example.com/ä ö", "http://example.com/%C3%A4%20%C3%B6"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://example.com\\a", "http://example.com/a"),
        ("http:example.com", "http://example.com/"),
        ("  http://example.com/  ", "http://example.com/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"),
        ("http://example.com/#part", "http://example.com/"),
        ("http://example.com/?a=b#part", "http://example.com/?a=b"),
        ("http://example.com/a?", "http://example.com/a?"),
    ],
)
def test_a_url_is_read_as_a_browser_reads_it(listed: str, asked: str) -> None:
    assert urls.parse(listed).href == asked


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ("", "no URL"),
        ("example.com", "no scheme"),
        ("//example.com/", "no scheme"),
        ("example.com/http", "no scheme"),
        ("http://", "not a valid URL"),
        ("http://a b/", "not a valid URL"),
        ("http://example.com:99999/", "not a valid URL"),
        ("http://[::1/", "not a valid URL"),
        ("http://a\0b/", "not a valid URL"),
        (f"http://{'a' * 255}/", "host name is longer than 254 bytes"),
        ("http://a/\ud800", "not a valid URL"),
        ("ftp://example.com/", "'ftp'"),
        ("javascript:alert(1)", "'javascript'"),
        ("file:///etc/passwd", "'file'"),
        ("data:text/plain,x", "'data'"),
    ],
)
def test_what_is_no_http_url_is_refused_with_the_reason(listed: str, reason: str) -> None:
    with pytest.raises(BadTarget, match=reason) as caught:
        urls.parse(listed)
    assert caught.value.kind is Kind.BAD_URL
    assert "\n" not in caught.value.message


def test_the_parser_agrees_with_the_client_about_where_a_backslash_leads() -> None:
    assert urls.parse("http://ex.com\\@evil.com/").origin.hostname == "ex.com"


@pytest.mark.parametrize("reference", ["//[::1", "http://", "http://a b/", "ftp://x/", "\ud800"])
def test_a_location_that_is_no_url_is_our_error_and_no_bare_value_error(reference: str) -> None:
    with pytest.raises(BadTarget):
        urls.join(urls.parse("http://a/"), reference)


@pytest.mark.parametrize(
    ("reference", "joined"),
    [
        ("/x", "http://a/x"),
        ("y", "http://a/d/y"),
        ("?q", "http://a/d/e?q"),
        ("#f", "http://a/d/e"),
        ("//b/z", "http://b/z"),
        ("../../../../x", "http://a/x"),
        ("HTTPS://B/", "https://b/"),
        ("", "http://a/d/e"),
    ],
)
def test_a_reference_is_resolved_against_its_base(reference: str, joined: str) -> None:
    assert urls.join(urls.parse("http://a/d/e"), reference).href == joined


def test_a_redirect_does_not_inherit_the_password_of_its_base() -> None:
    assert urls.join(urls.parse("http://u:p@a/"), "/x").userinfo == ""


@pytest.mark.parametrize(
    ("listed", "userinfo"),
    [
        ("http://u:p@a/", "u:p"),
        ("http://u@a/", "u:"),
        ("http://:p@a/", ":p"),
        ("http://u%40x:p%3A%2F@a/", "u@x:p:/"),
        ("http://a/", ""),
    ],
)
def test_userinfo_is_taken_out_of_the_url(listed: str, userinfo: str) -> None:
    url = urls.parse(listed)
    assert url.userinfo == userinfo
    assert url.href == "http://a/"


def test_basic_authorization_is_utf8_and_base64() -> None:
    # The example of RFC 7617, 2.1: user "test", password "123£".
    assert urls.basic_authorization("test:123£") == "Basic dGVzdDoxMjPCow=="


def test_http_and_https_of_a_name_are_one_host_for_politeness_and_ports_are_not() -> None:
    assert urls.parse("http://a/").origin.host == urls.parse("https://a/").origin.host == "a"
    assert urls.parse("http://a:81/").origin.host == "a:81"
    assert urls.parse("http://a/").origin != urls.parse("https://a/").origin


def test_an_empty_query_is_part_of_the_identity() -> None:
    assert urls.parse("http://a/x.html?").search == "?"
    assert urls.parse("http://a/x.html?#f").search == "?"
    assert urls.parse("http://a/x.html").search == ""
    assert urls.parse("http://a/x?y?").search == "?y?"


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://a/", "http://a/?", "http:"]))
def test_any_text_is_a_url_or_a_bad_target_and_parsing_it_again_changes_nothing(
    text: str, prefix: str
) -> None:
    try:
        url = urls.parse(prefix + text)
    except BadTarget:
        return
    assert url.href.isascii()
    assert "#" not in url.href
    assert "@" not in url.href.removeprefix(url.origin.scheme + "://").partition("/")[0]
    again = urls.parse(url.href)
    assert (again.href, again.search, again.origin) == (url.href, url.search, url.origin)
    assert again.userinfo == ""


SECRETS = [
    "http://user:hunter2@a/x",
    "http://hunter2@a/x",
    "http:user:hunter2@a/x",
    "http:\\\\user:hunter2@a/x",
    " \thttp://user:hunter2@a/x",
    "ftp://user:hunter2@a/x",
    "user:hunter2@a/x",
    "see http://user:hunter2@a/x",
    "http://a@b:hunter2@c/",
    "http://a/?next=http://user:hunter2@b/",
    "https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=hunter2&x=1",
    "https://b.s3.amazonaws.com/k?X-Amz-Credential=hunter2",
    "https://b.s3.amazonaws.com/k?X-Amz-Security-Token=hunter2",
    "https://b.s3.amazonaws.com/k?AWSAccessKeyId=A&Expires=1&Signature=hunter2",
    "https://storage.googleapis.com/b/k?X-Goog-Signature=hunter2",
    "https://x.blob.core.windows.net/c/k?sv=2020&se=1&sig=hunter2",
    "https://x.cloudfront.net/k?Expires=1&Signature=hunter2&Key-Pair-Id=K",
    "https://a/?token=hunter2",
    "https://a/?access_token=hunter2",
    "https://a/#access_token=hunter2",
    "https://a/?API_KEY=hunter2",
    "https://a/?apikey=hunter2",
    "https://a/?client_secret=hunter2&q=1",
    "https://a/?q=1;password=hunter2",
    "https://a/?token=aa;hunter2",
    "https://a/?token=hunter2@b",
    "https://a/?token=aa bb hunter2",
    "//user:hunter2@a/x",
    "http:\t/\t/user:hunter2@a/",
    "\x01http:user:hunter2@a/",
    "https://a/?to\tken=hunter2",
    "https://a/? token =hunter2",
    "https://a/?+token+=hunter2",
    "https://a/?%74oken=hunter2",
    "https://a/?X%2DAmz%2DSignature=hunter2",
    "https://a/?x%255bkey%255d=hunter2",
    "https://a/?next=https%3A%2F%2Fb%2F%3Ftoken%3Dhunter2",
    "https://a/?next=https%253A%252F%252Fb%252F%253Ftoken%253Dhunter2",
    "https://a/?next=https%3A%2F%2Fuser%3Ahunter2%40b",
    "https://a/?next=https://b/%3Fa=1%26sig=hunter2",
    "https://a/;jsessionid=hunter2",
    *(
        f"https://a/?{name}=hunter2"
        for name in (
            *("key", "sig", "sign", "auth", "code", "pass", "pwd", "passphrase", "appid", "ticket"),
            *("auth_key", "authkey", "user_key", "userKey", "subscription-key", "private_token"),
            *("wsSecret", "wstoken", "__token__", "oauth_consumer_key", "oauth_signature"),
            *(
                "x-cos-security-token",
                "q-signature",
                "X-Obs-Signature",
                "OSSAccessKeyId",
                "PHPSESSID",
            ),
            *("GoogleAccessId", "AccessKeyId", "token[]", "a[key]", "a[b][api_key]"),
        )
    ),
]


@pytest.mark.parametrize("url", SECRETS)
def test_a_shown_url_has_no_secret(url: str) -> None:
    assert "hunter2" not in urls.redact(url)
    assert "REDACTED" in urls.redact(url)


@pytest.mark.parametrize("url", [url for url in SECRETS if "://" in url and url.split() == [url]])
def test_a_message_with_a_url_in_it_has_no_secret(url: str) -> None:
    shown = urls.redact_text(f"could not fetch {url} (see http://b/?page=2)")
    assert "hunter2" not in shown
    assert "http://b/?page=2" in shown


@pytest.mark.parametrize(
    "url",
    [
        "http://a/",
        "http://a/x@y",
        "http://a/?page=2&monkey=3",
        "http://a/?keyword=x&tokens=2&author=3&design=4&postal_code=5&passage=6&spin=7",
        "http://a/?q=%C3%A4%26b%3Dc&mail=a%40b.c",
        "http://a/?key",
        "http://a/key=1",
        "//a/b@c",
        "http://a/~user:name/",
        "http://a/mailto:x@y",
    ],
)
def test_a_url_without_secrets_is_shown_as_it_is(url: str) -> None:
    assert urls.redact(url) == url
    assert urls.redact_text(url) == url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "\\u001b[2J\\u001b]0;title\\u0007"),
        ("a\r\nb\tc\0", "a\\u000d\\u000ab\\u0009c\\u0000"),
        ("\x9b31m\x7f", "\\u009b31m\\u007f"),
        ("\u2028\u2029\u202eevil\u2066\u200f\u061c", r"\u2028\u2029\u202eevil\u2066\u200f\u061c"),
        ("caf\udce9.txt", "caf\\udce9.txt"),
    ],
)
def test_what_would_drive_a_terminal_is_shown_as_its_number(text: str, shown: str) -> None:
    assert urls.printable(text) == shown


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_other_text_is_printable_as_it_is(text: str) -> None:
    shown = urls.printable(text)
    assert "\\u" in shown or shown == text
    assert urls.printable(shown) == shown
    shown.encode()


def test_letters_of_all_scripts_are_printable() -> None:
    text = "Grüße, здравствуй, 你好, שלום, مرحبا, 😀 ~ \xa0"
    assert urls.printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:pass/hunter2@host/", "http://REDACTED@host/"),
        ("http://me:pa?ss#hunter2@host/", "http://REDACTED@host/"),
        ("123:hunter2@host/", "REDACTED@host/"),
        (
            "http://me:h\0unter2@host:99999/?token=hunter2",
            "http://REDACTED@host:99999/?token=REDACTED",
        ),
        ("http://h:99999/", "http://h:99999/"),
        ("me@example.com", "me@example.com"),
        ("no url: at all", "no url: at all"),
    ],
)
def test_of_what_is_no_url_all_is_hidden_that_may_be_userinfo(text: str, shown: str) -> None:
    assert urls.redact_wreck(text) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sftp://me@host:22/x", "sftp://me@host:22/x"),
        ("SMB://DOM;me@host/x", "SMB://DOM;me@host/x"),
        ("webdavs://me%40example.com@host/x", "webdavs://me%40example.com@host/x"),
        ("ftp://me:hunter2@host/x", "ftp://REDACTED@host/x"),
        ("ftp://me%3ahunter2@host/x", "ftp://REDACTED@host/x"),
        ("ftp://me@x_y:hunter2@host/x", "ftp://REDACTED@host/x"),
        ("sftp://me@host/x?token=hunter2", "sftp://me@host/x?token=REDACTED"),
        ("s3://hunter2@bucket/x", "s3://REDACTED@bucket/x"),
        ("https://hunter2@host/x", "https://REDACTED@host/x"),
    ],
)
def test_a_name_at_a_file_server_is_shown_and_no_password(url: str, shown: str) -> None:
    assert urls.redact(url) == shown


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("HTTP://h/", "http"),
        ("arrow_hdfs://h", "arrow_hdfs"),
        ("simplecache::ftp://h/x", "simplecache::ftp"),
        ("C://x", None),
        ("./ftp://h", None),
        ("tar:x", None),
    ],
)
def test_what_begins_as_a_url_of_any_kind_is_known(text: str, scheme: str | None) -> None:
    assert urls.scheme_in(text) == scheme


NOISE = st.text("\t\r\n /\\@:?#;&=%\0é+", max_size=4)


@given(NOISE, NOISE, NOISE, NOISE)
def test_what_is_parsed_as_a_password_is_not_shown(a: str, b: str, c: str, d: str) -> None:
    listed = f"{a}http:{b}me{c}:hunter2{d}@host/"
    try:
        url = urls.parse(listed)
    except BadTarget:
        assert "hunter2" not in urls.redact_wreck(listed)
    else:
        assert "hunter2" not in url.userinfo or "hunter2" not in urls.redact(listed)


@given(st.sampled_from([url for url in SECRETS if "://" in url[:9]]), st.integers(0, 60), NOISE)
def test_what_is_redacted_once_stays_as_it_is(url: str, place: int, noise: str) -> None:
    shown = urls.redact(url[:place] + noise + url[place:])
    assert urls.redact(shown) == shown


def test_a_message_of_ours_about_what_was_redacted_stays_as_it_is() -> None:
    for text in (
        "can't fetch the list 'http://REDACTED@host/?token=REDACTED': HTTP 404",
        "--proxy is not [scheme://][user:password@]host[:port] with the scheme http",
    ):
        assert urls.redact_text(text) == text


@pytest.mark.timeout(60)  # quadratic time would be hours
@pytest.mark.parametrize(
    "word", ["a", "a:", "&", "a@", ":/", "a=", "&key=", " ", "%3d", "#%", "&token", "[", "-key"]
)
def test_redacting_a_hostile_line_takes_no_quadratic_time(word: str) -> None:
    text = word * 500_000 + "=@://"
    urls.redact(text)
    urls.redact_text("http://" + text)


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Cookie", "X-Api-Key", "X-Auth-Token", "Proxy-Authorization"),
        *("Ocp-Apim-Subscription-Key", "X-Functions-Key", "Key", "X-Session", "X-JWT-Assertion"),
        *("X-Pin", "X-OTP", "X-Ticket", "X-Sid"),
    ],
)
def test_headers_that_carry_credentials_are_known(name: str) -> None:
    assert urls.is_secret_header(name)
    assert urls.is_secret_header(name.upper())


@pytest.mark.parametrize("name", ["Accept", "User-Agent", "Referer", "X-Request-Id", "X-Keyed"])
def test_other_headers_are_not_secret(name: str) -> None:
    assert not urls.is_secret_header(name)
