"""Last states: the record that tells how each target stands, for `scraper export`.

Owns: which records these are. Does not know: how they are written (`report/export_*.py`). Rejected:
a dict of targets; the index takes 16 MB at any size.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from scraper.manifest.codec import Reading
from scraper.manifest.index import REPLACED, Index
from scraper.manifest.not_done import BadLines


def last_states(lines: Callable[[], Iterator[bytes]], reading: Reading) -> Iterator[dict[str, Any]]:
    """One record of each target, and of each line that names none, in the order of the manifest.

    A target that is done has the record that stored its object. One whose key another target has
    taken since has the status `replaced`. `lines` gives the manifest's lines from the start; it is
    called twice. Raises what `lines` raises, Unusable, and UsageError for the manifest of another
    destination than `reading` has.
    """
    with contextlib.closing(Index("", reading)) as index, contextlib.closing(BadLines()) as bad:
        index.absorb(lines(), bad.see)
        flags = index.last_words()
        for number in bad.numbers():
            flags[number] = 1
        for flag, line in zip(flags, lines(), strict=False):
            if flag:
                record: dict[str, Any] = orjson.loads(line)
                if flag == REPLACED:
                    record["status"] = "replaced"
                yield record
