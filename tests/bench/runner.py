"""The runner: every tool fetches every list, the tools by turns, round after round.

It owns the order, a fresh list and destination for each run, and the check that all bodies
arrived. A run whose bodies are not all there, by count and bytes, has a problem instead of a
time. It does not know what is made of the figures.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.bench import measure
from tests.bench.opponents import Field, Opponent
from tests.bench.report import Run
from tests.bench.workloads import SLOW_HOSTS, Case

TIMEOUT_S = 900.0
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stores: `to` is how a tool is told, `path` where we look."""

    to: str
    path: Path
    env: Mapping[str, str]


class Destinations:
    """A new one for each run: a directory, or a prefix in a bucket of `rclone serve s3`."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._buckets = scratch / "buckets"
        self._s3 = ExitStack()
        self._bucket = ""
        self._env: dict[str, str] = {}

    def new(self, case: Case) -> Place:
        """An empty one."""
        name = f"run-{next(_numbers)}"
        if case.store is not None:
            kept = case.store
            env = _environment(kept.url, "Other")
            return Place(f"{kept.bucket}/{name}", kept.root / kept.bucket / name, env)
        if not case.s3:
            path = self._scratch / name
            path.mkdir()
            return Place(str(path), path, {})
        if not self._bucket:
            self._open()
        return Place(f"{self._bucket}/{name}", self._buckets / self._bucket / name, self._env)

    def close(self) -> None:
        """Stop the S3 server, if one was needed."""
        self._s3.close()

    def _open(self) -> None:
        from tests import s3servers

        self._buckets.mkdir(exist_ok=True)
        server = self._s3.enter_context(s3servers.rclone(self._buckets))
        self._bucket = server.make_bucket()
        self._env = _environment(server.url, "Rclone")


def _environment(endpoint: str, provider: str) -> dict[str, str]:
    """How tools are told of an S3 endpoint. `provider` is rclone's word for what it is."""
    from tests import s3servers

    return {
        **s3servers.CREDENTIALS,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": provider,
        "RCLONE_CONFIG_BENCH_ENDPOINT": endpoint,
        "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": s3servers.KEY,
        "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": s3servers.SECRET,
    }


def run_all(cases: Sequence[Case], field: Field, rounds: int, scratch: Path) -> Iterator[Run]:
    """Run everything; a tool's cases come one after the other, then the next tool's."""
    pairs = [(case, tool) for case in cases for tool in field.of(case)]
    names = [tool.name for _, tool in pairs]
    pairs.sort(key=lambda pair: names.index(pair[1].name))
    places = Destinations(scratch)
    try:
        for number in range(1, rounds + 1):
            for case, tool in pairs:
                run = run_one(case, tool, number, places, scratch)
                _tell(run)
                yield run
    finally:
        places.close()


def run_one(whole: Case, tool: Opponent, number: int, places: Destinations, scratch: Path) -> Run:
    """One run of one tool."""
    case = whole.shortened(tool.share)
    got = fetch(case, tool, places, scratch)
    return Run(
        workload=case.workload,
        title=case.title,
        tool=tool.name,
        round=number,
        urls=len(case.pages),
        bytes=case.bytes,
        wall_s=got.wall_s,
        cpu_s=got.usage.cpu_s,
        servers_cpu_s=got.usage.servers_cpu_s,
        peak_bytes=got.usage.peak_bytes,
        others_s=got.others_s,
        problem=got.problem,
    )


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a run took, and what it left."""

    usage: measure.Usage
    problem: str | None
    wall_s: float
    others_s: float | None


def fetch(case: Case, tool: Opponent, places: Destinations, scratch: Path) -> Fetched:
    """Run `tool`, check what it left behind, and remove that."""
    place = places.new(case)
    directory = scratch / "work"
    directory.mkdir()
    try:
        list_ = directory / "list"
        list_.write_text(tool.listed(case, place.to))
        env = {**environment(directory), **trust(case), **place.env, **tool.env}
        usage = measure.run(tool.command(case, list_, place.to), directory, env, TIMEOUT_S)
        problem = check(case, tool, usage, place.path)
        others_s = None if problem else _others_s(case, usage, place.path)
        # The ceiling is the server's: the start of an interpreter does not lower it.
        wall_s = usage.wall_s if tool.stores or problem else float(usage.said.split()[2])
        return Fetched(usage, problem, wall_s, others_s)
    finally:
        shutil.rmtree(directory)
        shutil.rmtree(place.path, ignore_errors=True)


def environment(home: Path) -> dict[str, str]:
    """What every tool sees: no proxies, no settings of whoever runs this."""
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8"}


def trust(case: Case) -> dict[str, str]:
    """The variables that name the authorities of a case, if it has any."""
    names = "SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"
    return dict.fromkeys(names, str(case.authorities)) if case.authorities else {}


def check(case: Case, tool: Opponent, usage: measure.Usage, path: Path) -> str | None:
    """Why the run doesn't count, if it does not: all bodies must have arrived."""
    if usage.status:
        last = usage.said.rpartition("\n")[2][:200]
        return f"exit status {usage.status}: {last}"
    if tool.stores:
        came = measure.arrived(path)
    else:
        counts = usage.said.split()
        came = measure.Arrived(int(counts[0]), int(counts[1]))
    wanted = measure.Arrived(len(case.pages), case.bytes)
    if came != wanted:
        return (
            f"{came.count:,} bodies of {wanted.count:,},"
            f" {came.bytes:,} bytes of {wanted.bytes:,} arrived"
        )
    return None


def _others_s(case: Case, usage: measure.Usage, path: Path) -> float | None:
    if case.workload != "hosts":
        return None
    others = frozenset(page.name for page in case.pages if page.host not in SLOW_HOSTS)
    return measure.last_stored(path, others) - usage.started


def _tell(run: Run) -> None:
    said = run.problem or f"{run.wall_s:.2f} s, {run.cpu_s:.2f} s of CPU"
    print(f"  {run.round}: {run.title}: {run.tool}: {said}", file=sys.stderr, flush=True)
