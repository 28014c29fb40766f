"""The log: one line for each event of a run, for people or for machines.

Owns: the events. Text and JSON are two renderings of one record, so they always say the same.
A terminal has words of its own for results (`screen.py`). Does not know: where lines go; it is
given a function that writes them. Tried and rejected: the `logging` module of the standard
library; nobody would configure its levels and handlers.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from scraper.manifest import as_json, to_record
from scraper.model import urls
from scraper.model.dates import rfc3339
from scraper.model.records import (
    Deferred,
    Duplicate,
    Failed,
    NotModified,
    NotReached,
    Result,
    Skipped,
    Stored,
)
from scraper.report.streams import Write, lines_lost
from scraper.report.summary import Summary
from scraper.report.terminal import red
from scraper.report.units import human_size

_GOOD = (Stored, NotModified, Skipped, Duplicate)


class Event(NamedTuple):
    """Something that happened: `level` is debug, info, warning or error."""

    name: str
    level: str
    text: str
    record: Mapping[str, Any]

    def as_json(self) -> str:
        """One JSON object, without line feed."""
        head = {"time": rfc3339(time.time()), "level": self.level, "event": self.name}
        return as_json({**head, **self.record}).decode()


class Style(NamedTuple):
    """How lines look. `stamped`: text with the time before it, in UTC. `coloured`: bad ones red.

    `screen`: for a terminal, so with words of its own, and without results that are good.
    `totals`: without results that are good, since totals are told instead. `verbose` of the log
    brings them back.
    """

    as_json: bool = False
    stamped: bool = False
    coloured: bool = False
    screen: bool = False
    totals: bool = False


PLAIN = Style()


class Log:
    """A receiver of Results that writes the events of this verbosity.

    `quiet`: only failures. `verbose`: retries too. `run`: the id of the run, "" for none.
    Set `is_news` to a function that says of which results people hear without `verbose`.
    """

    def __init__(
        self,
        write: Write,
        style: Style = PLAIN,
        *,
        quiet: bool = False,
        verbose: bool = False,
        run: str = "",
    ) -> None:
        self._marks = {"run": run} if run else {}
        self.is_news: Callable[[Result], bool] = lambda _: True
        self._write = write
        self._style = style
        self._wide = verbose
        self._levels = {"warning", "error"} if quiet else {"info", "warning", "error"}
        if verbose:
            self._levels.add("debug")
        self._only_bad = quiet or ((style.screen or style.totals) and not verbose)

    def event(self, event: Event) -> None:
        """Write `event`, unless it is below the verbosity."""
        if event.level in self._levels:
            self._write(self._line(event, self._stamp()))

    @property
    def on_screen(self) -> bool:
        """Whether it is the one of a terminal."""
        return self._style.screen

    def asked(self, event: Event) -> None:
        """Write what was asked for, totals or a port, whatever the verbosity. From any thread."""
        if self._levels:
            self._write(self._line(event, self._stamp()))

    def note(self, level: str, name: str, record: Mapping[str, Any]) -> None:
        """Write an event as its name and its fields: a retry."""
        text = " ".join(f"{field}={value}" for field, value in record.items())
        self.event(Event(name, level, f"{name}  {text}", record))

    def mute(self) -> None:
        """Write nothing from now on."""
        self._levels = set()
        self._only_bad = True

    def say(self, level: str, name: str, text: str, **record: Any) -> None:
        """Write an event that has a text of its own."""
        self.event(Event(name, level, text, {"message": text, **record}))

    def start(self, text: str, command: str, *, version: str, run: str) -> None:
        """Write the line that opens a run. `command`: what was typed, without secrets.

        A terminal or a pipe shows `command` already, or is read by who gave it; a file is not.
        """
        record = {"message": text, "version": version, "run": run, "command": command}
        shown = f"{text}; run {run}; command: {command}" if self._style.stamped else text
        self.event(Event("start", "info", shown, record))

    def lost_line(self, lines: int) -> str:
        """The line that stands for lines that could not be written."""
        event = Event("lines_lost", "warning", lines_lost(lines), {"lines": lines})
        return self._line(event, self._stamp())

    def __call__(self, *results: Result) -> None:
        """Write one line for each result, all of them in one call."""
        told = results
        if self._only_bad:  # nearly all targets end well
            told = tuple(result for result in results if not isinstance(result.outcome, _GOOD))
        lines = []
        stamp = self._stamp() if told else ""
        for result in told:
            level = _level(result) if self.is_news(result) else "debug"
            if level in self._levels:
                lines.append(self._line(self._event(result, level), stamp))
        if lines:
            self._write(*lines)

    def _event(self, result: Result, level: str) -> Event:
        if self._style.as_json:
            return Event("result", level, "", to_record(result) | self._marks)
        if not self._style.screen:
            return Event("result", level, _text(result), {})
        from scraper.report.screen import screen_line  # only a terminal needs it

        return Event("result", level, screen_line(result, wide=self._wide), {})

    def _stamp(self) -> str:
        return f"{rfc3339(time.time())} " if self._style.stamped else ""

    def _line(self, event: Event, stamp: str) -> str:
        """The line of an event, without anything that could drive a terminal but colours."""
        if self._style.as_json:
            return urls.printable(event.as_json())
        text = urls.printable(event.text)
        if self._style.coloured and event.level == "error":
            text = red(text)
        elif self._style.coloured and event.level == "warning" and event.name == "result":
            reason, gap, rest = text.partition("  ")
            text = f"{red(reason)}{gap}{rest}"
        return stamp + text

    def summary(self, summary: Summary) -> None:
        """Write the closing account, unless the log is quiet and nothing failed."""
        level = "warning" if summary.is_bad else "info"
        if level not in self._levels:
            return
        if self._style.as_json:
            self._write(urls.printable(Event("summary", level, "", summary.as_record()).as_json()))
        else:
            stamp = self._stamp()
            self._write(*(f"{stamp}{line}" for line in summary.as_text().split("\n")))


def _level(result: Result) -> str:
    match result.outcome:
        case Failed() | Deferred():
            return "warning"
        case NotReached():
            return "warning" if result.attempts else "debug"
        case Stored() | NotModified() | Skipped() | Duplicate():
            return "info"


def _text(result: Result) -> str:
    target = result.target
    url = urls.redact(target.listed)
    if isinstance(result.outcome, Skipped):  # asked first: a resumed run has very many of these
        return f"skipped  {url}: {result.outcome.reason}"
    where = f"{target.source}:{target.line}"
    again = f" after {result.attempts} attempts" if result.attempts > 1 else ""
    if result.mirror is not None:
        again += f", by its mirror {urls.redact(result.mirror.listed)}"
    match result.outcome:
        case Stored(response, size, _):
            took = result.times.total or 0.0
            head = f"{response.http_code} {human_size(size):>9} {took:7.3f}s"
            return f"{head}  {url} -> {target.key}{again}"
        case NotModified(response):
            return f"{response.http_code} unchanged  {url}"
        case Duplicate(of_line):
            return f"duplicate  {url} ({where}): same as line {of_line}"
        case Deferred(failure) | NotReached(failure):
            return f"{result.status.replace('_', ' ')}  {url} ({where}): {failure.message}"
        case Failed(failure):
            return f"failed  {url} ({where}): {failure.kind.value}: {failure.message}{again}"
