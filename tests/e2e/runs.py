"""Runs to one place, and the commands that look at it.

ran = runs("-", "--resume", stdin=lines)          # runs: the fixture, a Runs
ran = runs.fetch("http://host/a", "http://host/b\tkey")
assert runs.statuses("http://host/a") == ["stored"]
"""

from tests.e2e.command import Command, Ran
from tests.e2e.places import Place


class Runs:
    """Runs of `cli` to `place`. A failed attempt is the last one; records come on stdout."""

    def __init__(self, cli: Command, place: Place) -> None:
        self.cli = cli
        self.place = place

    def __call__(self, *words: str, stdin: str | None = None) -> Ran:
        """A run with these words."""
        options = [*self.place.words, "--results", "-", "--retries", "0"]
        return self.cli(*words, *options, stdin=stdin, env=self.place.environment)

    def fetch(self, *lines: str, options: tuple[str, ...] = ()) -> Ran:
        """A run of a list with these lines."""
        self.cli.write("list", *lines)
        return self("list", *options)

    def statuses(self, *lines: str, options: tuple[str, ...] = ()) -> list[str]:
        """What became of each line of such a list."""
        ran = self.fetch(*lines, options=options)
        assert ran.status in {0, 1}, ran.err
        records = sorted(ran.records, key=lambda record: record["line"])
        return [record["status"] for record in records]

    def failed(self, *options: str, status: int = 0) -> Ran:
        """What `scraper failed` says, and that it ends with this status."""
        ran = self.cli("failed", *self.place.words[1:], *options, env=self.place.environment)
        assert ran.status == status, ran.err
        return ran

    def verify(self, *options: str) -> tuple[int, list[list[str]], str]:
        """Status, findings and the summary of `scraper verify`."""
        ran = self.cli("verify", *self.place.words[1:], *options, env=self.place.environment)
        return ran.status, [line.split("\t") for line in ran.lines], ran.err
