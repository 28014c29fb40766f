"""The benchmark: `python -m tests.bench`, or `make bench ARGS='--full'`.

Each workload is a list; each tool fetches it in turn, round after round, so that
noise hits all alike; after each run all bodies must be there. No test, and no
verdict: a table. `--against REV` compares two commits of ours instead.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import against, opponents, report, runner, servers, workloads


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole story."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and files are cleaned up
    with ExitStack() as stack:
        scratch = stack.enter_context(servers.scratch())
        web = stack.enter_context(servers.web(scratch, nginx=servers.find_nginx()))
        scale = workloads.FULL if options.full else workloads.QUICK
        if options.urls:
            scale = scale.of(options.urls)
        field = opponents.find(options.scrapy, options.tools)
        if options.against:
            names = options.workload or ["small"]
            cases = [case for name in names for case in workloads.WORKLOADS[name](web, scale)]
            others = [tool for tool in field.s3_tools if options.tools and not tool.is_ours]
            told = against.compare(options.against, cases, others, scratch, options.rounds)
            for line in told:
                print(line, flush=True)
            return 0
        runs: list[report.Run] = []
        print(header(web, options, field.missing), flush=True)
        for name in options.workload or workloads.WORKLOADS:
            cases = list(workloads.WORKLOADS[name](web, scale))
            if not cases:
                print(f"\n### {name}\n\nLeft out: it needs nginx.", flush=True)
                continue
            runs += runner.run_all(cases, field, options.rounds, scratch)
            print("\n".join(tables(cases, runs, field)), flush=True)
            save(options.json, runs, web, field.missing)
        print("\n".join(closing(runs, field, options.json)))
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    add = parser.add_argument
    names = list(workloads.WORKLOADS)
    add("--workload", action="append", choices=names, help="may be repeated; all by default")
    add("--full", action="store_true", help="the sizes that count (an hour); else about 3 minutes")
    add("--rounds", type=int, default=3, help="turns of every tool (3)")
    add("--urls", type=int, help="this many URLs in each list, whatever the set")
    add("--tools", type=lambda text: text.split(","), default=[], help="only these: scraper,curl")
    add("--scrapy", metavar="PYTHON", help="an interpreter that has Scrapy")
    add("--json", type=Path, default=Path("out/bench.json"), help="where all runs are kept")
    add(
        "--against",
        metavar="REV",
        help="compare the code here with that of a commit, by the workloads (small)",
    )
    return parser.parse_args(arguments)


def header(web: servers.Web, options: argparse.Namespace, missing: Sequence[str]) -> str:
    """Where and when this was measured."""
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python"
        f" {platform.python_version()}, Linux {platform.release()}, {web.kind};"
        f" {'full' if options.full else 'quick'} set, {options.rounds} rounds, files in memory."
    )
    return f"{where}\n\nLeft out, not found here: {', '.join(missing)}." if missing else where


def tables(
    cases: Sequence[workloads.Case], runs: Sequence[report.Run], field: opponents.Field
) -> Iterator[str]:
    """What a workload's runs gave."""
    if cases[0].workload == "hosts":
        yield f"\n### {cases[1].title}\n\n{report.slow_hosts(cases[0], cases[1], runs)}"
        return
    for case in cases:
        yield f"\n### {case.title}\n\n{report.markdown(case, runs, field.reference(case))}"


def closing(runs: Sequence[report.Run], field: opponents.Field, json_file: Path) -> Iterator[str]:
    """How the tools were called, what failed, and where everything is."""
    ran = {run.tool for run in runs}
    yield "\n### How they were called\n"
    for tool in (*field.file_tools, *field.s3_tools):
        if any(name.startswith(tool.name) for name in ran):
            yield f"- {tool.name}: `{tool.template}`"
    for failure in report.failures(runs):
        yield f"\nDoes not count: {failure}"
    yield f"\nAll runs: {json_file}"


def save(path: Path, runs: Sequence[report.Run], web: servers.Web, missing: Sequence[str]) -> None:
    """All runs as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            {"machine": machine(web), "missing": missing, "runs": [asdict(run) for run in runs]},
            indent=1,
        )
    )


def machine(web: servers.Web) -> dict[str, Any]:
    """What the figures belong to."""
    head = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(
        head, cwd=servers.REPOSITORY, capture_output=True, text=True, check=False
    )
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "server": web.kind,
    }


if __name__ == "__main__":
    sys.exit(main())
