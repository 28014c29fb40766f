"""Every S3 server that can be had here, by every promise: `python -m tests.stores [SERVER...]`.

Prints the table of docs/stores.md (Markdown). The exit status is 1 if a promise was broken.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.stores.promises import PROMISES
from tests.stores.servers import SERVERS, Store


def column(store: Store) -> list[str]:
    """What was seen of one server, for each promise."""
    with tempfile.TemporaryDirectory(prefix="st-") as home:
        with tempfile.TemporaryDirectory() as probe:
            why = store.missing(Path(probe))
        if why:
            return [f"not here ({why})"] * len(PROMISES)
        with store.start(Path(home)) as server:
            os.environ.update(server.credentials)
            cells = []
            for name, promise in PROMISES.items():
                try:
                    cells.append(promise(server))
                except Exception as error:  # noqa: BLE001 - one broken promise hides no other
                    said = " ".join(str(error).split())[:60].replace("|", "/")
                    cells.append(f"BROKEN: {type(error).__name__}: {said}")
                print(f"{store.name}: {name}: {cells[-1]}", file=sys.stderr, flush=True)
            return cells


def head(store: Store) -> str:
    """The server and its version."""
    with tempfile.TemporaryDirectory() as probe:
        return f"{store.name} {'' if store.missing(Path(probe)) else store.version()}".strip()


def table(stores: Sequence[Store]) -> str:
    """The table, in Markdown: a row for each promise."""
    columns = [column(store) for store in stores]
    rows = [["", *map(head, stores)], ["---"] * (1 + len(stores))]
    rows += [[name, *cells] for name, *cells in zip(PROMISES, *columns, strict=True)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> int:
    """Print it."""
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    wanted = sys.argv[1:]
    made = table([store for store in SERVERS if not wanted or store.name in wanted])
    print(made, end="")
    return int("BROKEN" in made)


if __name__ == "__main__":
    sys.exit(main())
