"""Settings: everything a run can be told, one frozen tree, validated once.

Owns: names, defaults and ranges of all options; the command line, the TOML
file, the environment and `scraper.run(**options)` all end here, so a value is
checked at one place with one message. Refuses to know: Click, files, networks.
Rejected: passing a flat bag of options down; each part gets its own branch and
can't see the others.
"""

import math
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from scraper.model.errors import UsageError

Pair = tuple[str, str]

_MOST = 1e9  # 31 years in seconds; sockets and locks overflow at 9.2e9


def _require(ok: object, message: str) -> None:
    if not ok:
        raise UsageError(message)


def _whole(least: int, **values: int | None) -> None:
    for name, value in values.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        _require(
            value is None or (whole and value >= least),
            f"{_option(name)} must be a whole number, at least {least}, not {value!r}",
        )


def _number(least: float, *, above: bool = False, **values: float | None) -> None:
    for name, value in values.items():
        finite = (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and value <= _MOST
        )
        _require(
            value is None or (finite and (value > least if above else value >= least)),
            f"{_option(name)} must be a number {'above' if above else 'at least'} {least:g}"
            f" and at most {_MOST:g}, not {value!r}",
        )


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Politeness:
    """How hard hosts may be asked. 0 means: no limit of its own."""

    max_concurrency: int = 16
    per_host: int = 0
    delay: float = 0.0
    rate: float | None = None
    robots: bool = False

    def __post_init__(self) -> None:
        _whole(1, max_concurrency=self.max_concurrency)
        _whole(0, per_host=self.per_host)
        _number(0, delay=self.delay)
        _number(0, above=True, rate=self.rate)


