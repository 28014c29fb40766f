"""Options: the keyword arguments of `scraper.run`, with their types, for mypy and for editors.

Owns: which options a Python program may give, and how they are named in its messages. The
meaning, the default and the range of each stand in `settings.py`; a test holds the two equal.
Does not know: files, networks, where a message comes from.
Rejected: all of them as parameters of `run` and of `arun`. Each would stand there twice.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypedDict

from scraper.model.settings import Budget

# A target: a line of the list's grammar, `(url, key)`, or the keys `url`, `key` and `headers`.
Listed = str | bytes | tuple[str] | tuple[str, str | None] | Mapping[str, object]
EngineName = Literal["auto", "threads", "curl"]


class Options(TypedDict, total=False):
    """All options of `run` and `arun`. None means the default.

    They are those of the command line, with underscores (`--per-host 8` is `per_host=8`). Times
    are seconds, sizes are bytes.
    """

    key: str | None  # the rule: "url", "hash" or a template like "{host}/{line}"
    manifest: str | os.PathLike[str] | None  # where records are kept, if not in the destination
    max_failures: int | str | Budget | None  # so many, or "5%"; `fail_fast` stops beyond it
    fail_fast: bool | None
    lock: Literal["wait", "skip", "fail"] | None  # what to do when another run has the destination
    store_compressed: Literal["gzip", "zstd"] | None  # how bodies are stored; keys get .gz or .zst
    durable: bool | None  # objects survive a power cut
    engine: EngineName | None
    max_concurrency: int | None  # transfers at once
    processes: int | Literal["auto"] | None  # that hosts are divided among; "auto": one a core
    per_host: int | None  # transfers at once to one host; 0 sets no limit
    delay: float | None  # between requests to one host
    rate: float | None  # requests a second, to all hosts together
    limit_rate: int | None  # bytes a second, of all bodies together
    shard: str | None  # "0/8": only the hosts of this shard, while others fetch the others
    robots: bool | None
    split: int | None  # parts of one large body at once
    split_above: int | None
    retries: int | None
    retry_max_time: float | None
    max_retry_after: float | None
    backoff_min: float | None
    backoff_max: float | None
    retry_on: str | Iterable[str | int] | None  # further statuses: "403,5xx"
    connect_timeout: float | None
    read_timeout: float | None
    max_time: float | None  # for one attempt
    speed_limit: int | None  # bytes a second, over `speed_time`
    speed_time: float | None
    max_size: int | None
    max_redirects: int | None
    continue_above: int | None
    max_total_size: int | None  # for the whole run, as the next two
    max_run_time: float | None
    min_free_space: int | None
    grace: float | None  # for what is in flight when the run is stopped
    headers: Mapping[str, str] | Sequence[str | tuple[str, str]] | None
    user_agent: str | None
    contact: str | None
    proxy: str | None
    cacert: str | os.PathLike[str] | None
    user: str | None  # "name:password"
    cookies: str | os.PathLike[str] | None
    http1_1: bool | None  # no HTTP/2
    ipv4: bool | None  # no addresses of IPv6
    ipv6: bool | None
    resolve: str | Sequence[str] | None  # "HOST:PORT:ADDRESS", the host may be "*"
    cert: str | os.PathLike[str] | None
    cert_key: str | os.PathLike[str] | None
    insecure: bool | None
    netrc: bool | None
    raw: bool | None
    public_only: bool | None
    expect_type: str | None
    require_digest: bool | None  # targets without an expected digest are refused
    robots_agent: str | None  # the name that robots.txt knows us by, if not the User-Agent's first
    robots_tags: str | Sequence[str] | None  # of X-Robots-Tag: "noai,noimageai"; not stored then
    s3_client: Literal["auto", "boto3", "curl"] | None
    s3_endpoint: str | None
    s3_profile: str | None
    s3_storage_class: str | None
    s3_sse: str | None
    s3_unconfirmed: bool | None  # although the endpoint does not confirm the two above
    resume: bool | None
    retry_failed: bool | None
    warc_size: int | None  # bytes of one file of an archive
    new_failures: bool | None  # of the summary: those that the run before did not have
    all: bool | None  # with `retry_failed`: also what failed for good
    refresh: bool | None
    skip_existing: bool | None  # objects that lie there without a record are taken over


# What other libraries call them, where no slip of a name leads there.
_OTHERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("threads", "workers", "concurrency", "jobs", "limit"), ("max_concurrency",)),
    **dict.fromkeys(("timeout", "total_timeout"), ("max_time",)),
    **dict.fromkeys(("verify", "ssl", "verify_ssl"), ("insecure",)),
    **dict.fromkeys(("output", "dest", "destination", "directory", "path"), ("to",)),
    **dict.fromkeys(("agent", "ua"), ("user_agent",)),
    **dict.fromkeys(("tries", "max_tries", "attempts", "max_retries"), ("retries",)),
    **dict.fromkeys(("proxies", "http_proxy"), ("proxy",)),
}
# Not within quotes: what stands there is a value.
_FLAG = re.compile(r"(?<![\w/'\"-])--(?:no-)?([a-z0-9]+(?:[-.][a-z0-9]+)*)(?![\w/-])")


def in_python(text: str) -> str:
    """A message with its options as Python has them: `max_size`, where it says `--max-size`."""
    return _FLAG.sub(_parameter, text) if "--" in text else text


def _parameter(flag: re.Match[str]) -> str:
    name = "headers" if flag[1] == "header" else flag[1].replace("-", "_").replace(".", "_")
    return name if name == "to" or name in Options.__annotations__ else flag[0]


def unknown(names: Iterable[str]) -> str | None:
    """What to say of those `names` that are no option, with the likeliest one. None if all are."""
    known = Options.__annotations__
    for name in names:
        if name not in known:
            from difflib import get_close_matches

            near = _OTHERS.get(name) or get_close_matches(name, known, 1, 0.75)
            return f"unknown option {name}" + (f": did you mean {near[0]}?" if near else "")
    return None
