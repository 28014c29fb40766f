"""Two commits of ours, side by side: the code here, and that of a revision.

By URLs a second and processor time, in turns, and by instructions, which noise
does not touch: those of a list less those of a shorter one, so that start-up is
told apart from the cost of a URL. perf counts them where the machine lets it,
else valgrind's callgrind on a few URLs; without either the ratios speak alone.
Owns: that comparison. The interpreter and its libraries are the same for both.
"""

import math
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.bench import report, runner
from tests.bench.opponents import Field, Opponent, ours
from tests.bench.servers import REPOSITORY
from tests.bench.workloads import Case

HERE = "here"
FEW, MORE = 20, 120  # URLs that are counted in instructions

Counter = Callable[[Opponent, Case, Path], int]


def compare(
    revision: str, cases: Sequence[Case], others: Sequence[Opponent], scratch: Path, rounds: int
) -> Iterator[str]:
    """A table of both for each case, and the ratios. `others` take part in cases of S3.

    Raises CalledProcessError for a revision git can't find.
    """
    tree = extract(revision, scratch / "tree")
    for each in cases:
        case = replace(each, bounded=False)
        both = _newest(REPOSITORY, HERE, case), _newest(tree, revision, case)
        field = Field(both, (*both, *others), ())
        runs = list(runner.run_all([case], field, rounds, scratch))
        yield f"\n### {HERE} against {revision}: {case.title}\n"
        yield report.markdown(case, runs, HERE)
        yield from report.failures(runs)
        yield ""
        for tool in dict.fromkeys(run.tool for run in runs if run.tool != HERE):
            cpu = _ratio(runs, tool, lambda run: run.cpu_s)
            wall = _ratio(runs, tool, lambda run: run.wall_s)
            yield f"CPU {cpu:.3f} and wall {wall:.3f} of {tool}'s (1 is equal, less is better)"
        yield from _instructions(both, case, scratch)


def _newest(tree: Path, name: str, case: Case) -> Opponent:
    """The newest engine or client of the code in `tree`."""
    engines, clients = ours(tree)
    return replace((clients if case.s3 else engines)[-1], name=name)


def extract(revision: str, to: Path) -> Path:
    """The files of `revision` in `to`, without a trace in the repository."""
    archive = to.with_suffix(".tar")
    command = ["git", "archive", "--format=tar", "-o", str(archive), revision, "scraper"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    with tarfile.open(archive) as tar:
        tar.extractall(to, filter="data")
    return to


def _ratio(runs: Sequence[report.Run], tool: str, measured: Callable[[report.Run], float]) -> float:
    """The median over the rounds of what is measured here, as a part of that of `tool`."""
    ours_, theirs = (
        {run.round: measured(run) for run in runs if run.tool == name and not run.problem}
        for name in (HERE, tool)
    )
    return median(
        [here / theirs[number] for number, here in ours_.items() if number in theirs] or [math.nan]
    )


def _instructions(both: tuple[Opponent, Opponent], case: Case, scratch: Path) -> list[str]:
    """Instructions a URL and at the start, of both, and their ratios."""
    counter = find_counter()
    if counter is None:
        return ["Instructions: not counted (neither perf nor valgrind can, here)"]
    name, count = counter
    start, each = zip(*(split(tool, case, scratch, count) for tool in both), strict=True)
    return [
        f"Instructions ({name}), {label}: {here / 1e6:,.2f} million here, {there / 1e6:,.2f} there:"
        f" {here / there:.3f}"
        for label, (here, there) in (("a URL", each), ("start and end", start))
    ]


def split(tool: Opponent, case: Case, scratch: Path, count: Counter) -> tuple[float, float]:
    """Instructions of start and end, and of one URL, by lists of FEW and MORE."""
    few, more = (
        count(tool, replace(case, pages=case.pages[:urls]), scratch) for urls in (FEW, MORE)
    )
    each = (more - few) / (MORE - FEW)
    return few - FEW * each, each


def find_counter() -> tuple[str, Counter] | None:
    """The best that this machine has, tried out."""
    if shutil.which("perf"):
        said = subprocess.run(
            ["perf", "stat", "-x,", "-e", "instructions:u", "true"],
            capture_output=True,
            text=True,
            check=False,
        ).stderr
        if re.match(r"\d+,", said):
            return "perf", _by_perf
    return ("callgrind", _by_callgrind) if shutil.which("valgrind") else None


def _by_perf(tool: Opponent, case: Case, scratch: Path) -> int:
    said = _under(["perf", "stat", "-x,", "-e", "instructions:u"], tool, case, scratch)
    return int(_found(r"^(\d+),", said))


def _by_callgrind(tool: Opponent, case: Case, scratch: Path) -> int:
    prefix = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    return int(_found(r"Collected : (\d+)", _under(prefix, tool, case, scratch)))


def _under(prefix: list[str], tool: Opponent, case: Case, scratch: Path) -> str:
    """What `tool` says when `prefix` runs it. Its hashes are not random, as instructions tell."""
    under = replace(tool, program=(*prefix, *tool.program), env={**tool.env, "PYTHONHASHSEED": "0"})
    got = runner.fetch(case, under, runner.Destinations(scratch), scratch)
    if got.problem:
        raise RuntimeError(f"{prefix[0]} {tool.name}: {got.problem}")
    return got.usage.said


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"no count in: {text}")
    return found[1]
