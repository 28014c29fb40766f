"""`scraper export`: other programs read it; the queries of docs/queries.md find what is there."""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import MANIFEST, Command
from tests.e2e.places import Place
from tests.servers import Reply, Serve

DOCS = Path(__file__).parents[2] / "docs" / "queries.md"
STORED = 30_000  # so many before the first failure, DuckDB looks at 20,480


def a_record(number: int, **more: object) -> dict[str, Any]:
    known = {"url": f"http://h/{number}", "line": number, "source": "l", "key": f"data/{number}"}
    times = {"started": "2026-11-30T00:20:05Z", "started_at": 1796000405.25, "time_total": 0.5}
    stored = {
        "status": "stored",
        "http_code": 200,
        "size": 3,
        "sha256": "ab" * 32,
        "variant": "plain",
    }
    return {**known, **stored, "attempts": 1, **times, "run": "r", **more}


def failure(number: int) -> dict[str, Any]:
    error = {"kind": "http_status", "message": "HTTP 404"}
    record = a_record(number, status="failed", http_code=404, error=error)
    return {name: value for name, value in record.items() if name not in {"size", "sha256"}}


def write(cli: Command, *records: dict[str, Any]) -> None:
    path = cli.directory / "out" / MANIFEST
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(one)}\n" for one in records))


def test_each_target_has_its_last_state(cli: Command, place: Place, serve: Serve) -> None:
    server = serve(lambda one: Reply(404 if one.path == "/gone" else 200, {}, one.path.encode()))
    lists = [f"{server.url}/a\tk", f"{server.url}/gone", "nonsense"], [f"{server.url}/b\tk"]
    for lines in lists:
        cli("-", *place.words, stdin="\n".join(lines), env=place.environment)
    words = ["export", *place.words[1:]]
    ran = cli(*words, "--format", "jsonl", env=place.environment)
    assert (ran.status, ran.err) == (0, "")
    found = {record["url"].rpartition("/")[2]: record["status"] for record in ran.records}
    assert found == {"a": "replaced", "gone": "failed", "nonsense": "failed", "b": "stored"}
    sums = cli(*words, "--format", "sha256sum", env=place.environment)
    (last,) = [record for record in ran.records if record["status"] == "stored"]
    assert sums.lines == [f"{last['sha256']}  k"]
    table = [*csv.DictReader(StringIO(cli(*words, "--format", "csv", env=place.environment).out))]
    assert Counter(row["status"] for row in table) == Counter(found.values())
    assert [row["error_kind"] for row in table if row["http_code"] == "404"] == ["http_status"]


def test_a_csv_has_no_formulas_and_no_value_of_another_type(cli: Command) -> None:
    error = {"kind": "bad_url", "message": "no scheme"}
    bad = a_record(1, url="=cmd|' /C calc'!A0", status="failed", error=error)
    del bad["key"]
    write(cli, bad, a_record(2, http_code="200", parts=2**63, etag="-1"))
    first, second = csv.DictReader(StringIO(cli("export", "out", "--format", "csv").out))
    assert (first["url"], second["etag"]) == ("'=cmd|' /C calc'!A0", "'-1")
    assert (second["http_code"], second["parts"]) == ("", "")


def test_checksum_programs_accept_it_with_odd_names(cli: Command) -> None:
    out = cli.directory / "out"
    names = {"a b.txt": "", "per%20cent": "x", "k\u00fc": "y", "back\\slash": "z", "new\nline": "w"}
    digests = {}
    for name, text in names.items():
        out.mkdir(exist_ok=True)
        (out / name).write_text(text)
        digests[name] = subprocess.run(
            ["sha256sum", name], cwd=out, capture_output=True, check=True
        ).stdout
    plain = {name: line.lstrip(b"\\")[:64].decode() for name, line in digests.items()}
    records = [
        a_record(n, key=name, sha256=plain[name], size=len(text))
        for n, (name, text) in enumerate(names.items())
    ]
    write(cli, *records)
    ran = cli("export", "out", "--format", "sha256sum", "-o", "SUMS")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    sums = cli.directory / "SUMS"
    assert sums.read_bytes() == b"".join(digests.values())
    subprocess.run(["sha256sum", "--check", "--strict", "../SUMS"], cwd=out, check=True)
    for name in ("back\\slash", "new\nline"):  # rclone does not know that form
        (out / name).unlink()
    write(cli, *records[:3])
    cli("export", "out", "--format", "sha256sum", "-o", "SUMS")
    rclone = Path(sys.executable).with_name("rclone")
    words = [str(rclone), "checksum", "sha256", str(sums), str(out), "--exclude", "/.scraper/**"]
    subprocess.run(words, check=True, capture_output=True)


