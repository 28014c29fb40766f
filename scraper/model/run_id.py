"""The id of a run, which all its records have.

Owns: its form. Does not know: where it is written. Rejected: a UUID (version 7 sorts by time too);
nobody can see in it when the run began.
"""

import os
from datetime import UTC, datetime


def new_run_id(moment: float) -> str:
    """An id such as `20261128T191524.123Z-3f9a` for a run that begins at `moment`.

    `moment` is in seconds since 1970. Ids sort by time; 16 random bits tell runs of the same
    millisecond apart.
    """
    begun = datetime.fromtimestamp(moment, UTC).isoformat("T", "milliseconds")
    return f"{begun[:23].replace('-', '').replace(':', '')}Z-{os.urandom(2).hex()}"
