"""Every command that the README and the pages of docs/ show does what it says, as it stands there.

A fence's language says what is done with it. `sh`: each line is run and must end well, or with the
status of a comment `# exit N`. `console`: a command after `$ `, and the end of what it says.
`python`: run; a `text` after it is what it prints. `crontab`, `ini`, `yaml`, `bash`: the command in
it is run. `text`, `json` and `toml` are read by people alone.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest
import requests
import trustme
from pyarrow import parquet

from scraper.demo import Bucket, Site
from tests import reference
from tests.commands import every_command
from tests.e2e.command import WAIT_S, Command, folder, program
from tests.gcs import gcs
from tests.servers import free_port

ROOT = Path(__file__).parent.parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {
    "sh",
    "bash",
    "console",
    "python",
    "crontab",
    "ini",
    "yaml",
    "toml",
    "text",
    "json",
    "sql",
}
ELSEWHERE = (
    "make ",
    "pipx ",
    "pip ",
    "docker ",
    "man ",
    "parallel ",  # tests/e2e/test_shard_examples.py, as the yaml and the bash of that page
)  # other tests run these, or nobody can here


class Demo(NamedTuple):
    """The demo's site, and what its bucket's clients need."""

    url: str
    environment: dict[str, str]


class Fence(NamedTuple):
    """One block of a page, and the text of the block after it if that is `text`."""

    page: str
    language: str
    text: str
    after: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0]}"


def fences() -> Iterator[Fence]:
    for page, text in PAGES.items():
        found = FENCE.findall(text)
        following = [*found[1:], ("", "")][: len(found)]
        for (language, block), (then, said) in zip(found, following, strict=True):
            yield Fence(page, language, block, said if then == "text" else "")


def blocks(language: str) -> list[Fence]:
    return [fence for fence in fences() if fence.language == language]


def commands() -> Iterator[tuple[str, int]]:
    """Commands of the `sh` blocks, and the exit status of each."""
    for fence in blocks("sh"):
        for line in fence.text.replace("\\\n", " ").splitlines():
            command, _, remark = re.sub(r"(\s{2,}|^)# ", "\0", line, count=1).partition("\0")
            if command.strip() and not command.startswith(ELSEWHERE):
                status = re.search(r"\bexit (\d+)", remark)
                yield command.strip(), int(status[1]) if status else 0


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with Site(0) as site, Bucket(free_port()) as bucket, gcs() as google:
        google.make_bucket("demo")
        yield Demo(site.url, {**bucket.environment, **google.environment()})


def write_lists_from_elsewhere(cli: Command, pages: Sequence[str]) -> None:
    """Those of docs/lists.md, about the first two pages."""
    bodies = [requests.get(page, timeout=WAIT_S).content for page in pages[:2]]
    cli.write("top.csv", *(f"{rank},{page[7:]}" for rank, page in enumerate(pages[:2], 1)))
    cli.write("majestic.csv", "GlobalRank,Domain", *(f"1,{page[7:]}" for page in pages[:2]))
    cli.write("pairs.csv", *(f"{page},{number}.html" for number, page in enumerate(pages[:2])))
    paths = [page.split("/", 3)[3] for page in pages[:2]]
    sums = [f"{sha256(body).hexdigest()}  {path}" for body, path in zip(bodies, paths, strict=True)]
    cli.write("SHA256SUMS", *sums)
    cli.write("transfer.tsv", "TsvHttpData-1.0", *(f"{page}\t0\t" for page in pages[:2]))
    cli.write("sitemap.xml", f"<urlset><url><loc>{pages[0]}</loc></url></urlset>")
    enclosure = f'<item><enclosure url="{pages[0]}"/></item>'
    cli.write("podcast.xml", f"<rss><channel>{enclosure}</channel></rss>")
    cli.write("page.html", f'<a href="/{paths[0]}">one</a>')
    cli.write("index.m3u8", "#EXTM3U", paths[0])
    (cli.directory / "wat.paths.gz").write_bytes(gzip.compress("\n".join(paths).encode()))
    parquet.write_table(pa.table({"link": pages[:2]}), cli.directory / "pages.parquet")
    place = {"filename": "a.warc.gz", "offset": "5", "length": "7"}
    cli.write("captures.jsonl", json.dumps({"url": pages[0], **place}))
    (cli.directory / "bag").mkdir()
    cli.write("bag/fetch.txt", f"{pages[0]} {len(bodies[0])} data/1.html")
    cli.write("bag/manifest-sha256.txt", f"{sha256(bodies[0]).hexdigest()}  data/1.html")


@pytest.fixture
def ready(cli: Command, demo: Demo) -> Command:
    """A directory with the lists that the pages name, `out` from an earlier run among them."""
    pages = [f"{demo.url}/articles/{number:04}.html" for number in range(1, 21)]
    cli.write("urls.txt", *pages)
    cli.write("more.txt", *pages[:3], f"{demo.url}/feed.xml")
    cli.write("m.jsonl")
    (cli.directory / "metrics").mkdir()
    cli.write("cookies.txt", "# Netscape HTTP Cookie File")
    write_lists_from_elsewhere(cli, pages)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(cli.directory / "our-ca.pem"))
    me = authority.issue_cert("me.example")
    me.cert_chain_pems[0].write_to_path(str(cli.directory / "me.pem"))
    me.private_key_pem.write_to_path(str(cli.directory / "me.key"))
    cli.environment |= demo.environment
    assert cli("urls.txt", "-q", "--to", "out").status == 0
    return cli


def adapted(text: str, cli: Command, demo: Demo) -> str:
    """The same with this demo's addresses, and with places that a test may write to."""
    text = text.replace("http://127.0.0.1:8642", demo.url).replace("s3://my-bucket", "s3://demo")
    text = text.replace("/usr/local/bin/scraper", "scraper").replace("scheme https", "scheme http")
    text = text.replace("_http_8642", f"_http_{demo.url.rpartition(':')[2]}")
    return text.replace("/srv/", f"{cli.directory}/").replace("/lists/", f"{cli.directory}/")


