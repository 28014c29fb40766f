"""What does not go together with a destination that is one file, or stdout.

Owns: these rules. Does not know: how they are written to.
"""

from scraper.model.errors import UsageError


def check(to: str, *, shard: str | None, processes: int) -> None:
    """Raise UsageError for options that several writers need."""
    if not (to == "-" or to.startswith(("tar:", "zip:"))):
        return
    if shard is not None:
        raise UsageError(f"--shard: several runs can't write to {to!r}, give each its own --to")
    if processes > 1:
        raise UsageError(f"--processes: one process writes to {to!r}, leave it out")
