"""Settings: every default as CLI.md has it, every range checked once, with one line."""

import dataclasses
import enum
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.errors import UsageError
from scraper.model.options import Options
from scraper.model.settings import S3, Budget, Settings
from scraper.model.status_codes import status_codes

# The table of CLI.md: option, default (None: none, or decided by who uses it).
DEFAULTS: dict[str, Any] = {
    "to": "./out",
    "max_concurrency": 16,
    "per_host": 0,
    "delay": 0,
    "rate": None,
    "robots": False,
    "retries": 3,
    "retry_max_time": 300,
    "max_retry_after": 120,
    "retry_on": None,
    "connect_timeout": 10,
    "read_timeout": 30,
    "max_time": 300,
    "speed_limit": 0,
    "speed_time": 30,
    "max_size": None,
    "max_redirects": 10,
    "max_total_size": None,
    "max_run_time": None,
    "min_free_space": None,
    "grace": 8,
    "headers": (),
    "user_agent": None,
    "contact": None,
    "proxy": None,
    "user": None,
    "cookies": None,
    "http1_1": False,
    "ipv4": False,
    "ipv6": False,
    "resolve": (),
    "cacert": None,
    "cert": None,
    "cert_key": None,
    "insecure": False,
    "netrc": False,
    "raw": False,
    "public_only": False,
    "key": "url",
    "expect_type": None,
    "require_digest": False,
    "robots_agent": None,
    "robots_tags": (),
    "s3_client": "auto",
    "s3_endpoint": None,
    "s3_profile": None,
    "s3_storage_class": None,
    "s3_sse": None,
    "s3_unconfirmed": False,
    "manifest": None,
    "max_failures": Budget(0),
    "fail_fast": False,
    "continue_above": 8_000_000,
    "limit_rate": None,
    "split": 1,
    "split_above": 20_000_000,
    "shard": None,
    "processes": 1,
    "lock": "fail",
    "resume": False,
    "retry_failed": False,
    "all": False,
    "refresh": True,
    "new_failures": False,
    "skip_existing": False,
    "store_compressed": None,
    "warc_size": None,
    "durable": False,
    "engine": "auto",
}
BACKOFF = {"backoff_min": 1, "backoff_max": 60}  # "from 1 s to 60 s": no options of their own


