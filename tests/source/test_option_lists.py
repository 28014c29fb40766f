"""Lists in the form of aria2's input file and of curl's config, beside these programs."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scraper.model.records import Result, Target
from scraper.source import keys, lists
from scraper.source.grammar import grammar_of
from scraper.source.sources import open_sources
from tests.lists import never, target
from tests.servers import Farm, Reply, Request


def listed(path: Path, content: str, form: str) -> tuple[list[lists.Read], list[str]]:
    """What a list says, and what is to be said of it."""
    path.write_text(content, encoding="utf-8", newline="")
    told: list[str] = []
    (source,) = open_sources([str(path)], never, grammar_of(list_format=form))
    return list(lists.read(source, keys.url_key, told.append)), told


def reasons(items: list[lists.Read]) -> list[str]:
    """Why lines are no targets."""
    return [item.failure.message for item in items if isinstance(item, Result) and item.failure]


def targets(items: list[lists.Read]) -> list[Target]:
    return [item for item in items if isinstance(item, Target)]


ARIA2 = """# a comment
http://a/x\thttp://b/x?y=1\tftp://c/x
  out=one.bin
  dir=sub/dir
  checksum=SHA-256=0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef
  header=X-One: 1
\theader=Authorization: Bearer secret-1
  user-agent=me/1
  referer=*
  split=5
http://a/dir/y%20z?q
  dir=sub
  checksum=adler32=00000001
  max-tries=2
  split=7

http://a/plain
"""


def test_aria2s_input_file_is_read(tmp_path: Path) -> None:
    items, told = listed(tmp_path / "list", ARIA2.replace("\n", "\r\n"), "aria2")
    one, two, three = (target(item) for item in items)
    assert (one.url, one.key) == ("http://a/x", "sub/dir/one.bin")
    assert [mirror.url for mirror in one.mirrors] == ["http://b/x?y=1"]
    assert one.expected is not None
    assert one.expected.digests == (("sha256", "0123456789abcdef" * 4),)
    assert one.headers == {
        "X-One": "1",
        "Authorization": "Bearer secret-1",
        "User-Agent": "me/1",
        "Referer": "http://a/x",
    }
    assert (two.key, two.expected) == ("sub/y z", None)
    assert (three.key, three.headers) == (keys_of("http://a/plain"), {})
    assert "secret" not in "".join(told)
    assert [name for name in ("split", "max-tries", "checksum=adler32") if name in "".join(told)]
    assert "".join(told).count("'split'") == 1


def keys_of(url: str) -> str:
    from scraper.model.urls import parse

    return keys.url_key(parse(url))


def test_what_is_wrong_in_aria2s_input_file_is_told_by_its_place(tmp_path: Path) -> None:
    content = "\n  out=x\n  dir=y\nhttp://a/1\n  dir=/etc\nhttp://a/2\n  dir=../x\n"
    content += "http://a/3\n  header=secret\nhttp://a/4\n"
    items, _ = listed(tmp_path / "list", content, "aria2")
    why = reasons(items)
    assert why[0] == "line 2: an option without a URL before it"
    assert "dir=/etc is absolute" in why[1]
    assert "leaves the destination" in why[2]
    assert why[3] == "line 9: a header is not NAME: VALUE"
    assert [one.url for one in targets(items)] == ["http://a/4"]
    assert len(items) == 5


CURL = r"""
# a comment
url = "http://a/1?q=\"x\"\\y"
output = one.bin
--url http://a/2
-o "two \"2\".bin"
header: "X-One: a\tb"
-H "X-Two: 2"
user-agent "me/1"
referer=http://r/
-sSLo three.bin
url=http://a/3
silent
retry = 5
next
url = a/4
-ofour.bin
H = x
"""


def test_curls_config_is_read(tmp_path: Path) -> None:
    items, told = listed(tmp_path / "list", CURL, "curl")
    found = targets(items)
    assert not reasons(items)
    assert [(one.listed, one.key) for one in found] == [
        ('http://a/1?q="x"\\y', "one.bin"),
        ("http://a/2", "two _2_.bin"),
        ("http://a/3", "three.bin"),
        ("http://a/4", "four.bin"),
    ]
    headers = {"X-One": "a\tb", "X-Two": "2", "User-Agent": "me/1", "Referer": "http://r/"}
    assert [one.headers for one in found] == [headers] * 3 + [{}]
    for name in ("-s", "-S", "-L", "silent", "retry", "H"):
        assert f"'{name}'" in "".join(told)


def test_what_is_wrong_in_curls_config_is_told_by_its_place(tmp_path: Path) -> None:
    content = "url = http://a/[1-3]\nurl = http://[::1]/x\noutput = a\noutput = -\noutput = c\n"
    items, _ = listed(tmp_path / "list", content, "curl")
    assert reasons(items) == [
        "line 1: the URL has a glob of curl: give each URL by itself",
        "line 4: output is stdout",
        "line 5: output without a URL",
    ]
    items, _ = listed(tmp_path / "list", 'url = http://a/1\nheader = "secret"\n', "curl")
    assert reasons(items) == ["line 1: line 2: a header is not NAME: VALUE"]


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
    tmp_path: Path, content: str, form: str, command: Callable[[str], list[str]]
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files of the program itself, and ours."""
    program = shutil.which(command("")[0])
    if program is None:
        pytest.skip(f"{command('')[0]} is not installed")
    path, theirs, ours = tmp_path / "list", tmp_path / "theirs", tmp_path / "ours"
    path.write_text(content)
    theirs.mkdir()
    subprocess.run(command(str(path)), cwd=theirs, check=True, capture_output=True, timeout=60)
    options: dict[str, Any] = {"list_format": form, "retries": 0}
    results = run(path, ours, **options)
    assert [result.status for result in results] == ["stored"] * len(results)
    return files(theirs), files(ours)


def run(path: Path, to: Path, *, list_format: str, **options: Any) -> list[Result]:
    """What becomes of a list."""
    from scraper.model.settings import Settings
    from scraper.run.loop import Run

    sources = open_sources([str(path)], never, grammar_of(list_format=list_format))
    with Run(Settings.of(to=str(to), **options), sources) as found:
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
    theirs, ours = both(tmp_path, content, "aria2", lambda path: [*command, "-i", path])
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
"""
    theirs, ours = both(tmp_path, content, "curl", lambda path: ["curl", "-q", "-K", path])
    assert theirs == ours
    assert sorted(ours) == ["a b.bin", "c.bin", "d.bin", "sub/b.bin"]
