"""Whether a host that pushes back counts requests at once, and how many it takes.

Such a limiter (nginx's limit_conn) refuses whatever starts beside N others, and nothing else. A
limiter that counts requests in time refuses and admits beside any number. So each start is
remembered with the number of others that were in flight. If the last refusals all came beside the
same number, and hardly anything has got through beside so many, that number is the cap.

Owns: this evidence. Does not know: gaps, clocks. Rejected: as many as were in flight at a
push-back. Of a burst that a limiter of the other kind refuses, that leaves one at a time.
"""

import math

_ALIKE = 3  # refusals one after the other beside the same number
_ALIKE_IN_SEARCH = 5  # while nothing gets through at all, that number is chance for longer
_SURE = 10  # of them: no doubt is left
_HARDLY = 3  # refusals for each admission
_REMEMBERED = 32  # starts beside one number, then the older count half


class Crowding:
    """The evidence about one host. `cap`: requests at once that it seems to take; inf: any."""

    __slots__ = ("_alike", "_beside", "cap")

    def __init__(self) -> None:
        self.cap = math.inf
        self._alike = 0
        self._beside: dict[int, list[int]] = {}  # admissions and refusals, by number of others

    def refused(self, others: int, *, searching: bool) -> bool:
        """Note a refusal beside `others`; whether `cap` was the reason."""
        self._count(others, refused=True)
        if others == 0 or not self._fits(others):
            self.forget()
            return False
        if others < self.cap - 1:
            self._alike = 0
        self.cap = min(others, self.cap)
        self._alike += 1
        return self._alike >= (_ALIKE_IN_SEARCH if searching else _ALIKE)

    def admitted(self, others: int) -> bool:
        """Note an admission beside `others`; whether it shows that `cap` is none."""
        self._count(others, refused=False)
        if others < self.cap or self._fits(self.cap):
            return False
        self.forget()
        return True

    @property
    def is_sure(self) -> bool:
        """Whether no other reason is thought of any more."""
        return self._alike >= _SURE

    def forget(self) -> None:
        """Think of no cap any more."""
        self.cap, self._alike = math.inf, 0

    def search_ended(self) -> None:
        """Count anew: what came beside the same number during a search may be chance."""
        self._alike = 0

    def _count(self, others: int, *, refused: bool) -> None:
        counts = self._beside.setdefault(others, [0, 0])
        counts[refused] += 1
        if sum(counts) > _REMEMBERED:
            counts[:] = [number // 2 for number in counts]

    def _fits(self, cap: float) -> bool:
        """Whether hardly any start beside `cap` others gets through."""
        found = [counts for others, counts in self._beside.items() if others >= cap]
        return sum(one[1] for one in found) >= _HARDLY * sum(one[0] for one in found)
