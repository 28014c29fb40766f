"""Which tests run always, and which only with PROOF_SLOW=1.

    @pytest.mark.each_value            # of the combinations so many that each value is met
    @pytest.mark.each_pair             # so many that each pair of values is met
    @pytest.mark.slow                  # of a test, or by pytest.param(..., marks=...) of one case

Where a promise hardly depends on how the parameters of a test are combined, all combinations
cost more than they tell. So the suite runs a few and skips the others. The reason of a skip names
the variable. PROOF_SLOW=1 runs everything; so do the variables that ask for more stories.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import pytest

VARIABLE = "PROOF_SLOW"
VARIABLES = (VARIABLE, "PROOF_SEEDS", "PROOF_SEED", "PROOF_CALLS")
_SKIP = pytest.mark.skip(reason=f"slow, and told by other cases too: {VARIABLE}=1 runs it")
_TOGETHER = {"each_value": 1, "each_pair": 2}  # how many parameters are looked at together


def skip_slow(items: Sequence[pytest.Item]) -> None:
    """Mark what is slow, unless a variable asks for it."""
    if any(map(os.environ.get, VARIABLES)):
        return
    matrices: defaultdict[tuple[str, int], list[pytest.Function]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(_SKIP)
        for name, together in _TOGETHER.items():
            if item.get_closest_marker(name):
                assert isinstance(item, pytest.Function)
                matrices[item.nodeid.partition("[")[0], together].append(item)
    for (_, together), cases in matrices.items():
        kept = covering([_values(case) for case in cases], together)
        for number in {*range(len(cases))} - kept:
            cases[number].add_marker(_SKIP)


def _values(case: pytest.Function) -> dict[str, int]:
    """Its value of each parameter; some values can't be hashed, and each is one object."""
    return {name: id(value) for name, value in case.callspec.params.items()}


def covering(cases: Sequence[Mapping[str, int]], together: int) -> set[int]:
    """Numbers of few cases in which all values of each `together` parameters meet.

    With 1 that is each value, with 2 each pair: a covering array. The next case always meets most
    that was not met. Of several such, it is the first of those whose other values were met least.
    """
    meets = [frozenset(combinations(sorted(case.items()), together)) for case in cases]
    missing = frozenset().union(*meets)
    met: Counter[tuple[str, int]] = Counter()
    kept: set[int] = set()

    def gain(number: int) -> tuple[int, int]:
        return len(meets[number] & missing), -sum(met[value] for value in cases[number].items())

    while missing:
        number = max(range(len(cases)), key=gain)
        kept.add(number)
        missing -= meets[number]
        met.update(cases[number].items())
    return kept
