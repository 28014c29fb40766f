"""A web archive of a site as crawlers meet it, read by everybody else."""

from collections import Counter

import pytest

from scraper.model.options import EngineName
from scraper.model.urls import redact
from tests.crawled_site import ANSWERS, FAIL, PAGE, crawled_site
from tests.e2e.command import Command
from tests.warcs import payload, records, said_by_others, unaccounted


# cdxj-indexer leaves the file of a large body to the collector.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
def test_every_reader_takes_an_archive_of_a_site_as_crawlers_meet_it(
    cli: Command, engine: EngineName
) -> None:
    """Twice, so that there are revisits of payloads and of 304s, too."""
    words = ["urls", "--to", "warc:out", "--retries", 0, "--engine", engine, "--results", "-", "-q"]
    root = cli.directory / "out"
    with crawled_site() as site:
        cli.write("urls", *(f"{site.url}{path}" for path in ANSWERS))
        for changed in ("stored", "not_modified"):
            found = {one["line"]: one["status"] for one in cli(*words).records}
            told = dict(zip(ANSWERS, (found[line] for line in sorted(found)), strict=True))
            assert {path for path, status in told.items() if status == "failed"} == FAIL
            assert told["/tagged"] == changed
    files = sorted(root.glob("*.warc.gz"))
    assert [said_by_others(path) for path in files] == [
        {"gzip": True, "warcio": True, "fastwarc": True, "cdxj": True}
    ] * len(files)
    lines = (root / ".scraper/manifest.jsonl").read_bytes().splitlines()
    assert unaccounted(root, lines) == []
    every = records(root)
    answers = [one for one in every if one.kind in {"response", "revisit"}]
    pages = {one.url.removeprefix(site.url): one for one in reversed(answers)}
    for path, answer in ANSWERS.items():
        if PAGE in answer and path not in FAIL:
            assert PAGE in payload(pages[redact(path)], every), path
    whole = [one for one in every if one.kind == "response" and "WARC-Truncated" not in one.head]
    apart = [one for one in whole if one.body and not one.url.endswith("/loop")]  # one attempt
    payloads = Counter(one.head["WARC-Payload-Digest"] for one in apart)
    assert max(payloads.values()) == 1  # the second run and equal pages are revisits
    assert cli("verify", "warc:out").status == 0