def flat(settings: Settings) -> dict[str, Any]:
    """The tree as the flat names that `Settings.of` takes."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value) and field.name != "max_failures":
            prefix = "s3_" if field.name == "s3" else ""
            for inner in dataclasses.fields(value):
                found[prefix + inner.name] = getattr(value, inner.name)
        else:
            found[field.name] = value
    return found


def message(**options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        Settings.of(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_defaults_are_those_of_the_contract() -> None:
    assert flat(Settings()) == DEFAULTS | BACKOFF
    assert Settings.of() == Settings()


def test_none_means_the_default() -> None:
    assert Settings.of(**dict.fromkeys(DEFAULTS)) == Settings()


def test_every_flat_name_reaches_its_place_in_the_tree() -> None:
    given_options: dict[str, Any] = {
        "to": "s3://b/x",
        "max_concurrency": 64,
        "per_host": 8,
        "delay": 0.5,
        "rate": 2.5,
        "robots": True,
        "retries": 0,
        "retry_max_time": 10,
        "max_retry_after": 0,
        "retry_on": "403,5xx",
        "connect_timeout": 1,
        "read_timeout": 2,
        "max_time": 3,
        "speed_limit": 1000,
        "speed_time": 9,
        "max_size": 10,
        "max_redirects": 0,
        "max_total_size": 0,
        "max_run_time": 4,
        "min_free_space": 1,
        "grace": 0,
        "headers": (("A", "b"),),
        "user_agent": "me/1",
        "contact": "me@example.com",
        "proxy": "http://proxy:3128",
        "user": "me:secret",
        "cookies": "cookies.txt",
        "http1_1": True,
        "ipv4": False,
        "ipv6": True,
        "resolve": ("h:80:127.0.0.1", "*:80:::1"),
        "cacert": "ca.pem",
        "cert": "me.pem",
        "cert_key": "key.pem",
        "insecure": False,
        "netrc": True,
        "raw": True,
        "public_only": True,
        "key": "hash",
        "expect_type": "text/*",
        "require_digest": True,
        "robots_agent": "FooBot",
        "robots_tags": ("noai", "noindex"),
        "s3_client": "boto3",
        "s3_endpoint": "http://127.0.0.1:9000",
        "s3_profile": "me",
        "s3_storage_class": "STANDARD_IA",
        "s3_sse": "AES256",
        "s3_unconfirmed": True,
        "manifest": "m.jsonl",
        "max_failures": Budget(5),
        "fail_fast": True,
        "continue_above": 1_000,
        "limit_rate": 500_000,
        "split": 8,
        "split_above": 1_000,
        "shard": None,  # there is no shard with a manifest elsewhere
        "processes": 2,
        "lock": "wait",
        "resume": True,
        "retry_failed": False,
        "all": False,
        "refresh": False,
        "new_failures": True,
        "skip_existing": True,
        "warc_size": 1_000_000,
        "store_compressed": "gzip",
        "durable": True,
        "engine": "threads",
    }
    assert given_options.keys() == DEFAULTS.keys()
    assert flat(Settings.of(**given_options)) == given_options | BACKOFF


def test_robots_names_are_checked() -> None:
    assert Settings.of(robots_tags="NoAI, noindex,noai,").http.robots_tags == ("noai", "noindex")
    assert Settings.of(robots_tags=["noai", "noindex"]).http.robots_tags == ("noai", "noindex")
    for agent in ("Foo Bot", "FooBot/2", "", "*"):
        assert "--robots-agent" in message(robots_agent=agent)
    assert "--robots-tags: 'otherbot: noai'" in message(robots_tags="noindex,otherbot: noai")


def test_codes_that_are_tried_again_may_be_classes() -> None:
    assert status_codes(Settings.of(retry_on="403, 404").retries.retry_on) == {403, 404}
    assert Settings.of(retry_on=[403, "5xx"]).retries.retry_on == "403,5xx"
    assert status_codes("403,5XX") == {403, *range(500, 600)}
    assert status_codes(None) == status_codes(" ") == set()
    for codes in ("40", "600", "200", "3xx", "4x", "403;404", "-1", "4５3"):  # noqa: RUF001
        assert f"--retry-on: {codes!r}" in message(retry_on=codes)


def test_an_unknown_option_is_named() -> None:
    assert "max_concurency" in message(max_concurency=3)
    assert "client" in message(client="boto3")
    assert "politeness" in message(politeness=1)


class Name(enum.StrEnum):
    VALUE = "X-Name"


class Count(enum.IntEnum):
    TWO = 2


class Seconds(float):
    pass


def test_values_of_a_class_of_the_callers_become_plain() -> None:
    text: Any = Name.VALUE
    settings = Settings.of(
        to=text,
        headers={text: text},
        user_agent=text,
        s3_profile=text,
        processes=Count.TWO,
        read_timeout=Seconds(2),
        resume=True,
    )
    (pair,) = settings.http.headers
    texts = [settings.to, *pair, settings.http.user_agent, settings.s3.profile]
    assert [(type(value), value) for value in texts] == [(str, "X-Name")] * 5
    assert type(settings.limits.read_timeout) is float
    assert type(settings.earlier.resume) is bool


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().to = "x"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().politeness.per_host = 1  # type: ignore[misc]


WHOLE = {
    "max_concurrency": 1,
    "per_host": 0,
    "retries": 0,
    "max_size": 0,
    "max_redirects": 0,
    "speed_limit": 0,
    "max_total_size": 0,
    "min_free_space": 0,
}
SECONDS = {"delay": 0, "retry_max_time": 0, "max_retry_after": 0, "grace": 0}
ABOVE_ZERO = ("rate", "connect_timeout", "read_timeout", "max_time", "speed_time", "max_run_time")


@pytest.mark.parametrize(("name", "least"), WHOLE.items())
def test_a_count_has_a_least_value_and_is_whole(name: str, least: int) -> None:
    assert flat(Settings.of(**{name: least}))[name] == least
    assert flat(Settings.of(**{name: 10**7}))[name] == 10**7
    for wrong in (least - 1, -(10**9), 1.5, math.nan, math.inf, "3", True, [1]):
        said = message(**{name: wrong})
        assert f"--{name.replace('_', '-')} " in said
        assert str(least) in said


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("12", 12), (3, 3)])
def test_a_number_of_processes_may_be_a_text(text: object, count: int) -> None:
    assert Settings.of(processes=text).politeness.processes == count


def test_auto_is_one_process_for_each_core_that_may_be_used() -> None:
    found = Settings.of(processes="auto").politeness.processes
    assert 1 <= found <= (os.cpu_count() or 1)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "0", "-1", "many", "", "1.5", [1]])
def test_a_wrong_number_of_processes_is_told(wrong: object) -> None:
    assert message(processes=wrong).startswith("--processes must be a whole number, at least 1")


@pytest.mark.parametrize(("name", "least"), SECONDS.items())
def test_a_number_of_seconds_may_be_zero_but_not_less(name: str, least: float) -> None:
    assert flat(Settings.of(**{name: least}))[name] == least
    assert flat(Settings.of(**{name: 0.25}))[name] == 0.25
    for wrong in (-0.001, math.nan, math.inf, -math.inf, "3", True):
        assert f"--{name.replace('_', '-')} " in message(**{name: wrong})


@pytest.mark.parametrize("name", ABOVE_ZERO)
def test_a_timeout_or_rate_is_above_zero(name: str) -> None:
    assert flat(Settings.of(**{name: 0.001}))[name] == 0.001
    for wrong in (0, -1, math.nan, math.inf, "3", True):
        assert f"--{name.replace('_', '-')} " in message(**{name: wrong})


@pytest.mark.parametrize("name", [*SECONDS, *ABOVE_ZERO])
def test_a_number_that_a_clock_cannot_hold_is_refused_here_and_not_in_a_thread(name: str) -> None:
    assert f"--{name.replace('_', '-')} " in message(**{name: 1e20})


# ---------------------------------------------------------------- headers and HTTP


def test_a_user_agent_is_a_field_value() -> None:
    assert "--user-agent" in message(user_agent="me\r\nX: y")
    assert Settings.of(user_agent="me/1 (+http://x)").http.user_agent == "me/1 (+http://x)"


@pytest.mark.parametrize("contact", ["", "me)", "(me", "a b", "a\\b", "m\xe9", "a\r\nX: y"])
def test_a_contact_is_what_a_comment_of_the_user_agent_may_hold(contact: str) -> None:
    assert "--contact" in message(contact=contact)
    assert Settings.of(contact="https://x/?a=b#c").http.contact == "https://x/?a=b#c"


@pytest.mark.parametrize(
    "proxy",
    [
        "http://proxy:3128",
        "HTTP://proxy:3128/",
        "https://user:pa%40ss@proxy.example:443",
        "proxy:3128",
        "proxy",
        "user:secret@proxy:3128",
        "http://[::1]:3128",
        "http://127.0.0.1",
    ],
)
def test_a_proxy_is_written_as_for_curl(proxy: str) -> None:
    assert Settings.of(proxy=proxy).http.proxy == proxy


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "http://",
        "socks6://proxy:1080",
        "ftp://proxy",
        "http://user:hunter2#x@proxy",
        "http://user:hunter2?x@proxy",
        "http://user:hunter2/x@proxy",
        "http://user:hunter2@proxy:65536",
        "http://proxy/path",
        "http://a b",
        "a:b:c",
    ],
)
def test_what_is_no_http_proxy_is_refused_without_showing_its_password(proxy: str) -> None:
    assert "--proxy" in message(proxy=proxy)
    assert "hunter2" not in message(proxy="ftp://me:hunter2@proxy")


@pytest.mark.parametrize(
    "contact",
    ["me@example.com", "o'me+x@host", "https://example.com/bot?a=b#c", "http://[::1]:8/~me"],
)
def test_a_contact_is_an_address_or_a_page(contact: str) -> None:
    assert Settings.of(contact=contact).http.contact == contact


@pytest.mark.parametrize(
    "contact",
    [
        *("", "me", "@", "me@", "ftp://host/", "https://a b/", "me@a\r\nX: y", "https://é/"),
        *("https://a/(b", "https://a/)", "https://a/\\", "Me <me@host>", "me(x)@host", "a@b@c"),
    ],
)
def test_a_contact_is_nothing_that_breaks_a_header(contact: str) -> None:
    assert "--contact" in message(contact=contact)


def test_a_key_needs_its_certificate() -> None:
    assert "--cert-key is for --cert only" in message(cert_key="key.pem")


def test_cacert_and_insecure_contradict_each_other() -> None:
    assert "--cacert and --insecure" in message(cacert="ca.pem", insecure=True)


# ---------------------------------------------------------------- S3 and destination


@pytest.mark.parametrize("client", ["minio", "boto", "", "AUTO"])
def test_an_s3_client_that_is_not_there_is_refused(client: str) -> None:
    assert "--s3-client" in message(s3_client=client)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://x", "http://", "", "http://a b"])
def test_an_s3_endpoint_is_an_http_url(endpoint: str) -> None:
    assert "--s3-endpoint" in message(s3_endpoint=endpoint)


@pytest.mark.parametrize("endpoint", ["http://host#f", "http://host/#f", "https://host/a?b=c"])
def test_an_s3_endpoint_has_no_query_and_no_fragment(endpoint: str) -> None:
    assert "without query and fragment" in message(s3_endpoint=endpoint)


def test_the_scheme_of_an_s3_endpoint_has_no_case() -> None:
    assert S3(endpoint="HTTP://Host:1/A").endpoint == "http://Host:1/A"


@pytest.mark.parametrize("to", ["", " ", "\n"])
def test_an_empty_destination_is_refused(to: str) -> None:
    assert "--to" in message(to=to)


def test_paths_may_be_path_objects() -> None:
    settings = Settings.of(to=Path("a/b"), manifest=Path("m"))
    assert (settings.to, settings.manifest) == ("a/b", "m")


# ---------------------------------------------------------------- failures tolerated


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("0", Budget(0)),
        ("12", Budget(12)),
        (" 12 ", Budget(12)),
        ("0%", Budget(share=0)),
        ("5%", Budget(share=0.05)),
        ("2.5%", Budget(share=0.025)),
        ("100%", Budget(share=1)),
    ],
)
def test_failures_are_tolerated_by_count_or_by_share(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget
    assert Settings.of(max_failures=text).max_failures == budget


@pytest.mark.parametrize(
    "text", ["", "-1", "x", "5 %", "%", "101%", "100.1%", "1e3", "1.5", "nan", "inf%", "-1%", "5%%"]
)
def test_what_is_no_count_and_no_share_is_refused(text: str) -> None:
    assert "--max-failures" in message(max_failures=text)


@pytest.mark.parametrize("value", [-1, 0.1, True, (1,)])
def test_a_python_caller_hears_the_same(value: Any) -> None:
    assert "--max-failures" in message(max_failures=value)


def test_a_count_of_failures_is_exceeded_by_the_next() -> None:
    assert Settings.of(max_failures=3).max_failures == Budget(3)
    assert not Budget(0).exceeded(0, 10)
    assert Budget(0).exceeded(1, 10)
    assert not Budget(3).exceeded(3, 10)
    assert Budget(3).exceeded(4, 10)


def test_a_share_of_no_targets_is_not_exceeded() -> None:
    assert not Budget(share=0.0).exceeded(0, 0)
    assert Budget(share=0.0).exceeded(1, 10)
    assert not Budget(share=1.0).exceeded(10, 10)


@given(st.integers(0, 100), st.integers(1, 10_000))
def test_a_percentage_is_exceeded_exactly_above_it(percent: int, targets: int) -> None:
    budget = Budget.parse(f"{percent}%")
    for failures in {0, targets * percent // 100, targets * percent // 100 + 1, targets}:
        assert budget.exceeded(failures, targets) == (failures * 100 > percent * targets)


@pytest.mark.parametrize("to", ["warc", "warcs", "warc-out", "./warc:a", "warc+notes", "/warc:a"])
def test_a_directory_may_begin_with_the_word_of_web_archives(to: str) -> None:
    assert Settings.of(to=to, store_compressed="gzip").store_compressed == "gzip"


@pytest.mark.parametrize("to", ["warc:a", "warc://a", "warc+s3://b/a", "WARC+GS://b/a"])
def test_a_web_archive_compresses_by_itself(to: str) -> None:
    assert "are compressed anyway" in message(to=to, store_compressed="gzip")


@pytest.mark.parametrize("name", sorted(Options.__annotations__))
@pytest.mark.parametrize("more", [{}, {"shard": "0/2"}])
def test_a_value_of_no_use_is_told_as_such(name: str, more: dict[str, object]) -> None:
    """Whatever its type, and beside a shard too: Settings, or a UsageError."""
    odd: tuple[Any, ...] = (0, -1, 2.5, b"0/1", len, [], {}, object(), "", True, (1, 2), {1}, [1])
    for value in odd:
        with suppress(UsageError):
            Settings.of(**{**more, name: value})
    if name in {"shard", "key", "proxy"}:
        with pytest.raises(UsageError, match=f"--{name} must be a text, not of type int"):
            Settings.of(**{**more, name: 0})