def test_an_object_without_a_digest_is_told(cli: Command) -> None:
    taken = a_record(1, status="skipped")
    del taken["sha256"]
    write(cli, taken, a_record(2))
    ran = cli("export", "out", "--format", "sha256sum")
    assert (ran.status, len(ran.lines), len(ran.errors)) == (1, 1, 1)


def test_a_destination_becomes_a_bag(cli: Command, serve: Serve) -> None:
    bagit = pytest.importorskip("bagit")
    server = serve(lambda one: Reply(200, {}, one.path.encode()))
    urls = [f"{server.url}/{name}" for name in ("a.txt", "d/b%20c.txt", "e%250Af")]
    assert cli("-", "--key", "data/{host}{path}", stdin="\n".join(urls)).status == 0
    for _ in range(2):  # a second export takes the place of the first
        ran = cli("export", "out", "--format", "bagit")
        assert (ran.status, ran.out, ran.err) == (0, "", "")
    bag = bagit.Bag(str(cli.directory / "out"))
    assert bag.validate()
    assert len(bag.payload_entries()) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "parquet"], "give -o FILE"),
        (["--format", "bagit"], "the payload of a bag is in data/"),
        (["--format", "csv", "-o", "none/x.csv"], "can't write"),
        (["--format", "csv", "-o", "out"], "can't write"),
    ],
)
def test_what_can_not_be_is_refused_and_changes_nothing(
    cli: Command, words: list[str], said: str
) -> None:
    write(cli, a_record(1, key="k"))
    before = sorted(cli.directory.rglob("*"))
    ran = cli("export", "out", *words)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.complaints[0]
    assert sorted(cli.directory.rglob("*")) == before


def test_a_bag_of_somebody_else_is_left_alone(cli: Command) -> None:
    write(cli, a_record(1))
    (cli.directory / "out" / "bagit.txt").write_text("theirs")
    ran = cli("export", "out", "--format", "bagit")
    assert (ran.status, len(ran.complaints)) == (2, 1)
    assert (cli.directory / "out" / "bagit.txt").read_text() == "theirs"


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w+)\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


@pytest.fixture
def late(cli: Command) -> Command:
    """A destination whose first failure comes late, and its exports."""
    write(cli, *(a_record(number) for number in range(STORED)), failure(STORED))
    assert cli("export", "out", "--format", "parquet", "-o", "out.parquet").status == 0
    return cli


def test_the_queries_of_the_docs_find_the_failure_that_comes_late(
    late: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb = pytest.importorskip("duckdb")
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    monkeypatch.chdir(late.directory)
    (statements,) = blocks("sql")
    statuses, kinds, hosts, by_json = [
        duckdb.sql(one).fetchall() for one in statements.split(";") if one.strip()
    ]
    assert statuses == [("failed", 1, None), ("stored", STORED, 3 * STORED)]
    assert (kinds, hosts) == ([("http_status", 1)], [("h", 0.5)])
    assert by_json == [("http_status", 1)]
    with_pandas, with_polars = blocks("python")
    exec(with_pandas, {})
    said = capsys.readouterr().out
    assert re.search(r"stored +30000 +90000", said)
    assert f"http://h/{STORED}  http_status" in said
    exec(with_polars, {})
    assert f'"http://h/{STORED}"' in capsys.readouterr().out


def test_the_queries_of_jq_in_the_docs(cli: Command) -> None:
    if not shutil.which("jq"):
        pytest.skip("jq is not installed")
    write(cli, a_record(1), failure(2))
    (lines,) = [text for text in blocks("sh") if "jq -s" in text]
    environment = {**cli.environment, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    ran = subprocess.run(
        ["sh", "-ec", lines],
        cwd=cli.directory,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    failed, first, second, *counts = ran.stdout.splitlines()
    assert failed == "http://h/2\thttp_status\t404"
    assert first == second == "00:20"
    assert json.loads("".join(counts)) == {"failed": 1, "stored": 1}
