"""What must hold after each round of a combined story, and at its end.

The judges are what the site and the S3 server saw, the bytes in the destination, and the lines
of the manifest; what the run says of itself is held against them.
"""

import fcntl
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.command import SUMMARY
from tests.proof.combined_list import PASSWORD, Line
from tests.proof.combined_site import ROBOTS, Page
from tests.proof.ledger import DONE, Ledger, Record, Target
from tests.proof.places import Bucket, Directory

if TYPE_CHECKING:
    from tests.proof.combined_story import CombinedStory, Plan

STATUS = {"term": 143, "twice": 143, "int": 130}
_TROUBLE = {"http_status", "truncated", "connect", "sink"}  # what would be tried again
_GIVEN_UP = "the last records are not in the manifest"  # the store was silent too long
_CONDITIONS = {"if-none-match", "if-modified-since"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A run that is over. `signalled`: how it was told to end, "" if it ended by itself."""

    number: int
    plan: "Plan"
    before: Ledger
    objects_before: Mapping[str, bytes]
    after: Ledger
    objects: Mapping[str, bytes]
    status: int
    signalled: str
    results: list[dict[str, Any]]
    summary: dict[str, Any] | None
    said: str

    @property
    def run(self) -> str:
        """As the site knows it."""
        return str(self.number)

    @property
    def hard(self) -> bool:
        """Whether it had no time to finish anything."""
        return self.status == -9 or self.signalled == "twice"

    @property
    def late(self) -> bool:
        """Whether its time was over before it had the destination."""
        return self.status == 3 and "did not answer within --max-run-time" in self.said

    @property
    def stopped(self) -> bool:
        """Whether it may have left targets out."""
        return (
            self.late or bool(self.signalled) or bool(self.summary and self.summary.get("reason"))
        )

    @property
    def recorded(self) -> list[Record]:
        """What it added to the manifest."""
        return self.after.since(self.before)


def after_a_round(story: "CombinedStory", made: Round) -> None:
    """Everything that is promised at any moment."""
    _caps(story, made)
    _manifest(made)
    _results(story, made)
    _account(story, made)
    _objects(story, made)
    _records_speak_of_objects(story, made)
    _asked_again(story, made)
    _conditions(story, made)
    _robots(story, made)
    _secrets(story, made)
    if made.summary is not None and _GIVEN_UP not in made.said:  # it had the lock, and left it
        _lock(story)


def at_the_end(story: "CombinedStory", earlier: str, temporary: Path) -> None:
    """After a whole run: all is there, all is recorded, nothing is left over."""
    made = story.rounds[-1]
    last = made.after.last()
    for line in _pages(story):
        page, target = line.page, (line.key, line.url)
        assert page is not None
        if not _is_good(page, made.plan):
            continue
        assert last[target][1]["status"] in {"stored", "not_modified"}, last[target]
        digest = sha256(made.objects[line.key]).hexdigest()
        if earlier != "--resume":
            now = story.site.served_in[made.run, page.number]
            assert digest in now, _told(story, made, page, "not the page of now")
    assert story.place.leftovers() == []
    assert [path for path in temporary.rglob("*") if path.name.startswith("run-")] == []
    if earlier != "--resume":
        verified = story.cli("verify", *story.place.words[1:], env=story.place.environment)
        found = {tuple(line.split("\t")[:2]) for line in verified.lines}
        records = {key: record for (key, _), (_, record) in made.after.last("stored").items()}
        others = made.objects.keys() - records.keys()
        taken_over = {key for (key, _), _ in made.after.last("not_modified").items()} & others
        expected = {("unknown", key) for key in others - taken_over}
        for key, record in records.items():  # what a killed run put and no later one asked for
            if sha256(made.objects[key]).hexdigest() != record["sha256"]:
                expected.add(("changed", key))
        assert found == expected | {("taken_over", key) for key in taken_over}, verified
        assert verified.status == (1 if expected else 0), verified


# ---------------------------------------------------------------- the site


def _caps(story: "CombinedStory", made: Round) -> None:
    most = story.site.most_at_once[made.run]
    assert most <= made.plan.concurrency, f"{most} at once"
    for (run, host), of_host in story.site.most_by_host.items():
        if run == made.run and made.plan.per_host:
            assert of_host <= made.plan.per_host, f"{of_host} at once to {host}"


def _asked_again(story: "CombinedStory", made: Round) -> None:
    """What a record shows as done is not asked for, but by a refresh."""
    if made.plan.earlier not in {"--resume", "--retry-failed"}:
        return
    last, done = made.before.last(), made.before.done()
    needed: set[int] = set()
    for line in _pages(story):
        target = line.key, line.url
        known = target in last or made.plan.earlier == "--resume"
        if known and not (target in done and _is_intact(story, line, made)):
            assert line.page is not None
            needed.add(line.page.number)
    for request in story.site.requests_of(made.run):
        page = story.site.page_of(request)
        assert page is None or page.number in needed, _told(story, made, page, request.path)


def _conditions(story: "CombinedStory", made: Round) -> None:
    """What is there, and has a validator, is asked for with it."""
    if made.plan.earlier != "--refresh":
        return
    requests = reversed(story.site.requests_of(made.run))
    first = {(request.host, request.path): request for request in requests}
    several = Counter(line.url for line in _pages(story))
    done = made.before.done()
    for target, (_, record) in made.before.last("stored").items():
        line = _line_of(story, target)
        if target not in done or several[line.url] > 1 or not _is_intact(story, line, made):
            continue
        validators = {record.get("etag"), record.get("last_modified")} - {None}
        host, _, path = record["url_effective"].removeprefix("http://").partition("/")
        asked = first.get((host, f"/{path}"))
        if validators and asked is not None:
            assert line.page is not None
            sent = {asked.headers.get(name) for name in _CONDITIONS}
            assert validators & sent, _told(story, made, line.page, asked.path)


def _robots(story: "CombinedStory", made: Round) -> None:
    if made.plan.robots:
        for request in story.site.requests_of(made.run):
            barred = request.address in ROBOTS and request.path.startswith("/private/")
            assert not barred, f"robots.txt forbids {request.path}"


def _secrets(story: "CombinedStory", made: Round) -> None:
    for request in story.site.requests_of(made.run):
        if "authorization" in request.headers:
            page = story.site.page_of(request)
            assert page is not None, "robots.txt is asked for with a password"
            assert request.address == page.host, "a password went to another host"
    assert PASSWORD not in made.said
    assert PASSWORD.encode() not in b"".join(made.after.lines)


# ---------------------------------------------------------------- the manifest


def _manifest(made: Round) -> None:
    """What was there stays; a line is whole, but for the last of a run that was killed."""
    before, after = made.before.lines, made.after.lines
    kept = [line.rstrip(b"\n") for line in after[: len(before)]]
    assert kept == [line.rstrip(b"\n") for line in before]
    torn = [number for number in made.after.torn if number >= len(before)]
    assert torn in ([], [len(after) - 1] if made.hard else []), "torn lines"
    twice = [line for line, count in Counter(_numbers(made.recorded)).items() if count > 1]
    assert not twice, f"recorded twice in one run: lines {twice}"


def _numbers(records: list[Record]) -> list[int]:
    return [record["line"] for record in records]


def _records_speak_of_objects(story: "CombinedStory", made: Round) -> None:
    """The last `stored` record has its object, of its digest.

    A later run that was killed may have put another version there, which it did not record.
    """
    for target, (_, record) in made.after.last("stored").items():
        line = _line_of(story, target)
        assert line.key in made.objects, f"{line.key!r} is stored, and not there"
        digest = sha256(made.objects[line.key]).hexdigest()
        if record["sha256"] != digest:
            assert _may_be_unrecorded(story.rounds, story, line), _history(story, line)


def _history(story: "CombinedStory", line: Line) -> str:
    """Of an object that is not what was recorded."""
    assert line.page is not None
    content = story.rounds[-1].objects[line.key]
    told = [f"{line.key!r} is not what was recorded: {sha256(content).hexdigest()[:8]}"]
    for made in story.rounds:
        records = [record for record in made.recorded if record.get("key") == line.key]
        served = story.site.served_in[made.run, line.page.number]
        asked = [
            f"{request.path} {request.headers.get('if-none-match') or request.headers.get('range')}"
            for request in story.site.requests_of(made.run)
            if story.site.page_of(request) is line.page
        ]
        shown = [(record["status"], record.get("sha256", "")[:8]) for record in records]
        told.append(f"{made.number}: {asked}, sent {[one[:8] for one in served]}, {shown}")
    return "\n".join([*told, str(line)])


def _told(story: "CombinedStory", made: Round, page: Page, what: str) -> str:
    """Of a page that something is wrong with: its lines, requests and records."""
    lines = [line for line in _pages(story) if line.page is page]
    keys = {line.key for line in lines}
    asked = [one for one in story.site.requests_of(made.run) if story.site.page_of(one) is page]
    told = [f"{line}, {sha256(made.objects.get(line.key, b'')).hexdigest()[:8]}" for line in lines]
    told += [f"{one.address} {one.path} {dict(one.headers)}" for one in asked]
    told += [str(one) for one in made.after.records.values() if one.get("key") in keys]
    return "\n".join([what, *told])


def _may_be_unrecorded(rounds: Sequence[Round], story: "CombinedStory", line: Line) -> bool:
    """Whether one of these that was killed asked for it after all its records."""
    assert line.page is not None
    for made in reversed(rounds):
        of_it = [record["status"] for record in made.recorded if record.get("key") == line.key]
        if not DONE.isdisjoint(of_it):
            return False
        asked = map(story.site.page_of, story.site.requests_of(made.run))
        if made.hard and line.page in asked:
            return True
    return False


# ---------------------------------------------------------------- results, summary, status


def _results(story: "CombinedStory", made: Round) -> None:
    """One of each line, as is to be expected, and the same as in the manifest."""
    told = {record["line"]: record for record in made.results}
    assert len(told) == len(made.results), "told twice"
    for line in story.lines:
        if line.number in told:
            _expected(story, line, told[line.number], made)
    assert told.keys() <= {line.number for line in story.lines}
    recorded = {record["line"]: record for record in made.recorded}
    for number, record in recorded.items():
        _expected(story, story.lines[number - 1], record, made)
    fetched = {number: one for number, one in told.items() if one["status"] != "skipped"}
    if made.hard:
        if _GIVEN_UP in made.said:  # all results are told then, since nobody else will tell them
            return
        assert all(recorded.get(line) == one for line, one in fetched.items()), (
            "told before it was recorded"
        )
        return
    assert fetched == recorded
    if not made.stopped:
        assert told.keys() == {line.number for line in story.lines}, made.said


def _expected(story: "CombinedStory", line: Line, record: Record, made: Round) -> None:
    """Whether `record` can be true of `line`."""
    status, kind = record["status"], record.get("error", {}).get("kind")
    ended = kind or status
    allowed = set(_endings(story, line, made))
    if made.stopped or made.hard:
        allowed |= {"interrupted", *_TROUBLE}
    assert ended in allowed, f"line {line}: {record} is not one of {allowed}"


def _endings(story: "CombinedStory", line: Line, made: Round) -> Iterator[str]:
    """Kinds of failures, or statuses."""
    earlier = made.plan.earlier
    if line.page is None:
        bad = "skipped" if earlier == "--retry-failed" else "bad_url"  # it can't get better
        yield "duplicate" if line.sort == "repeat" else bad
        return
    target, page = (line.key, line.url), line.page
    known, done = made.before.last(), made.before.done()
    asked = made.before.last(but="not_reached")
    for_good = target in asked and asked[target][1].get("http_code") in {404, 410}
    if earlier == "--retry-failed" and (target not in known or for_good):
        yield "skipped"
        return
    if earlier in {"--resume", "--retry-failed"} and target in done:
        yield "skipped"
        if _is_intact(story, line, made):
            return
    if _is_barred(page, made.plan):
        yield "robots"
    elif page.way == "endless":
        yield "too_many_redirects"
    elif page.sort in {"gone", "large"}:
        yield {"gone": "http_status", "large": "too_large"}[page.sort]
    else:
        yield "stored"
        there = target in made.before.last("stored") or line.key in made.objects_before
        if earlier != "--no-refresh" and there:  # put by a run that was killed before it told
            yield "not_modified"


def _account(story: "CombinedStory", made: Round) -> None:
    """Summary and exit status, held against the results."""
    if made.hard:
        assert made.status in {-9, STATUS["twice"]}
        return
    summary, results = made.summary, made.results
    if summary is None:
        assert made.signalled or made.late, made.said
        assert not results, "no summary"
        return
    statuses = Counter(record["status"] for record in results)
    failed = [record for record in results if record["status"] == "failed"]
    kinds = Counter(record["error"]["kind"] for record in failed)
    assert summary["targets"] == len(results)
    assert {name: count for name, count in summary["statuses"].items() if count} == statuses
    assert summary["errors"] == kinds
    assert summary["attempts"] == sum(record["attempts"] for record in results)
    stored = [record["size"] for record in results if record["status"] == "stored"]
    assert summary["bytes"] == sum(stored)
    if made.signalled and summary.get("reason") in {"SIGTERM", "SIGINT"}:
        assert made.status == STATUS[made.signalled]
        return
    failures = statuses["failed"] + statuses["deferred"]
    cut = made.stopped and (len(results) < len(story.lines) or statuses["not_reached"])
    wrong = failures > made.plan.max_failures or cut
    allowed = {1 if wrong else 0, STATUS.get(made.signalled)}
    if made.stopped:  # perhaps before it knew that the list has no other line
        allowed.add(1)
    assert made.status in allowed, made.said


# ---------------------------------------------------------------- the destination


def _objects(story: "CombinedStory", made: Round) -> None:
    """Each is one whole body that the site has sent, of its page, in its form."""
    lines = {line.key: line for line in _pages(story)}
    for key, content in made.objects.items():
        assert key in lines, f"{key!r} is nobody's object"
        line = lines[key]
        page = line.page
        assert page is not None
        bodies = story.site.served[page.number][sha256(content).hexdigest()]
        assert bodies, f"{key!r} has {len(content)} bytes of no version of {page}"
        form = line.form if page.varies else ""
        assert form in {body.form for body in bodies}, f"{key!r} is in the form of another line"
        coded = made.plan.raw and page.framing == "zipped"
        assert coded in {content != body.plain for body in bodies}, f"{key!r} is wrongly coded"


def _lock(story: "CombinedStory") -> None:
    place = story.place
    if isinstance(place, Bucket):
        own = [key for key in place.all() if key.startswith(".scraper/")]
        assert not [key for key in own if "manifest-" not in key and key != SUMMARY], own
    elif isinstance(place, Directory):
        path = place.cli.directory / place.name / ".scraper/lock"
        if path.exists():
            with open(path) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# ---------------------------------------------------------------- lines and pages


def _pages(story: "CombinedStory") -> list[Line]:
    return [line for line in story.lines if line.sort == "page"]


def _line_of(story: "CombinedStory", target: Target) -> Line:
    return next(line for line in _pages(story) if (line.key, line.url) == target)


def _is_barred(page: Page, plan: "Plan") -> bool:
    barred = page.sort == "private" or page.way == "barred"
    return plan.robots and barred and page.host in ROBOTS


def _is_good(page: Page, plan: "Plan") -> bool:
    good = page.sort in {"good", "private"} and page.way != "endless"
    return good and not _is_barred(page, plan)


def _is_intact(story: "CombinedStory", line: Line, made: Round) -> bool:
    """Whether the object is what its last `stored` record says, as it was before the round.

    The same body that a killed run has put again is another object, of another time.
    """
    found = made.before.last("stored").get((line.key, line.url))
    content = made.objects_before.get(line.key)
    return (
        found is not None
        and content is not None
        and found[1]["sha256"] == sha256(content).hexdigest()
        and not _may_be_unrecorded(story.rounds[: made.number - 1], story, line)
    )
