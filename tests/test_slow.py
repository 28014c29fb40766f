"""Of a matrix each value is met, of what is slow nothing runs, and a variable runs everything."""

from collections.abc import Iterable
from itertools import combinations, product

import pytest

from tests.slow import VARIABLE, VARIABLES, covering

FILE = """
import pytest

@pytest.fixture(params=["x", "y", "z"])
def place(request):
    return request.param

@pytest.mark.each_value
@pytest.mark.parametrize(("one", "two"), [(1, 2), (3, 4), (5, 6)])
@pytest.mark.parametrize("again", [True, False])
def test_matrix(place, one, two, again):
    print("ran", place, one, two, again)

@pytest.mark.slow
def test_slow():
    print("ran slow")

@pytest.mark.parametrize("case", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_case(case):
    print("ran case", case)
"""
CONFTEST = """
import pytest
from tests.slow import skip_slow

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    skip_slow(items)
"""


@pytest.fixture
def ran(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(FILE)
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nmarkers =\n    slow\n    each_value\n    each_pair\n")
    return pytester


def test_each_value_and_each_pair_is_met_by_few_cases() -> None:
    cases = [dict(zip("abc", one, strict=True)) for one in product(range(4), range(2), range(3))]
    for together, few in ((1, 4), (2, 12), (3, 24)):
        kept = covering(cases, together)
        assert len(kept) == few

        def met(numbers: Iterable[int], together: int = together) -> set[object]:
            return {one for n in numbers for one in combinations(cases[n].items(), together)}

        assert met(kept) == met(range(24))
    assert covering(cases[:1], 1) == {0}


def said(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "ran " in line and "case" not in line]


def test_of_a_matrix_each_value_runs_and_of_what_is_slow_nothing(ran: pytest.Pytester) -> None:
    result = ran.runpytest_inprocess("-s", "-q", "-rs")
    result.assert_outcomes(passed=4, skipped=17)
    words = [line.partition("ran ")[2].split() for line in said(result)]
    assert [{*column} for column in zip(*words, strict=True)] == [
        {"x", "y", "z"},
        {"1", "3", "5"},
        {"2", "4", "6"},
        {"True", "False"},
    ]
    result.stdout.fnmatch_lines([f"*{VARIABLE}=1 runs it"])


def test_one_case_that_is_asked_for_runs(ran: pytest.Pytester) -> None:
    result = ran.runpytest_inprocess("-q", "-k", "z-False-5-6")
    result.assert_outcomes(passed=1, deselected=20)


@pytest.mark.parametrize("name", VARIABLES)
def test_with_a_variable_that_asks_for_more_everything_runs(
    name: str, ran: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    ran.runpytest_inprocess("-q").assert_outcomes(passed=21)
