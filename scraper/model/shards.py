"""Shards: the hosts of a list, divided over several machines.

    Shard.parse("3/8").has("example.com")

A host is in one shard, so everything that holds for a host holds over all machines: `--per-host`,
`--delay`, robots.txt, repeats of a URL. A host is what the program takes for one: its name with a
port that is not the scheme's own (`Origin.host`).

A hash divides hosts evenly, but not their lines: one host may have most of them. `scraper plan`
counts the lines and makes a `Division`, which the shards of its plan go by.

Owns: the form `I/N`, which shard a host is in, and which options make no sense with shards. Does
not know: where a shard keeps its records (`sinks/plans.py`), how a division is found
(`schedule/shard_plan.py`). The hash must never change: manifests of earlier versions are divided by
it. Rejected: Python's `hash`, another in every process.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, Self

from scraper.model.errors import UsageError
from scraper.model.urls import fingerprint

MOST = 100_000  # shards
_BITS = (1 << 64) - 1
# Its keys begin with a directory that is the host's alone.
_HOST_FIRST = "{host}/"


class Division(NamedTuple):
    """Which shard each host is in: hosts of many lines by name, all others by their bucket.

    `buckets`: the shard of each bucket. Their number is a power of two.
    """

    apart: Mapping[str, int]
    buckets: Sequence[int]

    def shard_of(self, host: str) -> int:
        """The number of the shard that `host` is in."""
        number = self.apart.get(host)
        return self.buckets[bucket_of(host, len(self.buckets))] if number is None else number


class Divides(Protocol):
    """What tells the shard of a host, as `Division` does."""

    def shard_of(self, host: str) -> int:
        """The number of the shard that `host` is in."""


class Shard(NamedTuple):
    """One of so many shards; `number` counts from 0, as JOB_COMPLETION_INDEX does.

    Hosts are divided by `division`, by their hash alone if that is None.
    """

    number: int
    of: int
    division: Divides | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shard that `I/N` means. Raises UsageError for any other text."""
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
        if found is None:
            raise UsageError(f"--shard {text!r} is not I/N, such as 0/8")
        shard = cls(int(found[1]), int(found[2]))
        if not 1 <= shard.of <= MOST:
            raise UsageError(f"--shard {text!r}: the number of shards is from 1 to {MOST:,}")
        if shard.number >= shard.of:
            last = shard.of - 1
            raise UsageError(f"--shard {text!r}: shards count from 0, so the last one is {last}")
        return shard

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, host: str) -> bool:
        """Whether `host` (as `Origin.host`) is in this shard."""
        return self.shard_of(host) == self.number

    def shard_of(self, host: str) -> int:
        """The number of the shard that `host` is in, of all that there are."""
        return shard_of(host, self.of) if self.division is None else self.division.shard_of(host)


def shard_of(host: str, shards: int) -> int:
    """The number of the shard, of so many `shards`, that `host` is in."""
    return (fingerprint(host) & _BITS) % shards


# The same hash. The bucket of 2n is that of n or n more.
bucket_of = shard_of


def check(shard: str, *, key: str, manifest: str | None, max_total_size: int | None) -> None:
    """Raise UsageError for what is no shard, and for options that several machines can't keep."""
    Shard.parse(shard)
    if manifest is not None:
        raise UsageError(
            "--manifest names one file, and each shard has a manifest of its own: leave it out"
        )
    if max_total_size is not None:
        raise UsageError("--max-total-size: shards can't count their bytes together: leave it out")
    if key not in {"url", "hash"} and not key.startswith(_HOST_FIRST):
        raise UsageError(
            f"--key {key!r}: two shards might make one key, and nobody would notice:"
            f" begin with {_HOST_FIRST}"
        )
