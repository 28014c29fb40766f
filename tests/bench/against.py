"""Two commits of ours, side by side: the code here, and that of a revision.

By URLs a second and processor time, in turns, and by instructions, which noise
does not touch: those of a list less those of a shorter one, so that start-up is
told apart from the cost of a URL. perf counts them where the machine lets it,
else valgrind's callgrind on a few URLs; without either the ratios speak alone.
Owns: that comparison. The interpreter and its libraries are the same for both.
"""

import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.bench import report, runner
from tests.bench.opponents import Field, Opponent, ours
from tests.bench.servers import REPOSITORY, Web
from tests.bench.workloads import Case, files

HERE, URLS, AT = "here", 2_000, 64
FEW, MORE = 20, 120  # URLs that are counted in instructions

Counter = Callable[[Opponent, Case, Path], int]


def compare(revision: str, web: Web, scratch: Path, rounds: int) -> str:
    """A table of both, and the ratios. Raises CalledProcessError for a revision git can't find."""
    pages = files(web, URLS)
    title = f"{URLS:,} files of 1 to 16 KB, {AT} at once"
    case = Case("small", title, pages, AT, bounded=False)
    tree = extract(revision, scratch / "tree")
    both = (
        replace(ours(REPOSITORY)[0][-1], name=HERE),
        replace(ours(tree)[0][-1], name=revision),
    )
    runs = list(runner.run_all([case], Field(both, (), ()), rounds, scratch))
    lines = [f"### {HERE} against {revision}: {title}\n", report.markdown(case, runs, HERE)]
    lines += report.failures(runs)
    lines.append(
        f"\nCPU: {_cpu_ratio(runs, revision):.3f} of {revision}'s (1 is equal, less is better)"
    )
    return "\n".join([*lines, *_instructions(both, case, scratch)])


def extract(revision: str, to: Path) -> Path:
    """The files of `revision` in `to`, without a trace in the repository."""
    archive = to.with_suffix(".tar")
    command = ["git", "archive", "--format=tar", "-o", str(archive), revision, "scraper"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    with tarfile.open(archive) as tar:
        tar.extractall(to, filter="data")
    return to


def _cpu_ratio(runs: list[report.Run], revision: str) -> float:
    by_tool = {
        tool: {run.round: run.cpu_s for run in runs if run.tool == tool and not run.problem}
        for tool in (HERE, revision)
    }
    return median(
        here / by_tool[revision][number]
        for number, here in by_tool[HERE].items()
        if number in by_tool[revision]
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
