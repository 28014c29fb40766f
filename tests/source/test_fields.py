"""Fields: those of a JSON line that mean nothing are named, each once."""

import json
from pathlib import Path

import pytest

from scraper.model.errors import BadTarget
from scraper.model.records import Failed, Result, Target
from scraper.source import keys, lists
from scraper.source.fields import Fields
from scraper.source.grammar import grammar_of
from scraper.source.sources import from_iterable, open_sources
from tests.lists import never, reason, target

URL = {"url": "http://a/"}


def notes_of(*lines: object) -> list[str]:
    notes: list[str] = []
    source = from_iterable([json.dumps(line) for line in lines], "list")
    items = list(lists.read(source, keys.url_key, notes.append))
    assert all(isinstance(item, Target) for item in items)
    return notes


def test_each_field_is_named_once() -> None:
    first = {**URL, "title": 1, "lang": 2}
    assert notes_of(URL, first, first, {**URL, "lang": 1, "rank": 1}) == [
        "the list 'list' has fields that mean nothing here: 'title', 'lang'",
        "the list 'list' has a field that means nothing here: 'rank'",
    ]


def test_what_means_something_is_not_named() -> None:
    assert notes_of({**URL, "KEY": "k", "Headers": {"A": "b"}, "size": 5, "SHA256": "0" * 64}) == []
    assert notes_of({**URL, "status": "stored", "line": 5, "run": "x"}) == []  # a record of ours


def test_a_list_with_other_fields_on_each_line_is_not_told_for_ever() -> None:
    notes = notes_of(*({**URL, f"n{number:05}": 1} for number in range(2_000)))
    assert len(notes) == 16
    assert notes[-1].endswith("'n00015'; no more are named")


def test_a_field_that_is_nearly_one_of_ours_is_a_mistake_where_that_one_is_missing() -> None:
    fields = Fields("list")
    whole = {**URL, "headers": {"A": "b"}, "header": {"A": "c"}}
    assert fields.parts(whole, "a JSON line")[2] == {"A": "b"}
    with pytest.raises(BadTarget, match='has "header": did you mean "headers"'):
        fields.parts({**URL, "header": {"A": "c"}}, "a JSON line")


@pytest.mark.parametrize("base", [None, "http://h/d/"])
@pytest.mark.parametrize("wrong", ["ftp://a/x", "a\nb", "http://[::1", "mailto:x", "a\0b", ""])
def test_a_mirror_that_is_no_url_is_left_out_with_a_base_too(
    base: str | None, wrong: str, tmp_path: Path
) -> None:
    urls = [[wrong, URL["url"]], [URL["url"], wrong], [wrong, wrong], [wrong]]
    path = tmp_path / "list"
    path.write_text("".join(json.dumps({"urls": one}) + "\n" for one in urls))
    (source,) = open_sources([str(path)], never, grammar_of(base=base))
    notes: list[str] = []
    first, second, *others = lists.read(source, keys.url_key, notes.append)
    for item in (first, second):
        found = target(item)
        assert (found.url, found.mirrors) == (URL["url"], ())
    assert len(others) == 2
    assert all(reason(item) for item in others)
    assert len(notes) == 1


def test_mirrors_are_relative_to_the_base(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text('{"url":"b","urls":["ftp://a/x"," /c "]}')
    (source,) = open_sources([str(path)], never, grammar_of(base="http://h/d/"))
    (item,) = lists.read(source, keys.url_key)
    found = target(item)
    assert (found.url, [one.url for one in found.mirrors]) == ("http://h/d/b", ["http://h/c"])


@pytest.mark.parametrize("field", ["url", "urls"])
def test_a_record_whose_urls_hide_a_secret_is_no_line(field: str) -> None:
    hidden = "http://h/a?token=REDACTED"
    line = {"url": "http://h/b", "status": "failed", field: hidden if field == "url" else [hidden]}
    (bad,) = lists.read(from_iterable([json.dumps(line)]), keys.url_key)
    assert isinstance(bad, Result)
    assert isinstance(bad.outcome, Failed)
    assert "does not have the secrets" in bad.outcome.failure.message
    del line["status"]
    (target,) = lists.read(from_iterable([json.dumps(line)]), keys.url_key)
    assert isinstance(target, Target)
