"""The page of `scraper report`: what is counted, that nothing of a record gets out of its place."""

import random
import re
import shutil
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from scraper.report.page.bins import MOST_BINS, LogHistogram, Series
from scraper.report.page.changes import Change, Changes
from scraper.report.page.facts import MOST_HOSTS, MOST_TYPES, RunFacts
from scraper.report.page.render import Account, page

pytest.importorskip("vl_convert")
pytest.importorskip("jinja2")
CONSOLE = "CONSOLE"  # how Chromium begins what a page makes it say
HOSTILE = "http://h/</style></svg><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e"


def record(number: int, **more: Any) -> dict[str, Any]:
    started = datetime.fromtimestamp(1_796_000_000 + number, UTC).isoformat()
    return {
        "url": f"http://h{number % 7}/{number}",
        "key": f"{number}",
        "status": "stored",
        "http_code": 200,
        "content_type": "text/html; charset=utf-8",
        "size": 1000,
        "attempts": 1,
        "started": started,
        "time_total": 0.5,
        "run": "r",
        **more,
    }


def drawn(facts: RunFacts, changes: Changes | None = None, **summary: Any) -> str:
    account = Account("out", ["r"], summary, 1_796_000_000.0)
    with closing(Changes()) as none:
        return page(facts, changes or none, account)


def counted(*records: dict[str, Any]) -> RunFacts:
    facts = RunFacts()
    for one in records:
        facts.add(one)
    return facts


