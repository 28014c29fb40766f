"""The same list, given to the program that it comes from and to this one: the same files."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scraper.model.records import Result
from scraper.model.settings import Settings
from scraper.model.version import __version__
from scraper.run.loop import Run
from scraper.source.grammar import Grammar, grammar_of
from scraper.source.sources import open_sources
from tests.lists import never
from tests.servers import Farm, Reply, Request


def answer(request: Request) -> Reply:
    """What the server got, and a mirror that has nothing."""
    if request.address == "127.0.0.1" and "only-2" in request.path:
        return Reply(404)
    names = ("x-one", "x-two", "user-agent", "referer")
    got = "".join(f"{name}: {request.headers.get(name)}\n" for name in names)
    return Reply(body=f"{request.path}\n{got}".encode())


def files(place: Path) -> dict[str, bytes]:
    """The files below a directory."""
    found = (path for path in place.rglob("*") if path.is_file() and ".scraper" not in path.parts)
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in found}


def both(
    tmp_path: Path, content: str, command: Callable[[str], list[str]], **grammar: Any
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files of the program itself, and ours. `grammar`: what the list is."""
    program = shutil.which(command("")[0])
    if program is None:
        pytest.skip(f"{command('')[0]} is not installed")
    path, theirs, ours = tmp_path / "list", tmp_path / "theirs", tmp_path / "ours"
    path.write_text(content)
    theirs.mkdir()
    subprocess.run(command(str(path)), cwd=theirs, check=True, capture_output=True, timeout=60)
    results = run(path, ours, grammar_of(**grammar))
    assert [result.status for result in results] == ["stored"] * len(results)
    return files(theirs), files(ours)


def run(path: Path, to: Path, grammar: Grammar) -> list[Result]:
    """What becomes of a list."""
    with Run(
        Settings.of(to=str(to), retries=0), open_sources([str(path)], never, grammar)
    ) as found:
        return list(found)


def test_aria2_makes_the_same_files(farm: Farm, tmp_path: Path) -> None:
    site = farm(answer)
    one, two = (f"http://127.0.0.{number}:{site.port}" for number in (1, 2))
    content = f"""# as aria2c -i takes it
{one}/a?x=1
  out=a b.bin
  dir=sub/dir
  header=X-One: 1
  header=X-Two: two
  user-agent=me/1
  referer=http://r/
{one}/only-2\t{two}/only-2
  out=mirrored
  user-agent=me/1
{two}/c
\tout=deeper
\tdir=sub
\tuser-agent=me/1
\treferer=*
"""
    command = ["aria2c", "--no-conf", "-q", "-s1", "-x1", "--auto-file-renaming=false"]
    theirs, ours = both(tmp_path, content, lambda path: [*command, "-i", path], list_format="aria2")
    assert theirs == ours
    assert sorted(ours) == ["mirrored", "sub/deeper", "sub/dir/a b.bin"]


def test_curl_makes_the_same_files(farm: Farm, tmp_path: Path) -> None:
    site = farm(answer)
    base = f"127.0.0.1:{site.port}"
    content = f"""# as curl -K takes it
url = "http://{base}/a?x=1"
output = "a b.bin"
--url http://{base}/b
-o sub/b.bin
header: "X-One: \\"one\\" \\\\ 1"
-H "X-Two: two"
user-agent "me/1"
referer=http://r/
-sSo c.bin
url={base}/c
create-dirs
next
url {base}/d
-od.bin   # a comment
-A me/2
next
url = {base}/e.bin
remote-name
url = {base}/f
output = f.bin
-O
url = {base}/g.bin
-A me/3
next
user-agent = me/4
url = {base}/h
remote-name-all
url = {base}/i.bin
output = h.bin
"""
    theirs, ours = both(
        tmp_path, content, lambda path: ["curl", "-q", "-K", path], list_format="curl"
    )
    usual = f"127.0.0.1_http_{site.port}/"  # our usual keys have the host too
    assert theirs == {name.removeprefix(usual): body for name, body in ours.items()}
    assert {"e.bin", "f.bin", "g.bin", "h.bin", "i.bin"} <= theirs.keys()
    assert len(theirs) == 9


def test_rclone_makes_the_same_files(farm: Farm, tmp_path: Path) -> None:
    base = f"http://127.0.0.1:{farm(answer).port}"
    content = f'{base}/a?x=1,"one, two.bin"\n{base}/dir/b.bin,\n"{base}/c,d",sub/c.bin\n'
    rclone = str(Path(sys.executable).with_name("rclone"))
    words = [rclone, "--config", os.devnull, "--user-agent", f"scraper/{__version__}"]
    theirs, ours = both(
        tmp_path,
        content,
        lambda path: [*words, "copyurl", "--urls", path, "."],
        url_column="1",
        key_column="2",
        list_format="csv",
    )
    theirs[f"{base[7:].replace(':', '_http_')}/dir/b.bin"] = theirs.pop("b.bin")  # our usual key
    assert theirs == ours


def test_wget2_asks_for_the_same_links(farm: Farm, tmp_path: Path) -> None:
    base = f"http://127.0.0.1:{farm(answer).port}"
    content = f"""<html><a href="a.html">a</a> <img src="../i/p.png">
<a href="/b/c.html?x=1#f">c</a>
<a href="{base}/z">z</a> <a href="mailto:a@b.example">m</a> <a href="#top">t</a></html>"""
    words = ["wget2", "--no-config", "-q", "-x", "-U", "", "--no-robots", "--force-html"]
    command = [*words, f"--base={base}/d/", "-i"]
    theirs, ours = both(
        tmp_path, content, lambda path: [*command, path], list_format="html", base=f"{base}/d/"
    )
    paths = [sorted(body.splitlines()[0] for body in one.values()) for one in (theirs, ours)]
    assert paths[0] == paths[1] == [b"/b/c.html?x=1", b"/d/a.html", b"/i/p.png", b"/z"]
