"""Settings: everything a run can be told, one frozen tree, validated once.

Owns: names, defaults and ranges of all options; the command line, the TOML
file, the environment and `scraper.run(**options)` all end here, so a value is
checked at one place with one message. Refuses to know: Click, files, networks.
Rejected: passing a flat bag of options down; each part gets its own branch and
can't see the others.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from scraper.errors import UsageError


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise UsageError(message)


def _at_least(least: float, **values: float | None) -> None:
    for name, value in values.items():
        option = "--" + name.removesuffix("_s").replace("_", "-")
        _require(
            value is None or value >= least, f"{option} must be at least {least:g}, not {value}"
        )


@dataclass(frozen=True, slots=True)
class Politeness:
    """How hard hosts may be asked. 0 means: no limit of its own."""

    max_concurrency: int = 16
    per_host: int = 0
    delay: float = 0.0
    rate: float | None = None

    def __post_init__(self) -> None:
        _at_least(1, max_concurrency=self.max_concurrency)
        _at_least(0, per_host=self.per_host, delay=self.delay)
        _require(self.rate is None or self.rate > 0, f"--rate must be above 0, not {self.rate}")


@dataclass(frozen=True, slots=True)
class Retries:
    """When a target gets another attempt. The backoff bounds are seconds."""

    retries: int = 3
    retry_max_time: float = 300.0
    max_retry_after: float = 120.0
    backoff_min: float = 1.0
    backoff_max: float = 60.0

    def __post_init__(self) -> None:
        _at_least(
            0,
            retries=self.retries,
            retry_max_time=self.retry_max_time,
            max_retry_after=self.max_retry_after,
            backoff_min=self.backoff_min,
            backoff_max=self.backoff_max,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """What one attempt may cost: seconds, bytes as decoded, hops."""

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    max_time: float = 300.0
    max_size: int | None = None
    max_redirects: int = 10

    def __post_init__(self) -> None:
        for name in ("connect_timeout", "read_timeout", "max_time"):
            value = getattr(self, name)
            _require(value > 0, f"--{name.replace('_', '-')} must be above 0, not {value}")
        _at_least(0, max_size=self.max_size, max_redirects=self.max_redirects)


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2
_PROXY = re.compile(r"https?://[^\s/]+/?", re.IGNORECASE)


def parse_header(text: str) -> tuple[str, str]:
    """`K: V` as name and value; raises UsageError unless RFC 9110 5.5 allows it."""
    name, colon, value = text.partition(":")
    value = value.strip(" \t")
    _require(
        bool(colon) and bool(_TOKEN.fullmatch(name)), f"--header {text!r} is not 'Name: value'"
    )
    _require(is_field_value(value), f"--header {name!r} has a character that no header may hold")
    return name, value


def is_field_value(value: str) -> bool:
    """Whether a header may carry this (no controls, nothing beyond Latin-1)."""
    return all(char == "\t" or " " <= char <= "~" or "\xa0" <= char <= "\xff" for char in value)


def is_field_name(name: str) -> bool:
    """Whether this is a token as RFC 9110 5.6.2 has it."""
    return bool(_TOKEN.fullmatch(name))


@dataclass(frozen=True, slots=True)
class Http:
    """What requests look like and how they travel. `headers` are (name, value) pairs."""

    headers: tuple[tuple[str, str], ...] = ()
    user_agent: str | None = None
    proxy: str | None = None
    cacert: str | None = None
    insecure: bool = False
    netrc: bool = False
    raw: bool = False
    expect_type: str | None = None

    def __post_init__(self) -> None:
        _require(
            self.proxy is None or bool(_PROXY.fullmatch(self.proxy)),
            f"--proxy {self.proxy!r} is not http(s)://[user:password@]host[:port]",
        )
        _require(
            not (self.cacert and self.insecure), "--cacert and --insecure contradict each other"
        )
        _require(
            self.user_agent is None or is_field_value(self.user_agent),
            "--user-agent has a character that no header may hold",
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
            self.client in {"auto", "boto3"}, f"--s3-client {self.client!r} is not auto or boto3"
        )
        _require(
            self.endpoint is None or self.endpoint.startswith(("http://", "https://")),
            f"--s3-endpoint {self.endpoint!r} is not an http(s) URL",
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
        allowed = self.count if self.share is None else self.share * targets
        return failures > allowed


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
    politeness: Politeness = field(default_factory=Politeness)
    retries: Retries = field(default_factory=Retries)
    limits: Limits = field(default_factory=Limits)
    http: Http = field(default_factory=Http)
    s3: S3 = field(default_factory=S3)

    def __post_init__(self) -> None:
        _require(bool(self.to.strip()), "--to is empty")

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Settings from flat names (`per_host=8`, `s3_endpoint=...`), None meaning: default.

        Raises UsageError for an unknown name or a value out of range.
        """
        given = {name: value for name, value in options.items() if value is not None}
        branches: Mapping[str, tuple[type[Any], str]] = {
            "politeness": (Politeness, ""),
            "retries": (Retries, ""),
            "limits": (Limits, ""),
            "http": (Http, ""),
            "s3": (S3, "s3_"),
        }
        tree: dict[str, Any] = {}
        for name, (branch, prefix) in branches.items():
            own = {f.name: prefix + f.name for f in fields(branch)}
            tree[name] = branch(
                **{inner: given.pop(flat) for inner, flat in own.items() if flat in given}
            )
        if isinstance(given.get("max_failures"), str | int):
            given["max_failures"] = Budget.parse(str(given["max_failures"]))
        for name in ("to", "key", "manifest", "max_failures", "fail_fast"):
            if name in given:
                tree[name] = given.pop(name)
        _require(not given, f"unknown option {', '.join(sorted(given))}")
        return cls(**tree)
