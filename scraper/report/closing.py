"""The last screen: the closing account as text, for people.

Owns: its words and their order. Every line but the command fits COLUMNS. Does not know: where
lines are written (`log.py`). Rejected: all failures by URL; the log has them, and the manifest.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from scraper.model.urls import printable
from scraper.report.failures import SET_HOSTS, FailureGroup
from scraper.report.units import duration, human_size

if TYPE_CHECKING:
    from scraper.report.summary import Summary

COLUMNS = 80
_INDENT = 13  # of what stands beside a label
_GROUPS = 8  # reasons that are told
_URL_LINES = 8  # of all of them
_SLOWEST = 3
_FAILURES = ("failed", "deferred")


def as_text(summary: "Summary") -> str:
    """The lines of the account, without a line feed at the end."""
    return "\n".join(map(printable, _lines(summary)))


def _lines(summary: "Summary") -> Iterator[str]:
    if summary.stopped:
        yield f"stopped: {summary.stopped}"
    yield from _counts(summary)
    if count := summary.failed_for_good:
        yield labelled("skipped", f"{count:,} failed for good earlier (--all tries them again)")
    if count := summary.unknown:
        yield labelled("skipped", f"{count:,} are not in the manifest")
    told = summary.failures if summary.new is None else summary.new
    for status in _FAILURES:
        yield from failure_lines(status, [group for group in told if group.status == status])
    if len(summary.slowest) > 1:
        hosts = (f"{host.name} {host.mean_s:.2f} s" for host in summary.slowest[:_SLOWEST])
        yield cut(labelled("slowest", f"{', '.join(hosts)} (mean of an attempt)"))
    places = summary.places
    yield labelled("stored in", places.destination)
    yield labelled("manifest", places.manifest)
    if summary.failures and places.summary:
        yield labelled("summary", places.summary)
    if places.results:
        yield labelled("results", places.results)
    if places.log:
        yield labelled("log", places.log)
    if summary.again:
        yield labelled("again", summary.again)


def _counts(summary: "Summary") -> Iterator[str]:
    """How many of what, how long it took, how fast it was."""
    targets, seconds = summary.targets, max(summary.seconds, 1e-9)
    if not targets:
        shard = summary.places.shard
        why = f"no line of the list is in shard {shard}" if shard else "the list is empty"
        yield "0 targets" if summary.stopped else f"0 targets: {why}, nothing to do"
        return
    head = f"{targets:,} target{'s' if targets > 1 else ''}: {_statuses(summary)}"
    yield from wrapped(f"{head} in {duration(seconds)}")
    if summary.tried:
        size = f"{human_size(summary.size)}, {human_size(summary.size / seconds)}/s, "
        rate = f"{summary.tried / seconds:,.1f} targets/s"
        if summary.tried < targets:
            rate += f" ({summary.tried:,} were tried)"
        yield labelled("fetched", f"{size if summary.size else ''}{rate}")


def _statuses(summary: "Summary") -> str:
    """The numbers that are not 0, the largest first."""
    found = sorted(summary.statuses.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{count:,} {status.replace('_', ' ')}{_news(summary, status)}"
        for status, count in found
        if count
    )


def _news(summary: "Summary", status: str) -> str:
    """How many of these failures are new, if that was asked for."""
    if summary.new is None or status not in _FAILURES:
        return ""
    return f" ({sum(group.failures for group in summary.new if group.status == status):,} new)"


def failure_lines(
    status: str, groups: Sequence[FailureGroup], most: int = _GROUPS, most_urls: int = _URL_LINES
) -> Iterator[str]:
    """Failures by reason, `most` reasons, and the first URLs: about `most_urls` of all of them."""
    told = groups[:most]
    width = max((len(f"{group.failures:,}") for group in told), default=0)
    urls = max(1, min(3, most_urls // max(len(told), 1))) if most_urls else 0
    for number, group in enumerate(told):
        label = "" if number else status
        yield cut(labelled(label, f"{group.failures:>{width},} {group.reason}{_hosts(group)}"))
        for url in group.urls[:urls]:
            yield cut(f"{' ' * (_INDENT + width + 1)}{url}")
    if rest := groups[most:]:
        count = sum(group.failures for group in rest)
        yield labelled("", f"{count:>{width},} for {len(rest):,} other reasons")


def _hosts(group: FailureGroup) -> str:
    """At how many hosts, if there are several."""
    if group.hosts < 2:
        return ""
    if group.hosts <= SET_HOSTS:
        return f" at {group.hosts:,} hosts"
    digits = len(str(group.hosts)) - 3  # it is an estimate
    return f" at about {round(group.hosts, -digits):,} hosts"


def labelled(label: str, text: str) -> str:
    """`text` beside its label."""
    return f"  {f'{label}:' if label else '':<{_INDENT - 2}}{text}"


def wrapped(text: str) -> Iterator[str]:
    """`text` in lines that fit; the standard library's textwrap takes longer to be imported."""
    line = ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > COLUMNS:
            yield line
            line = " " * (_INDENT - 1)
        line = f"{line} {word}" if line else word
    yield line


def cut(line: str) -> str:
    """`line`, shortened where it is too wide."""
    return line if len(line) <= COLUMNS else f"{line[: COLUMNS - 3]}..."
