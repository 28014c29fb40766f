"""What is fetched: the cases of each workload, as lists of pages that a server has.

Owns: counts, sizes, concurrency, the quick set and the full one. Refuses to
know: which tools fetch them. The files are random bytes from a fixed seed, so
that two runs ask for the same.
"""

import math
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.servers import DELAY_MS, HOSTS, LIMITED, PAGE_BYTES, SLOW_MS, TLS_HOSTS, Store, Web

KB, MB = 1024, 1024 * 1024
SLOW_HOSTS = frozenset(HOSTS[-2:])


@dataclass(frozen=True, slots=True)
class Page:
    """One line of a list. `name` is unique, and what a tool is asked to store it as."""

    url: str
    name: str
    size: int
    host: str = HOSTS[0]


@dataclass(frozen=True, slots=True)
class Case:
    """One list, and how it is fetched.

    `ideal_s` is what the server's delay alone takes with all slots always in use.
    `bounded`: also ask our own loop that throws bodies away, the server's ceiling.
    `store`: an S3 endpoint to store in, where it is not the usual one.
    `authorities`: the bundle (PEM) that tells whom to trust. `parts`: of one body at once, for
    tools that can do that.
    """

    workload: str
    title: str
    pages: tuple[Page, ...]
    concurrency: int
    per_host: int = 0
    s3: bool = False
    store: Store | None = None
    bounded: bool = True
    ideal_s: float | None = None
    authorities: Path | None = None
    parts: int = 1

    @property
    def bytes(self) -> int:
        """Of all bodies."""
        return sum(page.size for page in self.pages)

    def shortened(self, share: int) -> "Case":
        """The first of `share` parts of a long list, for tools that cost the same for each URL."""
        count = len(self.pages) // share
        return self if count < 10 else replace(self, pages=self.pages[:count])


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything. The counts are URLs."""

    small: int = 4_000
    small_at: tuple[int, ...] = (64,)
    delay_s: float = 1.5  # of an ideal run
    delay_at: tuple[int, ...] = (64,)
    per_host: int = 10
    large: int = 64 * MB
    s3: int = 1_000
    tls: int = 200
    split: int = 100 * MB

    def of(self, count: int) -> "Scale":
        """The same with `count` URLs, or as near as the workload allows, in each case."""
        longest = count / min(self.delay_at) * DELAY_MS / 1000
        few = max(1, count // len(HOSTS))
        return replace(self, small=count, s3=count, tls=count, per_host=few, delay_s=longest)


QUICK = Scale()
FULL = Scale(
    small=10_000,
    small_at=(16, 64),
    delay_s=10.0,
    delay_at=(64, 256),
    per_host=100,
    large=256 * MB,
    s3=10_000,
    tls=1_000,
    split=200 * MB,
)


def start(web: Web, scale: Scale) -> Iterator[Case]:
    """One URL: what a tool costs before and after its work."""
    del scale
    yield Case("start", "one file of 1 to 16 KB", files(web, 1), 1, bounded=False)


def small(web: Web, scale: Scale) -> Iterator[Case]:
    """Small files as fast as it goes."""
    pages = files(web, scale.small)
    for at in scale.small_at:
        title = f"{len(pages):,} files of 1 to 16 KB, {at} at once"
        yield Case("small", title, pages, at)


def delay(web: Web, scale: Scale) -> Iterator[Case]:
    """A server that takes its time: are all slots always in use?"""
    for at in scale.delay_at:
        rounds = max(1, round(scale.delay_s * 1000 / DELAY_MS))
        names = [f"d{number:06}.bin" for number in range(rounds * at)]
        pages = tuple(Page(web.after(DELAY_MS, name), name, PAGE_BYTES) for name in names)
        title = f"{len(pages):,} pages that take {DELAY_MS} ms, {at} at once"
        ideal_s = math.ceil(len(pages) / at) * DELAY_MS / 1000
        yield Case("delay", title, pages, at, ideal_s=ideal_s)


def hosts(web: Web, scale: Scale) -> Iterator[Case]:
    """The same list without and with two slow hosts: the others should not notice."""
    pages = []
    for host in HOSTS:
        for number in range(scale.per_host):
            name = f"{host}-{number:04}.bin"
            slow = host in SLOW_HOSTS
            url = web.after(SLOW_MS, name, host) if slow else web.page(name, host)
            pages.append(Page(url, name, PAGE_BYTES, host))
    random.Random(1).shuffle(pages)
    others = tuple(page for page in pages if page.host not in SLOW_HOSTS)
    titled = f"{len(HOSTS)} hosts, {scale.per_host} pages each, 64 at once"
    yield Case("hosts", f"{titled}, the slow ones left out", others, 64, 8, bounded=False)
    yield Case(
        "hosts", f"{titled}, two take {SLOW_MS} ms a page", tuple(pages), 64, 8, bounded=False
    )


def large(web: Web, scale: Scale) -> Iterator[Case]:
    """Four large bodies: bytes a second, and memory."""
    block = random.Random(1).randbytes(MB)
    first = web.root / "l0.bin"
    with first.open("wb") as file:
        for _ in range(scale.large // MB):
            file.write(block)
    for number in (1, 2, 3):
        os.link(first, web.root / f"l{number}.bin")
    pages = tuple(Page(web.file(f"l{n}.bin"), f"l{n}.bin", scale.large) for n in range(4))
    yield Case("large", f"4 files of {scale.large // MB} MB, 4 at once", pages, 4)


def s3_start(web: Web, scale: Scale) -> Iterator[Case]:
    """One URL into S3: what a tool costs there before and after its work."""
    del scale
    title = "one file of 1 to 16 KB to S3"
    yield Case("s3_start", title, files(web, 1), 1, s3=True, bounded=False)


def s3(web: Web, scale: Scale) -> Iterator[Case]:
    """Small files into S3."""
    pages = files(web, scale.s3)
    title = f"{len(pages):,} files of 1 to 16 KB to S3, 32 at once"
    yield Case("s3", title, pages, 32, s3=True, bounded=False)


def puts(web: Web, scale: Scale) -> Iterator[Case]:
    """Small files into an S3 endpoint that costs little, so that it is the client that is seen."""
    if web.store is None:
        return
    pages = files(web, scale.s3)
    title = f"{len(pages):,} files of 1 to 16 KB to an S3 that only puts, 32 at once"
    yield Case("puts", title, pages, 32, s3=True, store=web.store, bounded=False)


def tls(web: Web, scale: Scale) -> Iterator[Case]:
    """One page of each of many TLS servers: handshakes, and who reads the bundle how often."""
    hosts = TLS_HOSTS[: scale.tls]
    names = [f"t{number:04}.bin" for number in range(len(hosts))]
    pages = tuple(
        Page(web.secure(name, host), name, PAGE_BYTES, host)
        for name, host in zip(names, hosts, strict=True)
    )
    title = f"{len(pages):,} TLS hosts, a page each, 64 at once, a bundle of authorities"
    yield Case("tls", title, pages, 64, bounded=False, authorities=web.authorities)


def split(web: Web, scale: Scale) -> Iterator[Case]:
    """One large body of a server that limits each connection, in four parts at once."""
    if not web.limits:
        return
    parts = 4
    with (web.root / "split.bin").open("wb") as file:
        block = random.Random(2).randbytes(MB)
        for _ in range(scale.split // MB):
            file.write(block)
    page = Page(web.limited("split.bin"), "split.bin", scale.split)
    speed = f"{LIMITED // MB} MB/s a connection"
    title = f"one file of {scale.split // MB} MB, {speed}, in {parts} parts"
    ideal_s = scale.split / LIMITED / parts
    yield Case("split", title, (page,), parts, bounded=False, ideal_s=ideal_s, parts=parts)


WORKLOADS: dict[str, Callable[[Web, Scale], Iterator[Case]]] = {
    make.__name__: make
    for make in (start, small, delay, hosts, large, s3_start, s3, puts, tls, split)
}


def files(web: Web, count: int) -> tuple[Page, ...]:
    """The first `count` small files, made unless they are there."""
    pages = []
    for number in range(count):
        name = f"f{number:05}.bin"
        seeded = random.Random(number)
        body = seeded.randbytes(seeded.randint(KB, 16 * KB))
        path = web.root / name
        if not path.exists():
            path.write_bytes(body)
        pages.append(Page(web.file(name), name, len(body)))
    return tuple(pages)
