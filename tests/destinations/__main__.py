"""Every kind of destination by every promise: `python -m tests.destinations [NAME...]`.

Prints the table of docs/destinations.md (Markdown). The exit status is 1 if a promise was broken.
With DESTINATIONS_FULL in the environment memory is looked at with 200,000 objects and 4 GiB.
"""

import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.destinations.kinds import KINDS, Kind, Missing
from tests.destinations.promises import PROMISES, Trial
from tests.destinations.site import Site
from tests.e2e.command import Command


def cell(kind: Kind, promise: str) -> str:
    """What was seen of one promise, at a fresh destination."""
    with tempfile.TemporaryDirectory(prefix="de-") as home:
        directory = Path(home) / "work"
        directory.mkdir()
        cli = Command(directory)
        try:
            with kind.start(Path(home), cli) as place, Site() as site:
                return PROMISES[promise](Trial(place, site, cli))
        except Missing as missing:
            return f"not here ({missing})"
        except Exception as error:  # noqa: BLE001 - one broken promise hides no other
            said = " ".join(str(error).split())[:200].replace("|", "/")
            return f"BROKEN: {type(error).__name__}: {said}"


def column(kind: Kind) -> list[str]:
    """What was seen of one kind."""
    cells = []
    for promise in PROMISES:
        cells.append(cell(kind, promise))
        print(f"{kind.name}: {promise}: {cells[-1]}", file=sys.stderr, flush=True)
    return cells


def table(kinds: Sequence[Kind]) -> str:
    """The table, in Markdown: a row for each kind."""
    rows = [["", *PROMISES], ["---"] * (1 + len(PROMISES))]
    rows += [[kind.name, *column(kind)] for kind in kinds]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> int:
    """Print it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto tells of each request
    wanted = sys.argv[1:]
    made = table([kind for kind in KINDS if not wanted or kind.name.split()[0] in wanted])
    print(made, end="")
    return int("BROKEN" in made)


if __name__ == "__main__":
    sys.exit(main())
