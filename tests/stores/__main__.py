"""Every server of a store that can be had, by every promise: `python -m tests.stores [NAME...]`.

Prints the tables of docs/stores.md (Markdown): S3's, then that of gs:// and az://. The exit status
is 1 if a promise was broken.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.stores import clouds, promises
from tests.stores.servers import CLOUDS, SERVERS, Store

Promises = Mapping[str, Callable[[Any], str]]


def column(store: Store, promises: Promises) -> list[str]:
    """What was seen of one server, for each promise."""
    with tempfile.TemporaryDirectory(prefix="st-") as home:
        with tempfile.TemporaryDirectory() as probe:
            why = store.missing(Path(probe))
        if why:
            return [f"not here ({why})"] * len(promises)
        with store.start(Path(home)) as server:
            os.environ.update(server.credentials)
            cells = []
            for name, promise in promises.items():
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


def table(stores: Sequence[Store], promises: Promises) -> str:
    """The table, in Markdown: a row for each promise."""
    columns = [column(store, promises) for store in stores]
    rows = [["", *map(head, stores)], ["---"] * (1 + len(stores))]
    rows += [[name, *cells] for name, *cells in zip(promises, *columns, strict=True)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> int:
    """Print it."""
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    wanted = sys.argv[1:]
    made = []
    for servers, told in ((SERVERS, promises.PROMISES), (CLOUDS, clouds.PROMISES)):
        if asked := [store for store in servers if not wanted or store.name in wanted]:
            made.append(table(asked, told))
    print("\n".join(made), end="")
    return int("BROKEN" in "".join(made))


if __name__ == "__main__":
    sys.exit(main())
