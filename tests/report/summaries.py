"""Closing accounts of runs that nobody ran."""

from collections.abc import Sequence
from typing import Any

from scraper.model.records import Result
from scraper.report.failures import FailureGroups
from scraper.report.summary import Ending, Places, Summary, summed_up
from scraper.report.tally import Tally
from scraper.schedule import HostStatistics

PLACES = Places("./out", "out/.scraper/manifest.jsonl")
BEGUN = 1_774_428_330.25  # 2026-03-25T08:45:30.250Z


def tally_of(*results: Result, known: Sequence[Result] | None = None) -> Tally:
    """The counts of these results. `known`: of which the run before had the failure."""
    tally = Tally(new=None if known is None else FailureGroups())
    for result in results:
        tally(result, known=known is not None and result in known)
    return tally


def summary(
    *results: Result,
    elapsed_s: float = 2.0,
    hosts: Sequence[HostStatistics] = (),
    places: Places = PLACES,
    stopped: str | None = None,
    known: Sequence[Result] | None = None,
    ending: Ending | None = None,
    **more: Any,
) -> Summary:
    """The account of a run that had these results and took `elapsed_s`."""
    ending = ending or Ending(stopped=stopped)
    made = summed_up("the-id", tally_of(*results, known=known), ending, places, hosts)
    return made._replace(start=BEGUN, end=BEGUN + elapsed_s, **more)