class Elements(HTMLParser):
    """What a page has: its elements with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


# ---------------------------------------------------------------- bins


def test_percentiles_are_as_near_as_their_bins() -> None:
    histogram, chance = LogHistogram(), random.Random(1)
    values = sorted(chance.lognormvariate(0, 2) for _ in range(10_000))
    for value in values:
        histogram.add(value)
    for percent in (50, 90, 99):
        exact = values[int(len(values) * percent / 100)]
        assert histogram.percentile(percent) == pytest.approx(exact, rel=0.07)
    assert histogram.percentile(100) == pytest.approx(values[-1], rel=0.07)
    assert sum(bar.number for bar in histogram.bars(6)) == histogram.count == 10_000
    assert LogHistogram().bars(6) == []
    assert LogHistogram().percentile(50) == 0


@pytest.mark.parametrize("span_s", [1, 100, 5_000, 10**6, 10**11])
def test_a_series_stays_short_and_counts_everything(span_s: int) -> None:
    series, chance = Series(), random.Random(span_s)
    for _ in range(2_000):
        series.at(chance.random() * span_s).done += 1
    moments = list(series.moments())
    assert len(moments) <= MOST_BINS
    assert sum(moment.done for _, moment in moments) == 2_000
    assert [at for at, _ in moments] == sorted(at for at, _ in moments)


# ---------------------------------------------------------------- facts


def test_any_number_of_hosts_and_types_takes_bounded_memory() -> None:
    facts = RunFacts()
    for number in range(MOST_HOSTS + 10):
        facts.add(record(number, url=f"http://h{number}.example/", content_type=f"a/{number}"))
    assert (len(facts.hosts), facts.other_hosts) == (MOST_HOSTS, 10)
    assert len(facts.types) == MOST_TYPES + 1
    assert facts.size == facts.records * 1000


@pytest.mark.parametrize(
    "odd",
    [
        {"size": -1, "time_total": "x", "attempts": None, "http_code": True},
        {"size": 1e300, "time_total": float("nan"), "http_code": 10**9, "redirects": []},
        {"started": "0001-01-01T00:00:00Z", "content_type": 7},
        {"started": "9999-12-31T23:59:59Z", "url": 5},
        {"started_at": 1e17, "time_total": 1e17},
        {"started": "tomorrow", "url": "", "content_type": "a" * 10_000},
        {"status": "failed", "error": "no object"},
        {"status": "failed", "error": {"kind": 9, "message": None}, "http_code": "404"},
        {"size": 0, "time_total": 0, "time_connect": 0},
    ],
)
def test_a_record_that_says_anything_is_counted_as_far_as_it_makes_sense(odd: Any) -> None:
    facts = RunFacts()
    for one in (record(1), record(2, **odd), record(3)):
        try:
            facts.add(one)
        except (LookupError, TypeError, ValueError, AttributeError):  # it is passed over
            assert one["url"] == 5
    assert '<h2 id="time">' in drawn(facts)


def test_what_changed() -> None:
    with closing(Changes()) as changes:
        changes.now(1, record(1))
        assert not changes.counts  # nothing to compare with
        failed, other = {"status": "failed"}, {"sha256": "b" * 64}
        same = {"sha256": "a" * 64}
        for identity, before in enumerate((same, same, same, failed, failed, {}), 1):
            changes.before(identity, record(identity, **before))
        changes.before(1, record(1, status="not_modified"))  # which has no digest
        for identity, now in enumerate((same, other, failed, same, failed, same, same), 1):
            changes.now(identity, record(identity, **now))
        changes.now(1, record(1, status="not_modified"))
    assert changes.counts == {
        Change.SAME: 2,
        Change.CHANGED: 2,  # of one nobody knows what it was
        Change.BROKE: 1,
        Change.RECOVERED: 1,
        Change.STILL: 1,
        Change.NEW: 1,
    }
    assert changes.examples[Change.BROKE] == ["http://h3/3"]


# ---------------------------------------------------------------- the page


def hostile_page() -> str:
    error = {"kind": "proxy", "message": HOSTILE}
    facts = counted(
        record(1, url=HOSTILE, content_type=HOSTILE),
        record(2, url=HOSTILE, status="failed", error=error),
        record(3, url="http://user:secret@h/?X-Amz-Signature=secret", status="failed", error=error),
    )
    with closing(Changes()) as changes:
        changes.before(1, record(1))
        changes.now(1, record(1, url=HOSTILE, status="failed"))
        told = {"reason": HOSTILE, "command": HOSTILE, "again": HOSTILE, "start": HOSTILE}
        earlier = [{"start": HOSTILE, "exit_status": HOSTILE, "statuses": {"stored": HOSTILE}}]
        summary = {**told, "exit_status": 1, "statuses": HOSTILE, "earlier_runs": earlier * 2}
        return drawn(facts, changes, **summary)


def test_hostile_names_stay_text() -> None:
    html = hostile_page()
    found = Elements(html)
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "img", "iframe", "link", "a", "object", "form", "input"}
    for tag, attributes in found.elements:
        assert not {name for name in attributes if name.startswith("on")}, tag
        assert not attributes.keys() & {"src", "href", "style", "xlink:href"}, tag
    assert "<script>alert(1)</script>" in found.text
    assert "\u202e" not in html
    assert "secret" not in html.replace("secrets", "")


def test_the_page_asks_for_nothing() -> None:
    html = hostile_page()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    rules = policy[1].replace("&#39;", "'")
    assert rules.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in rules
    assert "url(" not in html
    assert "@import" not in html


def test_a_run_without_records_has_a_page() -> None:
    html = drawn(RunFacts(), statuses={"skipped": 5}, exit_status=0)
    assert "5 skipped" in Elements(html).text
    assert "<svg role" not in html


def test_a_page_of_very_many_is_small() -> None:
    facts = RunFacts()
    for number in range(5_000):
        long = f"http://h{number}.example/{'x' * 900}{number}"
        error = {
            "kind": f"k{number % 40}",
            "message": f"reason {'y' * 100} {chr(97 + number % 26)}",
        }
        facts.add(record(number, url=long, status="failed", error=error))
        facts.add(record(number * 997, url=long, content_type=f"type/{'z' * 90}{number}"))
    assert len(drawn(facts)) < 500_000


# ---------------------------------------------------------------- in a browser


@pytest.fixture
def chromium(tmp_path: Path) -> Any:
    """Shows a page in a headless Chromium. Returns what the page made it say, and the picture."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is missing (Debian: chromium)")

    def show(html: str) -> tuple[list[str], bytes]:
        path, picture = tmp_path / "page.html", tmp_path / "page.png"
        path.write_text(html, encoding="utf-8")
        words = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
        words += [f"--user-data-dir={tmp_path / 'profile'}", "--no-first-run"]
        ran = subprocess.run(
            [program, *words, f"--screenshot={picture}", path.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return [line for line in ran.stderr.splitlines() if CONSOLE in line], picture.read_bytes()

    return show


def test_a_browser_shows_it_and_has_nothing_to_say(chromium: Any) -> None:
    said, picture = chromium(hostile_page())
    assert said == []
    assert picture.startswith(b"\x89PNG")
    bad = hostile_page().replace("</style>", " </style>", 1)  # not the style of the policy
    said, _ = chromium(bad)
    assert "Content Security Policy" in said[0]
