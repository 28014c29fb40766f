"""In a locale that is not UTF-8 names on the disk are UTF-8 all the same, and nothing breaks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import Reply, Serve

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NAMES = ["caf\u00e9.html", "\u65e5\u672c.html"]


@pytest.fixture
def ascii_python() -> dict[str, str]:
    """The environment of a Python that knows ASCII only."""
    environment = {**os.environ, **ASCII}
    asked = [sys.executable, "-c", "import sys; print(sys.getfilesystemencoding())"]
    assert subprocess.check_output(asked, env=environment).strip() == b"ascii"
    return environment


def names_below(directory: bytes) -> set[bytes]:
    found = {name for _, _, files in os.walk(directory) for name in files}
    return {name for name in found if name.endswith(b".html")}


@pytest.mark.parametrize("engine", ["threads", "curl"])
def test_the_command_line(
    engine: str, serve: Serve, tmp_path: Path, ascii_python: dict[str, str]
) -> None:
    server = serve(lambda _: Reply(body=b"a page"))
    lines = [f"{server.url}/{name}\tpages/{name}" for name in NAMES]
    (tmp_path / "\u00fc.txt").write_text("\n".join(lines), encoding="utf-8")

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "scraper", *arguments]
        ran = subprocess.run(
            command, env=ascii_python, cwd=tmp_path, capture_output=True, check=False
        )
        said = (ran.stdout + ran.stderr).decode()
        assert "internal error" not in said
        assert "Traceback" not in said
        return ran.returncode, said

    for _ in range(2):
        assert run("fetch", "\u00fc.txt", "--to", "\u00e4", "--engine", engine)[0] == 0
        found = names_below(os.fsencode(tmp_path / "\u00e4"))
        assert found == {name.encode() for name in NAMES}
    manifest = (tmp_path / "\u00e4/.scraper/manifest.jsonl").read_text(encoding="utf-8")
    states = [json.loads(line)["status"] for line in manifest.splitlines()]
    assert states == ["stored"] * 4
    status, said = run("list", "\u00e4")
    assert status == 0
    assert all(name in said for name in NAMES)
    assert run("verify", "\u00e4")[0] == 0
    assert run("status", "\u00e4")[0] == 0
    (tmp_path / "\u00e4/pages" / NAMES[0]).unlink()
    status, said = run("verify", "\u00e4")
    assert status == 1
    assert NAMES[0] in said
    status, said = run("fetch", "\u00fc.txt", "--to", "\u00e4", "--dry-run")
    assert all(f"pages/{name}" in said for name in NAMES)


def test_python(serve: Serve, tmp_path: Path, ascii_python: dict[str, str]) -> None:
    server = serve(lambda _: Reply(body=b"a page"))
    script = f"""
import scraper
lines = [({server.url!r} + "/1", "p\\xe9/caf\\xe9.html"), ({server.url!r} + "/2", "\\u65e5.html")]
for _ in range(2):
    for result in scraper.run(lines, to="\\xe4"):
        assert result.ok, ascii(result.error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], env=ascii_python, cwd=tmp_path, check=False
    )
    assert ran.returncode == 0
    found = names_below(os.fsencode(tmp_path / "\u00e4"))
    assert found == {"caf\u00e9.html".encode(), "\u65e5.html".encode()}