def run(command: str, cli: Command) -> subprocess.CompletedProcess[str]:
    """Run `command` in a shell which finds the program."""
    path = f"{Path(program()[0]).parent}:{cli.environment['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cli.directory,
        env={**cli.environment, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


@pytest.mark.parametrize(("command", "status"), dict.fromkeys(commands()))
def test_a_command_that_is_shown_works(
    command: str, status: int, ready: Command, demo: Demo
) -> None:
    for tool in re.findall(r"\| (\w+)", command):
        if not shutil.which(tool) and tool != "scraper":
            pytest.skip(f"there is no {tool}")
    ran = run(adapted(command, ready, demo), ready)
    assert ran.returncode == status, ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_first_run_ends_as_the_readme_says(cli: Command) -> None:
    (session,) = (fence.text for fence in blocks("console"))
    site, s3 = free_port(), free_port()
    said: list[str] = []
    for line in session.splitlines():
        if line.startswith("$ "):
            assert not said, "only the last command says something"
            command = line[2:].replace("scraper demo", f"scraper demo --port {site}", 1)
            ran = run(command.replace(" -- ", f" --s3-port {s3} -- "), cli)
            assert ran.returncode == 0, ran.stderr
            said = ran.stderr.replace(f":{site}/", ":8642/").splitlines()
    shown = [line for line in session.splitlines() if not line.startswith("$ ")]
    took = r"( in|MB,) [\d.]+ M?B?/?s(, [\d.]+ targets/s)?"
    said, shown = ([re.sub(took, "", line) for line in lines] for lines in (said, shown))
    assert said[-len(shown) :] == shown


def test_the_crontab_line_is_quiet_when_all_is_well(ready: Command, demo: Demo) -> None:
    for line in {fence.text.strip() for fence in blocks("crontab")}:
        minute, hour, day, month, weekday, command = line.split(maxsplit=5)
        assert (minute.isdecimal(), hour.isdecimal(), day, month, weekday) == (True, True, *"***")
        for _ in range(2):
            ran = run(adapted(command, ready, demo), ready)
            assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
        assert len(list(ready.directory.rglob("pages/**/*.html"))) == 20


def test_the_service_of_the_systemd_timer_runs(ready: Command, demo: Demo) -> None:
    (unit,) = (fence.text for fence in blocks("ini"))
    command = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert command is not None
    ran = run(adapted(command[1], ready, demo), ready)
    assert ran.returncode == 0
    assert all(json.loads(line)["event"] for line in ran.stderr.splitlines())


def test_the_container_of_the_cronjob_runs(ready: Command, demo: Demo) -> None:
    (job,) = (fence.text for fence in blocks("yaml") if "kind: CronJob" in fence.text)
    arguments = re.search(r"^\s*args: (\[.*\])$", job, re.MULTILINE)
    assert arguments is not None
    words = json.loads(adapted(arguments[1], ready, demo))
    ran = ready(*words)
    assert ran.status == 0, ran.err
    assert "s3://demo/pages" in ran.err


@pytest.mark.parametrize("fence", blocks("python"), ids=str)
def test_a_python_example_runs(fence: Fence, ready: Command, demo: Demo) -> None:
    for reader in re.findall(r"^import (pandas|polars)$", fence.text, re.MULTILINE):
        pytest.importorskip(reader)
    if "out.parquet" in fence.text:
        assert ready("export", "out", "--format", "parquet", "-o", "out.parquet").status == 0
    ran = subprocess.run(
        [sys.executable, "-c", adapted(fence.text, ready, demo)],
        cwd=ready.directory,
        env={**os.environ, **ready.environment},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    if fence.after:
        assert ran.stdout.replace(folder(demo.url), "127.0.0.1_http_8642") == fence.after


# ---------------------------------------------------------------- what the pages say


def test_every_block_has_a_language_that_says_what_is_done_with_it() -> None:
    assert {fence.language for fence in fences()} <= LANGUAGES


def test_the_readme_is_read_in_some_minutes() -> None:
    assert PAGES["README.md"].count("\n") <= 150


@pytest.mark.parametrize("page", PAGES)
def test_an_option_that_a_page_names_is_one(page: str) -> None:
    known = {
        name
        for command in every_command().values()
        for param in command.params
        for name in (*param.opts, *param.secondary_opts)
    }
    ours = re.sub(
        r"^(?:dask|docker|pip|pipx|parallel|#SBATCH) .*$", "", PAGES[page], flags=re.MULTILINE
    )
    ours = re.sub(r"`python -m tests\.[^`]*`", "", ours)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9.-]*\b", ours))
    assert named <= known | {"--help"}


def anchors(page: str) -> set[str]:
    """What a link may name in a page: its headings, as GitHub and MkDocs both write them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", PAGES[page]), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_to_a_page_and_to_a_heading_of_it(page: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", FENCE.sub("", PAGES[page])):
        path, _, anchor = link.partition("#")
        to = os.path.relpath((ROOT / page).parent / path, ROOT) if path else page
        assert to in PAGES, link
        assert not anchor or anchor in anchors(to), link


@pytest.mark.parametrize("page", PAGES)
def test_a_test_that_a_page_names_is_there(page: str) -> None:
    for path in re.findall(r"`((?:tests|scraper)/[\w/.]+)`", PAGES[page]):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("path", reference.pages(), ids=lambda path: path.name)
def test_a_page_that_is_made_from_the_options_is_the_one_of_today(path: Path) -> None:
    said = f"{path.name} is not of today's options: python -m tests.reference"
    assert path.read_text(encoding="utf-8") == reference.pages()[path], said


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    config = (ROOT / "docs/mkdocs.yml").read_bytes()
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-q", "--strict", "-f-", "-d", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        input=config,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )
    assert built.returncode == 0, built.stderr.decode()
    pages = {path.stem for path in tmp_path.glob("*.html")} - {"404"}
    assert pages == {Path(page).stem for page in PAGES} - {"README"}
    assert b"fonts.googleapis" not in (tmp_path / "index.html").read_bytes()
