"""How many processes `--processes` means: `auto` is one for each core that this process may use.

Owns: that reading. Does not know: what processes do.
"""

import os


def process_count(value: object) -> object:
    """The number that `value` means, or `value` itself if it is none: `Settings` tells that."""
    if value == "auto":
        get = getattr(os, "sched_getaffinity", None)
        return len(get(0)) if get is not None else os.cpu_count() or 1
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value
