"""Seen: repeats and clashes, told apart in flat memory."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.errors import Kind
from scraper.model.records import Duplicate, Failed, Target
from scraper.source.duplicates import DuplicateFilter


def target(url: str, key: str, line: int) -> Target:
    return Target(url, url, "a", key, line, "urls")


@pytest.fixture
def seen() -> Iterator[DuplicateFilter]:
    memory = DuplicateFilter(has_directories=True)
    yield memory
    memory.close()


def test_a_target_that_is_new_may_be_fetched(seen: DuplicateFilter) -> None:
    assert seen.judge(target("http://a/1", "k1", 1)) is None
    assert seen.judge(target("http://a/2", "k2", 2)) is None


def test_the_same_url_and_key_again_is_a_duplicate_of_the_first_line(seen: DuplicateFilter) -> None:
    seen.judge(target("http://a/1", "k", 3))
    for line in (7, 9):
        again = target("http://a/1", "k", line)
        result = seen.judge(again)
        assert result is not None
        assert result.target is again
        assert result.outcome == Duplicate(of_line=3)


def test_the_same_url_under_another_key_is_fetched_again(seen: DuplicateFilter) -> None:
    assert seen.judge(target("http://a/1", "k1", 1)) is None
    assert seen.judge(target("http://a/1", "k2", 2)) is None


def test_another_url_with_the_same_key_never_shares_it_silently(seen: DuplicateFilter) -> None:
    seen.judge(target("http://a/1", "k", 3))
    result = seen.judge(target("http://a/2", "k", 4))
    assert result is not None
    assert isinstance(result.outcome, Failed)
    failure = result.outcome.failure
    assert failure.kind is Kind.BAD_URL
    assert failure.transient is False
    assert "'k'" in failure.message
    assert "line 3" in failure.message


def test_a_clash_does_not_take_the_key_over(seen: DuplicateFilter) -> None:
    seen.judge(target("http://a/1", "k", 1))
    seen.judge(target("http://a/2", "k", 2))
    result = seen.judge(target("http://a/1", "k", 3))
    assert result is not None
    assert result.outcome == Duplicate(of_line=1)


def test_the_same_url_with_other_headers_is_a_clash(seen: DuplicateFilter) -> None:
    german = target("http://a/1", "k", 3)._replace(headers={"Accept-Language": "de"})
    assert seen.judge(german) is None
    again = german._replace(line=4, headers={"accept-language": "de"})
    result = seen.judge(again)
    assert result is not None
    assert result.outcome == Duplicate(of_line=3)
    for headers in ({}, {"Accept-Language": "fr"}):
        result = seen.judge(german._replace(line=5, headers=headers))
        assert result is not None
        assert result.failure is not None
        assert result.failure.kind is Kind.BAD_URL
        expected = "key 'k' is taken by the same URL with other headers in line 3"
        assert result.failure.message == expected
        assert (result.target.key, result.target.line) == ("", 5)  # no word about line 3


def test_a_repeat_is_no_clash_whatever_has_a_directory_of_its_key_since(
    seen: DuplicateFilter,
) -> None:
    first, clash = target("http://a/1", "docs/a", 1), target("http://a/2", "docs", 2)
    verdicts = seen.judge_all([first, clash, first._replace(line=3), clash._replace(line=4)])
    assert [one and type(one.outcome) for one in verdicts] == [None, Failed, Duplicate, Duplicate]


def test_a_key_that_is_a_directory_of_another_is_a_clash(seen: DuplicateFilter) -> None:
    keys = ["docs", "docs/a.html", "x/y/z", "x/y", "x", "x/y/other", "docs2/a"]
    verdicts = seen.judge_all([target(f"http://a/{key}", key, n) for n, key in enumerate(keys, 1)])
    messages = [one and one.failure and one.failure.message for one in verdicts]
    assert messages == [
        None,
        "key 'docs/a.html' is below 'docs', the key of line 1",
        None,
        "key 'x/y' is the directory of a key in line 3",
        "key 'x' is the directory of a key in line 3",
        None,
        None,
    ]


def test_where_there_are_no_directories_a_key_may_begin_as_another() -> None:
    memory = DuplicateFilter()
    keys = ["docs", "docs/a.html", "x/y", "x"]
    targets = [target(f"http://a/{key}", key, n) for n, key in enumerate(keys, 1)]
    assert memory.judge_all(targets) == [None] * 4
    memory.close()


def test_directories_are_alike_where_case_does_not_count() -> None:
    for ignores_case in (False, True):
        memory = DuplicateFilter(ignores_case=ignores_case, has_directories=True)
        one, other = target("http://a/1", "Docs", 1), target("http://a/2", "docs/a", 2)
        assert (memory.judge_all([one, other])[1] is not None) == ignores_case
        memory.close()


@given(
    st.lists(
        st.lists(
            st.sampled_from(["a", "a/b", "a/b/c", "a/c", "b", "b/a/b", "c/x", "c"]), max_size=6
        )
    ),
    st.integers(1, 4),
    st.sampled_from([(0, 0), (1, 2), (5, 0), (100, 100)]),
)
def test_nested_keys_are_told_in_any_batches_as_one_by_one(
    batches: list[list[str]], at_once: int, at_hand: tuple[int, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scraper.source.duplicates._IN_MEMORY", at_hand[1])
        memory = DuplicateFilter(has_directories=True)
    keys: set[str] = set()
    directories: set[str] = set()
    line = 0
    for batch in batches:
        targets, expected = [], []
        for key in batch:
            line += 1
            targets.append(target(f"http://a/{line}", key, line))
            steps = key.split("/")
            above = {"/".join(steps[:end]) for end in range(1, len(steps))}
            is_nested = key in directories or bool((above - directories) & keys)
            expected.append(is_nested or key in keys)
            directories |= set() if is_nested else above
            keys.add(key)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("scraper.source.duplicates._BATCH", at_once)
            patch.setattr("scraper.source.duplicates._IN_MEMORY", at_hand[0])
            verdicts = memory.judge_all(targets)
        assert [verdict is not None for verdict in verdicts] == expected
    memory.close()


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/B.txt", "a/b.txt"), ("caf\u00e9", "CAFE\u0301"), ("stra\u00dfe", "STRASSE")],
)
def test_case_counts_unless_the_destination_ignores_it(one: str, other: str) -> None:
    for ignores_case in (False, True):
        memory = DuplicateFilter(ignores_case=ignores_case, has_directories=True)
        first, second = target("http://a/1", one, 1), target("http://a/2", other, 2)
        verdicts = memory.judge_all([first, second])
        memory.close()
        assert verdicts[0] is None
        assert (verdicts[1] is not None) == ignores_case
        if verdicts[1] is not None:
            assert verdicts[1].failure is not None
            assert verdicts[1].failure.message == (
                f"key {other!r} is taken by another URL in line 1"
                " (case does not count in this destination)"
            )


@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abcdé"), st.sampled_from("klmñ")), max_size=9)),
    st.integers(1, 4),
    st.sampled_from([0, 1, 5, 100]),
)
def test_it_answers_as_a_dictionary_of_everything_would(
    batches: list[list[tuple[str, str]]], at_once: int, at_hand: int
) -> None:
    memory = DuplicateFilter(has_directories=True)
    first: dict[str, tuple[str, int]] = {}
    line = 0
    for batch in batches:
        targets, expected = [], []
        for url, key in batch:
            line += 1
            had = first.setdefault(key, (url, line))
            targets.append(target(url, key, 1 + line % 3))  # lines of several lists are alike
            expected.append(None if had[1] == line else had)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("scraper.source.duplicates._BATCH", at_once)
            patch.setattr("scraper.source.duplicates._IN_MEMORY", at_hand)
            verdicts = memory.judge_all(targets)
        for verdict, had_before, (url, _) in zip(verdicts, expected, batch, strict=True):
            if had_before is None:
                assert verdict is None
                continue
            assert verdict is not None
            of_line = 1 + had_before[1] % 3
            if had_before[0] == url:
                assert verdict.outcome == Duplicate(of_line=of_line)
            else:
                assert verdict.failure is not None
                assert f"line {of_line}" in verdict.failure.message
    memory.close()


@pytest.mark.parametrize("at_hand", [0, 500, 10_000])
def test_a_whole_list_may_be_judged_at_once(
    seen: DuplicateFilter, monkeypatch: pytest.MonkeyPatch, at_hand: int
) -> None:
    monkeypatch.setattr("scraper.source.duplicates._IN_MEMORY", at_hand)
    urls = [f"http://a/{number % 700}" for number in range(1_000)]
    verdicts = seen.judge_all([target(url, url, n) for n, url in enumerate(urls, 1)])
    assert verdicts[:700] == [None] * 700
    outcomes = [verdict.outcome for verdict in verdicts[700:] if verdict is not None]
    assert outcomes == [Duplicate(of_line=line) for line in range(1, 301)]
    assert seen.judge_all([]) == []


MEASURE = """
from scraper.source import duplicates as module
from scraper.model.records import Target
from scraper.source.duplicates import DuplicateFilter

module._IN_MEMORY, module._CACHE_KIB = 10_000, 8 * 1024

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

seen = DuplicateFilter()
for line in range(1, 600_001):
    url = f"http://host.example/some/longer/path/{line}.html"
    assert seen.judge(Target(url, url, "host.example", url, line, "urls")) is None
    if line == 200_000:
        early = peak()
print(early, peak())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_flat_however_long_the_list_is() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True
    )
    early, late = map(int, ended.stdout.split())
    assert late - early < 4 * 1024  # KiB; a set of as many digests would take 40 MB more


FULL = """
import resource
from scraper.source import duplicates as module
from scraper.model.errors import DestinationError
from scraper.model.records import Target

module._IN_MEMORY, module._CACHE_KIB = 1_000, 100
seen = module.DuplicateFilter()
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
urls = [f"http://host.example/{line}" for line in range(1, 50_001)]
try:
    seen.judge_all([Target(url, url, "host.example", url, 1, "urls") for url in urls])
except DestinationError as error:
    print(error)
seen.close()
"""


def test_a_temporary_file_that_can_not_grow_is_an_error_of_ours() -> None:
    ended = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("can't remember the targets of this run in a temporary file: ")