@dataclass(frozen=True, slots=True)
class Retries:
    """When a target gets another attempt. The backoff bounds are seconds."""

    retries: int = 3
    retry_max_time: float = 300.0
    max_retry_after: float = 120.0
    backoff_min: float = 1.0
    backoff_max: float = 60.0

    def __post_init__(self) -> None:
        _whole(0, retries=self.retries)
        _number(
            0,
            retry_max_time=self.retry_max_time,
            max_retry_after=self.max_retry_after,
            backoff_min=self.backoff_min,
            backoff_max=self.backoff_max,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """What one attempt may cost: seconds, bytes as decoded, hops.

    `speed_limit` is bytes a second as sent, over `speed_time` seconds of a body; 0: any speed
    will do, since `max_time` ends what drips, and no rate is right for everybody.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    max_time: float = 300.0
    speed_limit: int = 0
    speed_time: float = 30.0
    max_size: int | None = None
    max_redirects: int = 10
    continue_above: int = 8_000_000

    def __post_init__(self) -> None:
        _number(
            0,
            above=True,
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            max_time=self.max_time,
            speed_time=self.speed_time,
        )
        _whole(
            0,
            speed_limit=self.speed_limit,
            max_size=self.max_size,
            max_redirects=self.max_redirects,
            continue_above=self.continue_above,
        )


@dataclass(frozen=True, slots=True)
class Whole:
    """What the whole run may cost: bytes as decoded, seconds, and bytes to stay free on the disk.

    rclone has these as --max-transfer, --max-duration and --vfs-cache-min-free-space.
    """

    max_total_size: int | None = None
    max_run_time: float | None = None
    min_free_space: int | None = None

    def __post_init__(self) -> None:
        _whole(0, max_total_size=self.max_total_size, min_free_space=self.min_free_space)
        _number(0, above=True, max_run_time=self.max_run_time)


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2
# What follows is seldom needed: `re` compiles it then.
_PROXY = r"(?:([a-z0-9]+)://)?(?:[^\s/?#]*@)?(?:\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(?::(\d{1,5}))?/?"
# What can stand in a comment of a User-Agent (RFC 9110 5.6.5), and an address in From (10.1.2).
_CONTACT = r"https?://[!-'*-\[\]-~]+|[\w.!#$%&'*+/=?^`{|}~-]+@[\w.-]+"


def parse_header(text: str) -> tuple[str, str]:
    """`K: V` as name and value; raises UsageError unless RFC 9110 5.5 allows it."""
    name, colon, value = text.partition(":")
    value = value.strip(" \t")
    if not (colon and is_field_name(name)):
        first = beginning_of_name(name)
        shown = f"{first!r} " if colon or first != name else ""
        raise UsageError(f"--header {shown}is not 'Name: value'")
    _check_value(name, value)
    return name, value


def _headers(given: Mapping[str, str] | Iterable[str | Sequence[str]]) -> tuple[Pair, ...]:
    """Pairs from a mapping, from `K: V` texts, or from pairs."""
    items = given.items() if isinstance(given, Mapping) else given
    return tuple(
        parse_header(item) if isinstance(item, str) else (item[0], item[1]) for item in items
    )


def _check_value(name: str, value: str) -> None:
    _require(is_field_value(value), f"--header {name!r} has a character that no header may hold")


def is_field_value(value: str) -> bool:
    """Whether a header may carry this (no controls, nothing beyond Latin-1)."""
    return all(char == "\t" or " " <= char <= "~" or "\xa0" <= char <= "\xff" for char in value)


def is_proxy(text: str, schemes: Collection[str]) -> bool:
    """Whether this is `[scheme://][user:password@]host[:port]`, with one of these schemes."""
    found = re.fullmatch(_PROXY, text, re.IGNORECASE)
    if found is None or int(found[2] or 0) > 65_535:
        return False
    return found[1] is None or found[1].lower() in schemes


def is_field_name(name: str) -> bool:
    """Whether this is a token as RFC 9110 5.6.2 has it."""
    return bool(_TOKEN.fullmatch(name))


def beginning_of_name(text: str) -> str:
    """What may be shown of a text where a header's name should be: all else may be a secret."""
    found = _TOKEN.match(text, text.startswith(":"))  # HTTP/2's own are `:path` and the like
    return text[: found.end()] if found else ""


def announces_a_body(name: str) -> bool:
    """Whether a header says that a body follows (RFC 9112 6): requests here have none.

    A server would take the next request on the connection for it, and answer another one.
    """
    return name.lower() in {"content-length", "transfer-encoding"}


@dataclass(frozen=True, slots=True)
class Http:
    """What requests look like and how they travel. `headers` are (name, value) pairs."""

    headers: tuple[Pair, ...] = field(default=(), repr=False)  # they may be secret
    user_agent: str | None = None
    contact: str | None = None
    proxy: str | None = field(default=None, repr=False)  # it may have a password
    cacert: str | None = None
    insecure: bool = False
    netrc: bool = False
    raw: bool = False
    public_only: bool = False
    expect_type: str | None = None

    def __post_init__(self) -> None:
        for name, value in self.headers:
            shown = beginning_of_name(name)
            _require(is_field_name(name), f"--header {shown!r} is not the name of a header")
            _require(
                not announces_a_body(name), f"--header {name!r} announces a body, and there is none"
            )
            _check_value(name, value)
        _require(
            self.proxy is None or is_proxy(self.proxy, {"http", "https"}),
            "--proxy is not [http(s)://][user:password@]host[:port]",
        )
        _require(
            not (self.cacert and self.insecure), "--cacert and --insecure contradict each other"
        )
        _require(
            self.user_agent is None or is_field_value(self.user_agent),
            "--user-agent has a character that no header may hold",
        )
        _require(
            self.contact is None or re.fullmatch(_CONTACT, self.contact, re.ASCII),
            f"--contact {self.contact!r} is neither an e-mail address nor an http(s) URL",
        )


@dataclass(frozen=True, slots=True)
class S3:
    """Where S3 is and how objects are kept; credentials are boto3's own business."""

    client: str = "auto"
    endpoint: str | None = None
    profile: str | None = None
    storage_class: str | None = None
    sse: str | None = None

    def __post_init__(self) -> None:
        _require(
            self.client in {"auto", "boto3", "obstore"},
            f"--s3-client {self.client!r} is not auto, boto3 or obstore",
        )
        _require(
            self.endpoint is None or re.fullmatch(r"https?://[^\s/]+(?:/\S*)?", self.endpoint),
            f"--s3-endpoint {self.endpoint!r} is not an http(s) URL",
        )


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier runs' records mean for this one."""

    resume: bool = False
    retry_failed: bool = False
    refresh: bool = True

    def __post_init__(self) -> None:
        _require(
            not (self.resume and self.retry_failed),
            "--resume and --retry-failed contradict each other",
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """Failures tolerated: a count, or a share of the targets (0.0 to 1.0)."""

    count: int = 0
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`N` or `N%`; raises UsageError on anything else."""
        matched = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", text.strip())
        _require(matched is not None, f"--max-failures {text!r} is not N or N%")
        assert matched is not None
        if matched[1]:
            return cls(int(matched[1]))
        share = float(matched[2]) / 100
        _require(share <= 1, f"--max-failures {text!r} is above 100%")
        return cls(share=share)

    def exceeded(self, failures: int, targets: int) -> bool:
        """Whether `failures` of `targets` are more than tolerated."""
        if self.share is None:
            return failures > self.count
        return failures > round(self.share * targets, 6)  # 0.29 * 100 is 28.999999999999996


_FIELD = re.compile(r"\{(?:date)?(?::([^{}]*))?\}")


def expand_date(text: str, now: datetime) -> str:
    """`{date}`, `{date:%Y}` and `{:%Y}` replaced by `now`; raises UsageError on another brace."""
    expanded = _FIELD.sub(lambda field_: now.strftime(field_[1] or "%Y-%m-%d"), text)
    left = _FIELD.sub("", text)
    _require("{" not in left and "}" not in left, f"--to {text!r} has a field other than {{date}}")
    return expanded


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole tree. Built by `Settings.of`, which takes the flat names."""

    to: str = "./out"
    key: str = "url"
    manifest: str | None = None
    max_failures: Budget = field(default_factory=Budget)
    fail_fast: bool = False
    lock: str = "fail"
    engine: str = "auto"
    politeness: Politeness = field(default_factory=Politeness)
    retries: Retries = field(default_factory=Retries)
    limits: Limits = field(default_factory=Limits)
    whole: Whole = field(default_factory=Whole)
    http: Http = field(default_factory=Http)
    s3: S3 = field(default_factory=S3)
    earlier: Earlier = field(default_factory=Earlier)

    def __post_init__(self) -> None:
        _require(self.to.strip(), "--to is empty")
        _require(isinstance(self.max_failures, Budget), "--max-failures is not N or N%")
        _require(
            self.lock in {"wait", "skip", "fail"}, f"--lock {self.lock!r} is not wait, skip or fail"
        )
        _require(
            self.engine in {"auto", "threads", "curl"},
            f"--engine {self.engine!r} is not auto, threads or curl",
        )

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Settings from flat names (`per_host=8`, `s3_endpoint=...`), None meaning: default.

        Raises UsageError for an unknown name or a value out of range.
        """
        given = {name: value for name, value in options.items() if value is not None}
        if "headers" in given:
            given["headers"] = _headers(given["headers"])
        branches: dict[str, tuple[type[Any], str]] = {
            "politeness": (Politeness, ""),
            "retries": (Retries, ""),
            "limits": (Limits, ""),
            "whole": (Whole, ""),
            "http": (Http, ""),
            "s3": (S3, "s3_"),
            "earlier": (Earlier, ""),
        }
        tree: dict[str, Any] = {}
        for name, (branch, prefix) in branches.items():
            own = {f.name: prefix + f.name for f in fields(branch)}
            tree[name] = branch(
                **{inner: given.pop(flat) for inner, flat in own.items() if flat in given}
            )
        for name in ("to", "manifest"):
            if isinstance(given.get(name), os.PathLike):
                given[name] = os.fspath(given[name])
        if isinstance(given.get("max_failures"), str | int):
            given["max_failures"] = Budget.parse(str(given["max_failures"]))
        for name in ("to", "key", "manifest", "max_failures", "fail_fast", "lock", "engine"):
            if name in given:
                tree[name] = given.pop(name)
        _require(not given, f"unknown option {', '.join(sorted(given))}")
        return cls(**tree)
