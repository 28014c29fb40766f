"""The account of all runs: medians, ratios, Markdown tables, JSON.

Owns: the arithmetic. A tool's figures are medians over the rounds; a ratio is
the median of the ratios within each round, since what slowed one tool of a
round down slowed its neighbours too. Refuses to know: how a run is made.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.workloads import Case

MB = 1024 * 1024
CEILING = "(ceiling)"  # the name of the loop that does nothing with what it gets


@dataclass(frozen=True, slots=True)
class Run:
    """One tool's run of one case. `problem` tells why its time does not count.

    `others_s`, where some hosts are slow: when the last page of the others was stored.
    """

    workload: str
    title: str
    tool: str
    round: int
    urls: int
    bytes: int
    wall_s: float
    cpu_s: float = 0.0
    servers_cpu_s: float = 0.0
    peak_bytes: int = 0
    others_s: float | None = None
    problem: str | None = None

    @property
    def urls_per_s(self) -> float:
        """URLs a second, start and end of the process included."""
        return self.urls / self.wall_s


@dataclass(frozen=True, slots=True)
class Row:
    """A tool's medians in one case. `ratio`: how many times faster the reference is.

    `of_ideal`: of the URLs/s that the server's delay alone would allow; `of_ceiling`: of
    what this server gave a loop that does nothing with it.
    """

    tool: str
    wall_s: float
    best_s: float
    urls_per_s: float
    mb_per_s: float
    cpu_ms: float
    servers_cpu_ms: float
    peak_mb: float
    ratio: float | None
    of_ideal: float | None
    of_ceiling: float | None


def rows(case: Case, runs: Sequence[Run], reference: str | None) -> list[Row]:
    """A row for each tool all of whose runs were good, in the order of their first runs."""
    tools = _by_tool(run for run in runs if run.title == case.title)
    return [
        _row(case, good, tools.get(reference or "", []), tools.get(CEILING, []))
        for good in tools.values()
        if not any(run.problem for run in good)
    ]


def failures(runs: Iterable[Run]) -> list[str]:
    """What went wrong, once for each tool and case."""
    said: dict[tuple[str, str], str] = {}
    for run in runs:
        if run.problem:
            said.setdefault((run.tool, run.title), f"{run.tool}, {run.title}: {run.problem}")
    return list(said.values())


def ratio(ours: Iterable[Run], theirs: Iterable[Run]) -> float | None:
    """Our URLs a second over theirs: the median over the rounds that both have."""
    rates = {run.round: run.urls_per_s for run in ours if not run.problem}
    shared = [rates[run.round] / run.urls_per_s for run in theirs if run.round in rates]
    return median(shared) if shared else None


def _by_tool(runs: Iterable[Run]) -> dict[str, list[Run]]:
    tools: dict[str, list[Run]] = {}
    for run in runs:
        tools.setdefault(run.tool, []).append(run)
    return tools


def _row(case: Case, runs: Sequence[Run], reference: Sequence[Run], ceiling: Sequence[Run]) -> Row:
    wall_s = median(run.wall_s for run in runs)
    full = all(run.urls == len(case.pages) for run in runs)
    return Row(
        tool=runs[0].tool + ("" if full else f" (of {runs[0].urls:,} URLs)"),
        wall_s=wall_s,
        best_s=min(run.wall_s for run in runs),
        urls_per_s=median(run.urls_per_s for run in runs),
        mb_per_s=median(run.bytes / run.wall_s for run in runs) / MB,
        cpu_ms=median(run.cpu_s / run.urls for run in runs) * 1000,
        servers_cpu_ms=median(run.servers_cpu_s / run.urls for run in runs) * 1000,
        peak_mb=median(run.peak_bytes for run in runs) / MB,
        ratio=ratio(reference, runs),
        of_ideal=case.ideal_s / wall_s if case.ideal_s and full else None,
        of_ceiling=ratio(runs, ceiling),
    )


def markdown(case: Case, runs: Sequence[Run], reference: str | None) -> str:
    """One case as a table."""
    heads = [
        "tool",
        "s (median)",
        "s (best)",
        "URLs/s",
        "MB/s",
        "CPU ms/URL",
        "server CPU ms/URL",
        "peak MB",
        f"{reference or 'ours'} is",
    ]
    lines = []
    for row in rows(case, runs, reference):
        cells = [
            row.tool,
            f"{row.wall_s:.2f}",
            f"{row.best_s:.2f}",
            f"{row.urls_per_s:,.0f}" if row.urls_per_s >= 100 else f"{row.urls_per_s:.1f}",
            f"{row.mb_per_s:,.1f}",
            f"{row.cpu_ms:.3f}",
            f"{row.servers_cpu_ms:.3f}",
            f"{row.peak_mb:,.0f}",
            "" if row.ratio is None else f"{row.ratio:.2f}x",
        ]
        if case.ideal_s:
            cells += ["" if of is None else f"{of:.1%}" for of in (row.of_ideal, row.of_ceiling)]
        lines.append(cells)
    if case.ideal_s:
        heads += ["of ideal", "of ceiling"]
    return table(heads, lines)


def slow_hosts(alone: Case, beside: Case, runs: Sequence[Run]) -> str:
    """Without slow hosts and with them: how much later the others' last page is there."""
    heads = [
        "tool",
        "the others alone, s",
        "beside slow hosts, s",
        "later by",
        "all, s",
        "CPU ms/URL",
    ]
    lines = []
    first = _by_tool(run for run in runs if run.title == alone.title)
    second = _by_tool(run for run in runs if run.title == beside.title)
    for tool, with_slow in second.items():
        without = first.get(tool, [])
        times = list(_others(without)), list(_others(with_slow))
        if not all(times) or any(run.problem for run in (*without, *with_slow)):
            continue
        lines.append(
            [
                tool,
                f"{median(times[0]):.2f}",
                f"{median(times[1]):.2f}",
                f"{later(without, with_slow):+.1%}",
                f"{median(run.wall_s for run in with_slow):.2f}",
                f"{median(run.cpu_s / run.urls for run in with_slow) * 1000:.3f}",
            ]
        )
    return table(heads, lines)


def later(without: Sequence[Run], with_slow: Sequence[Run]) -> float:
    """The share by which the others end later: the median over rounds."""
    alone = {run.round: run.others_s for run in without}
    shares = [
        run.others_s / before - 1
        for run in with_slow
        if run.others_s and (before := alone.get(run.round))
    ]
    return median(shares)


def _others(runs: Iterable[Run]) -> Iterator[float]:
    yield from (run.others_s for run in runs if run.others_s is not None)


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown; the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    aligned = [
        [cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]
        for cells in (heads, *lines)
    ]
    aligned.insert(1, rule)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in aligned)
