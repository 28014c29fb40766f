"""Where an archive has what an attempt exchanged with servers.

Owns: that record. Does not know: archives (`sinks/`).
"""

from typing import NamedTuple


class Archived(NamedTuple):
    """Where an archive has the exchanges of one attempt: in one `file`, one after another.

    The first record begins at byte `start`. The last one is the final response, whose member begins
    at `offset` and has `length` bytes. `records` are so many.
    """

    file: str
    start: int
    offset: int
    length: int
    records: int
