"""Of a matrix each value is met, of what is slow nothing runs, and a variable runs everything."""

from itertools import product

import pytest

from tests.slow import VARIABLE, each_value

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
    monkeypatch.delenv(VARIABLE, raising=False)
    pytester.makepyfile(FILE)
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nmarkers =\n    slow\n    each_value\n")
    return pytester


def test_each_value_is_met_by_few_cases() -> None:
    cases = [dict(zip("abc", one, strict=True)) for one in product(range(4), range(2), range(3))]
    kept = each_value(cases)
    assert len(kept) == 4
    met = {value for number in kept for value in cases[number].items()}
    assert met == {value for case in cases for value in case.items()}
    assert each_value([{}]) == set()
    assert each_value(cases[:1]) == {0}


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


def test_with_the_variable_everything_runs(
    ran: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    ran.runpytest_inprocess("-q").assert_outcomes(passed=21)
