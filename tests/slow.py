"""Which tests run always, and which only with PROOF_SLOW=1.

    @pytest.mark.each_value            # of the combinations, so many that each value is met
    @pytest.mark.slow                  # of a test, or by pytest.param(..., marks=...) of one case

Where a promise does not depend on how the parameters of a test are combined, all combinations
cost more than they tell. So the suite runs a few, each value in one of them at least, and skips
the others. It names the variable that runs them. PROOF_SLOW=1 runs everything.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pytest

VARIABLE = "PROOF_SLOW"
_SKIP = pytest.mark.skip(reason=f"slow, and told by other cases too: {VARIABLE}=1 runs it")


def skip_slow(items: Sequence[pytest.Item]) -> None:
    """Mark what is slow, unless the variable is set."""
    if os.environ.get(VARIABLE):
        return
    matrices: defaultdict[str, list[pytest.Function]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(_SKIP)
        elif item.get_closest_marker("each_value"):
            assert isinstance(item, pytest.Function)
            matrices[item.nodeid.partition("[")[0]].append(item)
    for cases in matrices.values():
        kept = each_value([_values(case) for case in cases])
        for number in {*range(len(cases))} - kept:
            cases[number].add_marker(_SKIP)


def _values(case: pytest.Function) -> dict[str, int]:
    """Its value of each parameter; some values can't be hashed, and each is one object."""
    return {name: id(value) for name, value in case.callspec.params.items()}


def each_value(cases: Sequence[Mapping[str, int]]) -> set[int]:
    """Numbers of few cases in which each value of each parameter is met.

    The next one always meets most new values. Of several such, it is the first of those whose
    other values were met least.
    """
    values = [frozenset(case.items()) for case in cases]
    kept: set[int] = set()
    missing = frozenset().union(*values)
    met: Counter[tuple[str, int]] = Counter()

    def gain(number: int) -> tuple[int, int]:
        return len(values[number] & missing), -sum(met[value] for value in values[number])

    while missing:
        number = max(range(len(cases)), key=gain)
        kept.add(number)
        missing -= values[number]
        met.update(values[number])
    return kept
