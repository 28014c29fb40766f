"""The page itself: one HTML file that asks for nothing, and runs nothing.

Its policy (CSP) allows nothing but its own style sheet, known by its digest. Every text
that comes from records and summaries is redacted, made printable and escaped where it is shown.

Owns: what stands where, and how numbers are written. Does not know: how they were counted. Raises
UsageError if the extra `report` is not installed.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from time import gmtime, strftime
from typing import Any, NamedTuple

from scraper.model.errors import UsageError
from scraper.model.records import STATUSES
from scraper.model.urls import printable, redact_text
from scraper.model.version import __version__
from scraper.report.page import charts
from scraper.report.page.changes import Change, Changes
from scraper.report.page.facts import HostFacts, RunFacts
from scraper.report.units import duration, human_size

_HERE = Path(__file__).parent
_GROUPS, _HOSTS, _TYPES, _RUNS = 30, 10, 12, 10
_CHANGES = {
    Change.BROKE: "failed now, had a body before",
    Change.RECOVERED: "has a body now, failed before",
    Change.CHANGED: "another body than before",
    Change.SAME: "the same body",
    Change.STILL: "failed, as before",
    Change.NEW: "no earlier record in the manifest",
}


class Account(NamedTuple):
    """What is told beside the records. `summary`: of the run; empty if there is none.

    `shards`: which they are (`2 of 8`), "" for a run that was not divided. `now`: seconds since
    1970.
    """

    destination: str
    runs: Sequence[str]
    summary: Mapping[str, Any]
    now: float
    shards: str = ""


def page(facts: RunFacts, changes: Changes, account: Account) -> str:
    """The whole page."""
    try:
        import jinja2
    except ImportError:
        raise UsageError(charts.NEED) from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        finalize=_shown,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= _FILTERS
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    drawn = {name: environment.filters["markup"](text) for name, text in _plots(facts).items()}
    return environment.get_template("page.html").render(
        style=environment.filters["markup"](style),
        digest=digest,
        plots=drawn,
        version=__version__,
        **_told(facts, account),
        changes=_changes(changes),
        **_hosts(facts),
    )


def _plots(facts: RunFacts) -> dict[str, str]:
    total = facts.times.get("time_total")
    return {
        "throughput": charts.throughput(facts.series),
        "bytes": charts.bytes_a_second(facts.series) if facts.size else "",
        "latency": charts.latency_over_time(facts.series),
        "durations": charts.durations(total) if total is not None else "",
        "sizes": charts.sizes(facts.sizes) if facts.sizes.count else "",
    }


def _told(facts: RunFacts, account: Account) -> dict[str, Any]:
    """The account. The summary of the run knows more than its records, where there is one."""
    summary = account.summary
    told = summary.get("statuses")
    counted = told if isinstance(told, dict) else facts.statuses
    counts = {name: _whole(counted.get(name)) for name in STATUSES.values()}
    seconds = summary.get("seconds")
    if not isinstance(seconds, int | float):
        seconds = facts.end - facts.start
    targets = sum(counts.values())
    groups = facts.failures.frozen()
    types = sorted(facts.types.values(), key=lambda one: (-one.size, -one.bodies))
    return {
        "account": account,
        "summary": summary,
        "reason": summary.get("reason"),
        "command": summary.get("command"),
        "again": summary.get("again"),
        "statuses": counts,
        "targets": targets,
        "failed": counts["failed"] + counts["deferred"],
        "seconds": max(0.0, float(seconds)),
        "facts": facts,
        "groups": groups[:_GROUPS],
        "more_groups": max(0, len(groups) - _GROUPS),
        "most_failures": max((group.failures for group in groups), default=1),
        "codes": sorted(facts.codes.items()),
        "types": types[:_TYPES],
        "more_types": max(0, len(types) - _TYPES),
        "times": [
            (label, facts.times[name])
            for name, label in (
                ("time_connect", "connected"),
                ("time_starttransfer", "first byte"),
                ("time_total", "whole attempt"),
            )
            if name in facts.times
        ],
        "earlier": _earlier(summary),
    }


def _hosts(facts: RunFacts) -> dict[str, Any]:
    hosts = facts.hosts.values()

    def first(key: Callable[[HostFacts], float]) -> list[HostFacts]:
        return sorted((one for one in hosts if key(one)), key=lambda one: -key(one))[:_HOSTS]

    return {
        "slowest": first(lambda one: one.mean_s),
        "largest": first(lambda one: float(one.size)),
        "worst": first(lambda one: float(one.failed)),
        "hosts": len(hosts),
    }


def _changes(changes: Changes) -> list[tuple[str, int, Sequence[str]]]:
    if not changes.any_before:
        return []
    shown = (Change.BROKE, Change.RECOVERED, Change.CHANGED)
    return [
        (text, changes.counts[change], changes.examples.get(change, ()) if change in shown else ())
        for change, text in _CHANGES.items()
    ]


def _earlier(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs that the summary tells of, its own first. None if there was none before."""
    given = summary.get("earlier_runs")
    runs = [summary, *(given if isinstance(given, list) else [])] if summary else []
    found = [_run(run) for run in runs[: _RUNS + 1] if isinstance(run, dict)]
    return found if len(found) > 1 else []


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    """One run as a row. A summary may say anything."""
    told = run.get("statuses")
    counts = told if isinstance(told, dict) else {}
    return {
        "start": str(run.get("start", ""))[:16].replace("T", " "),
        "statuses": {name: _whole(counts.get(name)) for name in STATUSES.values()},
        "status": run["exit_status"] if isinstance(run.get("exit_status"), int) else "",
        "bytes": _whole(run.get("bytes")),
    }


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _shown(value: Any) -> Any:
    """A text as people may see it; markup of ours stays as it is. Jinja2 escapes it afterwards."""
    return printable(redact_text(value)) if type(value) is str else value


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - our own style, and SVG without any text of a record


def _when(moment: float) -> str:
    return strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(min(moment, 2**37))) if moment else "unknown"


def _seconds(value: float) -> str:
    if value >= 120:
        return duration(value)
    return f"{value:.3g} s" if value >= 0.995 else f"{value * 1000:.3g} ms"


def _share(part: float, whole: float) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


_FILTERS: dict[str, Callable[..., Any]] = {
    "markup": _markup,
    "size": human_size,
    "duration": duration,
    "seconds": _seconds,
    "count": lambda value: f"{value:,}",
    "share": _share,
    "when": _when,
    "words": lambda name: str(name).replace("_", " "),
}
