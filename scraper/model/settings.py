"""Settings: everything a run can be told, as one frozen tree that is validated once.

The command line, the TOML file, the environment and `scraper.run(**options)` all end here. So
each value is checked at one place, with one message.

Owns: names, defaults and ranges of all options. Does not know: Click, files, networks. Rejected:
one flat set of options for everybody; each part of the program gets its own branch. A repr, a
comparison and `frozen`, made for each of the nine classes: that was 6 % of a run of one page.
"""

import os
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields
from typing import Any, Self, TypeVar, dataclass_transform

from scraper.model import one_file, resolve, robots_names, stored_forms, types
from scraper.model.headers import (
    Pair,
    announces_a_body,
    beginning_of_name,
    check_value,
    header_pairs,
    is_field_name,
    is_field_value,
)
from scraper.model.process_count import process_count
from scraper.model.proxy_urls import is_proxy
from scraper.model.ranges import number, one_of, require, whole
from scraper.model.status_codes import as_text, status_codes
from scraper.model.urls import scheme_in

_READ = {
    "headers": header_pairs,
    "processes": process_count,
    "resolve": resolve.texts,
    "retry_on": as_text,
    "robots_tags": robots_names.rules,
}
_OWN = ["to", "key", "manifest", "max_failures", "fail_fast", "lock", "durable", "engine", "shard"]
_OWN += ["warc_size", "store_compressed"]
_PLAIN: dict[type, Callable[[Any], object]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}
_Kind = TypeVar("_Kind")


class _Branch:
    """A value is set once. Branches of one class are equal if their values are."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        mine: Any = self
        return all(getattr(self, one.name) == getattr(other, one.name) for one in fields(mine))

    __hash__ = None  # type: ignore[assignment]


@dataclass_transform(frozen_default=True, eq_default=False)
def _branch(cls: type[_Kind]) -> type[_Kind]:
    return dataclass(slots=True, repr=False, eq=False)(cls)


@_branch
class Politeness(_Branch):
    """How many requests hosts get. `per_host` and `delay` of 0 set no limit; `rate` is a second.

    A body of more than `split_above` bytes is fetched in `split` parts at once. Transfers are
    carried out in so many `processes`, by the process of the run itself if that is 1.
    """

    max_concurrency: int = 16
    per_host: int = 0
    delay: float = 0.0
    rate: float | None = None
    robots: bool = False
    split: int = 1
    split_above: int = 20_000_000
    processes: int = 1

    def __post_init__(self) -> None:
        whole(1, max_concurrency=self.max_concurrency, split=self.split, processes=self.processes)
        whole(0, per_host=self.per_host, split_above=self.split_above)
        number(0, delay=self.delay)
        number(0, above=True, rate=self.rate)


@_branch
class Retries(_Branch):
    """When a target gets another attempt. All times are seconds.

    `retry_on`: further statuses that are tried again, as `status_codes` reads them.
    """

    retries: int = 3
    retry_max_time: float = 300.0
    max_retry_after: float = 120.0
    backoff_min: float = 1.0
    backoff_max: float = 60.0
    retry_on: str | None = None

    def __post_init__(self) -> None:
        whole(0, retries=self.retries)
        number(0, retry_max_time=self.retry_max_time, max_retry_after=self.max_retry_after)
        number(0, backoff_min=self.backoff_min, backoff_max=self.backoff_max)
        status_codes(self.retry_on)


@_branch
class Limits(_Branch):
    """What one attempt may cost: times in seconds, sizes in bytes as decoded, hops.

    `speed_limit` is bytes a second as sent, averaged over `speed_time` seconds of a body. 0 means
    no least speed: no rate is right for everybody, and `max_time` ends a slow body anyway.
    `limit_rate` is bytes a second of all attempts together.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    max_time: float = 300.0
    speed_limit: int = 0
    speed_time: float = 30.0
    max_size: int | None = None
    max_redirects: int = 10
    continue_above: int = 8_000_000
    limit_rate: int | None = None

    def __post_init__(self) -> None:
        number(
            0,
            above=True,
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            max_time=self.max_time,
            speed_time=self.speed_time,
        )
        whole(
            0,
            speed_limit=self.speed_limit,
            max_size=self.max_size,
            max_redirects=self.max_redirects,
            continue_above=self.continue_above,
        )
        whole(1, limit_rate=self.limit_rate)


