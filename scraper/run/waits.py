"""What a run says while it waits for its destination: for another run, or for a store that fails.

Owns: these words, for a run and for the coordinator of a cluster. Does not know: how long.
"""

from scraper.run.stopping import Note


class Waits:
    """Says it by `note`. `destination`: as people may see it."""

    def __init__(self, destination: str, note: Note) -> None:
        self._destination = destination
        self._note = note

    def held(self, holder: str) -> None:
        """Another run has it: `holder`, in words, "" if that is not known."""
        self._say(f"{self._destination}: {holder or 'another run'} holds it")

    def failing(self, why: str) -> None:
        """It is asked again, because of `why`."""
        self._say(f"{self._destination} ({why})")

    def _say(self, what: str) -> None:
        self._note("info", "waiting", {"message": f"waiting for {what}", "what": what})
