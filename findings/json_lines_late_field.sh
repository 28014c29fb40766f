#!/bin/sh
# JSON Lines with a field that first appears late: four readers, and what cures it.
#
# polars 2.1.0 guesses columns by 100 lines and drops a later field without a word; so does
# pyarrow.dataset 26.0.1 after its first block. DuckDB 2.0.1 guesses by 20,480 lines, and a query of
# the later field is a binder error.
#
# One would think that `"error": null` in the first line makes the column known. It makes it one of
# nulls: DuckDB then counts no errors, polars and pyarrow refuse the first real value. Only a typed
# value in an early line helps ("typed" below), that is, a line that is no record.
#
# Seen: late: duckdb BinderException, polars lost, dataset lost
#       null: duckdb 0, polars ComputeError, dataset ArrowInvalid
#       typed: duckdb 2, polars 2, dataset 2
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q duckdb==2.0.1 polars==2.1.0 pyarrow==26.0.1
cat > "$place/try.py" <<'PY'
import json

import duckdb
import polars
import pyarrow.dataset


def by_duckdb(path):
    return duckdb.sql(f"SELECT count(error.kind) FROM '{path}'").fetchall()[0][0]


def by_polars(path):
    table = polars.read_ndjson(path)
    return table["error"].is_not_null().sum() if "error" in table.columns else "lost"


def by_dataset(path):
    table = pyarrow.dataset.dataset(path, format="json").to_table()
    known = "error" in table.column_names
    return table.num_rows - table["error"].null_count if known else "lost"


def told(read, path):
    try:
        return read(path)
    except Exception as error:
        return type(error).__name__


usual = {"url": "http://host/page", "status": "stored", "sha256": "ab" * 32}
failed = {"url": "http://host/gone", "status": "failed", "error": {"kind": "dns"}}
firsts = {
    "late": usual,
    "null": {**usual, "error": None},
    "typed": {**usual, "status": "run", "error": {"kind": ""}},
}
seen = []
for name, first in firsts.items():
    with open(f"{name}.jsonl", "w") as file:
        for record in (first, *[usual] * 30_000, failed):
            file.write(json.dumps(record) + "\n")
    readers = {"duckdb": by_duckdb, "polars": by_polars, "dataset": by_dataset}
    found = [f"{which} {told(read, f'{name}.jsonl')}" for which, read in readers.items()]
    seen.append(f"{name}: {', '.join(found)}")
print(*seen, sep="\n")
assert seen == [
    "late: duckdb BinderException, polars lost, dataset lost",
    "null: duckdb 0, polars ComputeError, dataset ArrowInvalid",
    "typed: duckdb 2, polars 2, dataset 2",
]
PY
cd "$place" && venv/bin/python try.py