@_branch
class RunLimits(_Branch):
    """What the whole run may cost: bytes as decoded, seconds, bytes that stay free on the disk.

    `grace`: seconds for what is in flight when the run is stopped.
    The same limits in rclone: --max-transfer, --max-duration, --vfs-cache-min-free-space.
    """

    max_total_size: int | None = None
    max_run_time: float | None = None
    min_free_space: int | None = None
    grace: float = 8.0

    def __post_init__(self) -> None:
        whole(0, max_total_size=self.max_total_size, min_free_space=self.min_free_space)
        number(0, above=True, max_run_time=self.max_run_time)
        number(0, grace=self.grace)


# A text: few runs need it, and `re` compiles it on first use.
# A contact stands in a comment of User-Agent (RFC 9110 5.6.5); an address also in From (10.1.2).
_CONTACT = r"https?://[!-'*-\[\]-~]+|[\w.!#$%&'*+/=?^`{|}~-]+@[\w.-]+"


@_branch
class Http(_Branch):
    """What requests carry and how they are sent. `headers` are (name, value) pairs."""

    headers: tuple[Pair, ...] = ()  # may be secret
    user_agent: str | None = None
    contact: str | None = None
    proxy: str | None = None  # may hold a password
    user: str | None = None  # holds a password
    cookies: str | None = None
    http1_1: bool = False
    ipv4: bool = False
    ipv6: bool = False
    resolve: tuple[str, ...] = ()
    cacert: str | None = None
    cert: str | None = None
    cert_key: str | None = None
    insecure: bool = False
    netrc: bool = False
    raw: bool = False
    public_only: bool = False
    expect_type: str | None = None
    require_digest: bool = False
    robots_agent: str | None = None
    robots_tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in self.headers:
            shown = beginning_of_name(name)
            require(is_field_name(name), f"--header {shown!r} is not the name of a header")
            require(
                not announces_a_body(name), f"--header {name!r} announces a body, and there is none"
            )
            check_value(name, value)
        require(
            self.proxy is None or is_proxy(self.proxy),
            "--proxy is not [scheme://][user:password@]host[:port] with the scheme http, https, "
            "socks4, socks4a, socks5 or socks5h",
        )
        require(
            not (self.cacert and self.insecure), "--cacert and --insecure contradict each other"
        )
        require(
            self.user is None or (":" in self.user and self.user.isprintable()),
            "--user is not NAME:PASSWORD",
        )
        require(not (self.ipv4 and self.ipv6), "--ipv4 and --ipv6 contradict each other")
        if self.resolve:
            resolve.entries(self.resolve)
        require(self.cert or not self.cert_key, "--cert-key is for --cert only")
        require(
            self.user_agent is None or is_field_value(self.user_agent),
            "--user-agent has a character that no header may hold",
        )
        require(
            self.contact is None or re.fullmatch(_CONTACT, self.contact, re.ASCII),
            f"--contact {self.contact!r} is neither an e-mail address nor an http(s) URL",
        )
        robots_names.check(self.robots_agent, self.robots_tags)


@_branch
class S3(_Branch):
    """Where S3 is and how objects are kept. boto3 finds the credentials.

    `unconfirmed`: an endpoint is used that does not confirm the class or the encryption.
    """

    client: str = "auto"
    endpoint: str | None = None
    profile: str | None = None
    storage_class: str | None = None
    sse: str | None = None
    unconfirmed: bool = False

    def __post_init__(self) -> None:
        one_of("auto", "boto3", "curl", s3_client=self.client)
        if self.endpoint is not None:
            scheme, colon, rest = self.endpoint.partition("://")
            object.__setattr__(self, "endpoint", f"{scheme.lower()}{colon}{rest}")
            is_plain = re.fullmatch(r"https?://[^\s/?#]+(?:/[^\s?#]*)?", self.endpoint)
            without = "an http(s) URL without query and fragment"
            require(is_plain, f"--s3-endpoint {self.endpoint!r} is not {without}")


@_branch
class Earlier(_Branch):
    """What the records of earlier runs mean for this run."""

    resume: bool = False
    retry_failed: bool = False
    refresh: bool = True
    new_failures: bool = False
    all: bool = False
    skip_existing: bool = False

    def __post_init__(self) -> None:
        both = self.resume and self.retry_failed
        require(not both, "--resume and --retry-failed contradict each other")
        require(self.retry_failed or not self.all, "--all is for --retry-failed only")


