"""What mypy says of programs that use the package: it is typed (`py.typed`), strictly."""

import subprocess
import sys
from pathlib import Path

GOOD = """
import asyncio
import logging
import sys
from pathlib import Path

import scraper
from scraper import Held, Options, Result, Summary


def fetch(urls: list[str]) -> Summary:
    nightly: Options = {"engine": "curl", "resume": True, "max_concurrency": 64}
    with scraper.run(urls, to=Path("out"), **nightly) as results:
        for result in results:
            show(result)
    return results.summary


def show(result: Result) -> None:
    size: int | None = result.size
    path: Path | None = result.path
    fields: dict[str, object] = result.as_dict()
    if result.error is not None and result.error.kind is scraper.Kind.DNS:
        print(result.url, result.key, result.status, result.ok, size, path, fields)


try:
    for one in scraper.run(open("urls.txt"), headers={"A": "b"}, lock="skip", per_host=None):
        print(one.target.line)
    for one in scraper.run((line for line in sys.stdin), rate=0.5, max_size=10**6):
        print(one)
except Held:
    pass


async def fetch_too(to: Path) -> None:
    target = {"url": "u", "headers": {"A": "b"}}
    async with scraper.arun([("u", "key"), ("u", None), ("u",), target], to=to) as results:
        async for result in results:
            show(result)
    print(results.summary)


asyncio.run(fetch_too(Path("out")))
rows: list[tuple[str, str]] = []
dicts: list[dict[str, str]] = []
scraper.run(rows)
scraper.run(dicts)
"""
# Each line is wrong. After `#` stands what mypy says of it.
BAD = """
import scraper
from scraper import nonsense  # attr-defined
scraper.run(["u"], engnie="curl")  # call-arg
scraper.run(["u"], engine="crul")  # arg-type
scraper.run(["u"], "out")  # call-arg
scraper.run(["u"], to=5)  # arg-type
scraper.run(["u"], max_concurrency="8")  # arg-type
scraper.run(["u"], max_size="10M")  # arg-type
scraper.run(["u"], headers={"A": 5})  # dict-item
scraper.run(["u"], lock="maybe")  # arg-type
scraper.run(5)  # arg-type
scraper.run([5])  # list-item
scraper.run([("u", 5)])  # list-item
scraper.arun(["u"], engnie="curl")  # call-arg
for result in scraper.run(["u"]): result.nonsense  # attr-defined
scraper.run(["u"]).summary.nonsense  # attr-defined
scraper.rnu(["u"])  # attr-defined
options: scraper.Options = {"retires": 3}  # typeddict-unknown-key
"""


def test_mypy_takes_good_programs_and_finds_each_fault_of_bad_ones(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "bad.py").write_text(BAD)
    words = ["--strict", "--no-error-summary", "--no-pretty", "--cache-dir", ".cache"]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *words, "good.py", "bad.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in ran.stdout.splitlines() if ": error: " in line]
    said = [f"{line.split(':')[0]}:{line.split(':')[1]} {line.split('[')[-1]}" for line in errors]
    lines = BAD.splitlines()
    faults = {n: line.split("# ")[1] for n, line in enumerate(lines, 1) if "# " in line}
    assert (said, ran.stderr) == ([f"bad.py:{n} {code}]" for n, code in faults.items()], "")
