"""Where an archive has what an attempt exchanged with servers.

Owns: that record. Does not know: archives (`sinks/`).
"""

from typing import NamedTuple


class Archived(NamedTuple):
    """Where an archive has the exchanges of one attempt: in one `file`, one after another.

    The first record begins at byte `start`. The last one is the final response, whose member begins
    at `offset` and has `length` bytes. `records` are so many. If the last one is a `revisit`, its
    payload is in the member that begins at `original_offset` of `original_file`.
    """

    file: str
    start: int
    offset: int
    length: int
    records: int
    original_file: str = ""
    original_offset: int = 0