@_branch
class Budget(_Branch):
    """How many failures are tolerated: `count`, or a `share` of the targets (0.0 to 1.0)."""

    count: int = 0
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The budget that `N` or `N%` means. Raises UsageError for any other text."""
        matched = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", text.strip())
        require(matched is not None, f"--max-failures {text!r} is not N or N%")
        assert matched is not None
        if matched[1]:
            return cls(int(matched[1]))
        share = float(matched[2]) / 100
        require(share <= 1, f"--max-failures {text!r} is above 100%")
        return cls(share=share)

    def exceeded(self, failures: int, targets: int) -> bool:
        """Whether `failures` among `targets` are more than tolerated."""
        if self.share is None:
            return failures > self.count
        return failures > round(self.share * targets, 6)  # 0.29 * 100 is 28.999999999999996


@_branch
class Settings(_Branch):
    """The whole tree. `Settings.of` builds it from the flat names of options."""

    to: str = "./out"
    key: str = "url"
    manifest: str | None = None
    max_failures: Budget = field(default_factory=Budget)
    fail_fast: bool = False
    lock: str = "fail"
    durable: bool = False
    engine: str = "auto"
    politeness: Politeness = field(default_factory=Politeness)
    retries: Retries = field(default_factory=Retries)
    limits: Limits = field(default_factory=Limits)
    run_limits: RunLimits = field(default_factory=RunLimits)
    http: Http = field(default_factory=Http)
    s3: S3 = field(default_factory=S3)
    earlier: Earlier = field(default_factory=Earlier)
    shard: str | None = None
    store_compressed: str | None = None
    warc_size: int | None = None  # bytes of one file of an archive

    def __post_init__(self) -> None:
        if self.shard is not None:
            from scraper.model.shards import check

            most = self.run_limits.max_total_size
            check(self.shard, key=self.key, manifest=self.manifest, max_total_size=most)
        require(self.to.strip(), "--to is empty")
        require(not scheme_in(str(self.manifest or "")), "--manifest is a URL, and no file here")
        one_file.check(self.to, shard=self.shard, processes=self.politeness.processes)
        stored_forms.check(self.store_compressed, to=self.to)
        whole(1, warc_size=self.warc_size)
        require(isinstance(self.max_failures, Budget), "--max-failures is not N or N%")
        one_of("wait", "skip", "fail", lock=self.lock)
        one_of("auto", "threads", "curl", engine=self.engine)

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Settings from flat names (`per_host=8`, `s3_endpoint=...`). None means the default.

        Raises UsageError for an unknown name or a value out of range.
        """
        given = {name: value for name, value in options.items() if value is not None}
        for name in given.keys() & _READ.keys():
            given[name] = types.read(name, _READ[name], given[name])
        types.check_texts(given)
        given = {name: _plain(value) for name, value in given.items()}
        branches: dict[str, tuple[type[Any], str]] = {
            "politeness": (Politeness, ""),
            "retries": (Retries, ""),
            "limits": (Limits, ""),
            "run_limits": (RunLimits, ""),
            "http": (Http, ""),
            "s3": (S3, "s3_"),
            "earlier": (Earlier, ""),
        }
        tree: dict[str, Any] = {}
        for name, (branch, prefix) in branches.items():
            flat = {f.name: prefix + f.name for f in fields(branch)}
            tree[name] = branch(
                **{inner: given.pop(outer) for inner, outer in flat.items() if outer in given}
            )
        for name in ("to", "manifest"):
            if isinstance(given.get(name), os.PathLike):
                given[name] = os.fspath(given[name])
        if isinstance(given.get("max_failures"), str | int):
            given["max_failures"] = Budget.parse(str(given["max_failures"]))
        if isinstance(given.get("shard"), str):
            from scraper.model.shards import Shard

            given["shard"] = str(Shard.parse(given["shard"]))
        tree |= {name: given.pop(name) for name in _OWN if name in given}
        require(not given, f"unknown option {', '.join(sorted(given))}")
        return cls(**tree)


def _plain(value: Any) -> Any:
    """`value` without classes of the caller's, which a child process could not import."""
    if type(value) is tuple:
        return tuple(map(_plain, value))
    for kind, plain in _PLAIN.items():
        if isinstance(value, kind) and not isinstance(value, bool):
            return plain(value)
    return value
