"""`--store-compressed`: what is stored, what is recorded, and what runs and commands make of it."""

import gzip
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

import scraper
from scraper.model.options import EngineName
from tests.e2e.command import Command, parsed
from tests.e2e.places import Place
from tests.proof.places import Archive
from tests.s3servers import S3Server
from tests.servers import Reply, Request, Serve

PAGE = b"<p>a page that becomes smaller</p>\n" * 400
ALREADY = gzip.compress(b"already so", mtime=0)


def unzstd(data: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return bytes(zstd.decompress(data))


FORMS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": (".gz", gzip.decompress),
    "zstd": (".zst", unzstd),
}


def pages(request: Request) -> Reply:
    if request.headers.get("if-none-match"):
        return Reply(304)
    body = {"/data": ALREADY, "/photo.jpg": b"\xff\xd8 jpeg", "/empty.txt": b""}
    types = {"/photo.jpg": "image/jpeg", "/data": "application/gzip"}
    headers = {"Content-Type": types.get(request.path, "text/html"), "ETag": '"1"'}
    return Reply(body=body.get(request.path, PAGE), headers=headers)


def test_a_list_of_another_form_has_nothing_to_retry_and_says_so(
    cli: Command, serve: Serve
) -> None:
    server = serve(lambda _: Reply(500))
    cli.write("urls", f"{server.url}/a", f"{server.url}/b")
    first = cli("urls", "--store-compressed", "gzip", "--retries", 0, "-q")
    assert first.status == 1
    ran = cli("urls", "--retry-failed", "-q")
    assert (ran.status, len(ran.complaints)) == (0, 1), ran.err
    assert "none of the 2 targets is in the manifest" in ran.err
    assert "--store-compressed" in ran.err
    again = cli("urls", "--retry-failed", "--store-compressed", "gzip", "--retries", 0, "-q")
    assert (again.status, again.complaints[:2]) == (1, first.complaints[:2])


@pytest.mark.parametrize("form", FORMS)
def test_bodies_are_stored_compressed_and_both_sizes_are_recorded(
    form: str, cli: Command, place: Place, serve: Serve, engine: EngineName
) -> None:
    ending, unpacked = FORMS[form]
    server = serve(pages)
    names = ("page.html", "photo.jpg", "empty.txt")
    cli.write("urls", *(f"{server.url}/{name}\tk/{name}" for name in names))
    words = [*place.words, "--store-compressed", form, "--engine", engine]
    ran = cli("urls", *words, env=place.environment)
    assert ran.status == 0, ran.err
    files = place.files()
    assert set(files) == {f"k/page.html{ending}", "k/photo.jpg", f"k/empty.txt{ending}"}
    page = files[f"k/page.html{ending}"]
    assert unpacked(page) == PAGE
    assert len(page) < len(PAGE) / 10
    assert unpacked(files[f"k/empty.txt{ending}"]) == b""
    records = {record["key"]: record for record in place.records()}
    record = records[f"k/page.html{ending}"]
    assert record["compressed"] == form
    assert (record["size"], record["sha256"]) == (len(page), hashlib.sha256(page).hexdigest())
    assert record["body_size"] == len(PAGE)
    assert record["body_sha256"] == hashlib.sha256(PAGE).hexdigest()
    assert record["content_type"] == "text/html"
    assert "compressed" not in records["k/photo.jpg"]
    # what follows has the same meaning as always
    verified = cli("verify", *place.words[1:], env=place.environment)
    assert (verified.status, verified.err[:18]) == (0, "3 objects: 3 whole")
    resumed = cli("urls", *words, "--resume", env=place.environment)
    assert "3 skipped" in resumed.err
    refreshed = cli("urls", *words, env=place.environment)
    assert "3 not modified" in refreshed.err
    # without the option these are other keys
    plain = cli("urls", *place.words, "--resume", env=place.environment)
    assert "2 stored, 1 skipped" in plain.err
    assert place.files()["k/page.html"] == PAGE


def test_a_body_that_is_in_the_form_is_not_packed_twice(cli: Command, serve: Serve) -> None:
    server = serve(pages)
    ran = cli(f"{server.url}/data\td", "--to", "out", "--store-compressed", "gzip")
    ran = cli("-", "--to", "out", "--store-compressed", "gzip", stdin=f"{server.url}/data\td\n")
    assert ran.status == 0
    assert cli.files()["d.gz"] == ALREADY
    (record,) = [one for one in cli.records() if one["key"] == "d.gz"][-1:]
    assert record["compressed"] == "gzip"
    assert "body_size" not in record


def test_a_store_undoes_no_coding_of_what_is_in_the_form_already(
    cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    coded = {"Content-Type": "text/html", "Content-Encoding": "gzip"}
    server, bucket = serve(lambda _: Reply(body=ALREADY, headers=coded)), moto_server.make_bucket()
    cli.write("urls", f"{server.url}/page\tpage.html")
    words = ["--to", f"s3://{bucket}", *moto_server.words(), "--store-compressed", "gzip", "--raw"]
    assert cli("urls", *words, "--results", "m", env=moto_server.environment()).status == 0
    assert moto_server.read(bucket, "page.html.gz") == ALREADY
    told = moto_server.client.head_object(Bucket=bucket, Key="page.html.gz")
    assert told["ContentType"] == "application/gzip"
    assert "ContentEncoding" not in told
    (record,) = parsed((cli.directory / "m").read_bytes())
    assert (record["content_type"], record["content_encoding"]) == ("text/html", "gzip")


def test_what_a_list_expects_is_expected_of_the_body(cli: Command, serve: Serve) -> None:
    server = serve(pages)
    right, wrong = hashlib.sha256(PAGE).hexdigest(), "0" * 64
    cli.write(
        "urls",
        "url,key,sha256",
        f"{server.url}/a,a,{right}",
        f"{server.url}/b,b,{wrong}",
    )
    words = ["--list-format", "csv", "urls", "--to", "out", "--store-compressed", "gzip"]
    ran = cli(*words)
    assert ran.status == 1
    by_key = {record["key"]: record for record in cli.records()}
    assert by_key["a.gz"]["status"] == "stored"
    assert by_key["b.gz"]["error"]["kind"] == "mismatch"
    assert cli("verify", "out").status == 0
    assert "1 skipped" in cli(*words, "--resume").err
    sums = cli("export", "out", "--format", "sha256sum")
    (cli.directory / "sums").write_text(sums.out)
    checked = subprocess.run(
        ["sha256sum", "-c", "../sums"], check=False, cwd=cli.directory / "out", capture_output=True
    )
    assert checked.returncode == 0, checked.stdout


def test_lists_of_keys_know_the_endings(cli: Command, serve: Serve) -> None:
    server = serve(pages)
    cli.write("urls", f"{server.url}/page.html", f"{server.url}/photo.jpg")
    words = ["--store-compressed", "zstd"]
    dry = cli("urls", "--dry-run", *words)
    assert [line.split("\t")[1].rpartition("/")[2] for line in dry.lines] == [
        "page.html.zst", "photo.jpg"
    ]  # fmt: skip
    assert cli("urls", "--to", "out", *words).status == 0
    assert cli("list", "out", "--unlisted", "urls", *words, "--format", "keys").out == ""
    assert "page.html.zst" in cli("list", "out", "--unlisted", "urls", "--format", "keys").out


def test_what_failed_is_tried_again_in_the_same_form(cli: Command, serve: Serve) -> None:
    fails = [True]
    server = serve(lambda request: Reply(503) if fails else pages(request))
    words = ["--to", "out", "--store-compressed", "gzip", "--retries", 0]
    assert cli("-", *words, stdin=f"{server.url}/page.html\n").status == 1
    fails.clear()
    assert cli("--retry-failed", *words).status == 0
    ((key, data),) = cli.files().items()
    assert key.endswith("/page.html.gz")
    assert gzip.decompress(data) == PAGE


def test_what_failed_is_not_tried_again_in_another_form(cli: Command, serve: Serve) -> None:
    fails = [True]
    server = serve(lambda request: Reply(503) if fails else pages(request))
    cli.write("urls", f"{server.url}/page.html", f"{server.url}/other\tx/other.txt")
    words = ["--to", "out", "--retries", 0]
    assert cli("urls", *words, "--store-compressed", "gzip").status == 1
    fails.clear()
    for other in ([], ["--store-compressed", "zstd"]):
        ran = cli("--retry-failed", *words, *other)
        assert (ran.status, cli.files()) == (1, {})
        assert "2 left out, since their run had --store-compressed gzip: give it again" in ran.err
    listed = cli("failed", "out")
    assert listed.lines == [f"{server.url}/page.html", f"{server.url}/other\tx/other.txt"]
    assert listed.err == "scraper: for these give --store-compressed gzip again\n"
    again = cli("-", *words, "--store-compressed", "gzip", "--resume", stdin=listed.out)
    assert again.status == 0
    assert {gzip.decompress(data) for data in cli.files().values()} == {PAGE}
    assert cli("failed", "out").lines == []
    (cli.directory / "out" / "x/other.txt.gz").unlink()
    assert cli("verify", "out", "--repair").status == 1
    assert cli("failed", "out").lines == [f"{server.url}/other\tx/other.txt"]


def test_what_failed_for_good_in_another_form_is_told_if_all_is_asked_for(
    cli: Command, serve: Serve
) -> None:
    server = serve(lambda _: Reply(404))
    words = ["--to", "out", "--retries", 0]
    gzipped = ["--store-compressed", "gzip"]
    assert cli("-", *words, *gzipped, stdin=f"{server.url}/page.html\n").status == 1
    assert cli("--retry-failed", *words, stdin="").status == 0
    ran = cli("--retry-failed", "--all", *words, stdin="")
    assert (ran.status, server.total) == (1, 1)
    assert "1 left out, since their run had --store-compressed gzip: give it again" in ran.err
    assert cli("--retry-failed", "--all", *words, *gzipped, stdin="").status == 1
    assert server.total == 2


def test_a_key_that_has_the_ending_does_not_hide_the_form(cli: Command, serve: Serve) -> None:
    server = serve(pages)
    cli.write("urls", f"{server.url}/page\tpage.gz")
    form = ["--store-compressed", "gzip"]
    for words in ([], form, []):
        assert cli("urls", "--to", "out", "--resume", *words).status == 0
        found = cli.files()["page.gz"]
        assert (gzip.decompress(found) if words else found) == PAGE
        assert "1 skipped" in cli("urls", "--to", "out", "--resume", *words).err
        assert "1 not modified" in cli("urls", "--to", "out", *words).err


@pytest.mark.parametrize("name", ["out.tar", "out.zip"])
def test_archives_and_several_processes_store_them_too(
    name: str, cli: Command, serve: Serve
) -> None:
    server = serve(pages)
    cli.write("urls", f"{server.url}/page.html\tpage.html")
    archive = Archive(cli, name)
    assert cli("urls", *archive.words, "--store-compressed", "gzip").status == 0
    assert gzip.decompress(archive.files()["page.html.gz"]) == PAGE
    words = ["urls", "--to", "out", "--store-compressed", "gzip", "--processes", 2]
    assert cli(*words).status == 0
    assert gzip.decompress(cli.files()["page.html.gz"]) == PAGE
    assert cli.records()[-1]["body_size"] == len(PAGE)


def test_the_same_body_makes_the_same_bytes_and_the_commands_read_them(
    cli: Command, serve: Serve
) -> None:
    server = serve(pages)
    for form, (ending, _) in FORMS.items():
        for to in ("one", "two"):
            assert cli(f"{server.url}/x", "--to", to, "--store-compressed", form).status == 0
        one, two = cli.files("one"), cli.files("two")
        assert one == two
        program = {"gzip": "gzip", "zstd": "zstd"}[form]
        if shutil.which(program):
            path = next(cli.directory.glob(f"one/*/*{ending}"))
            done = subprocess.run([program, "-dc", path], check=True, capture_output=True)
            assert done.stdout == PAGE


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--split", "2"], "--split"),
        (["--store-compressed", "brotli"], "gzip"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], why: str, cli: Command) -> None:
    ran = cli("http://127.0.0.1:9/", "--to", "out", "--store-compressed", "gzip", *words)
    assert (ran.status, len(ran.complaints)) == (2, 1)
    assert why in ran.err


def test_python_programs_may_ask_for_it(
    tmp_path: object, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    server = serve(pages)
    (result,) = scraper.run([f"{server.url}/x"], to="out", store_compressed="gzip")
    assert result.path is not None
    assert gzip.decompress(result.path.read_bytes()) == PAGE
    assert result.size == result.path.stat().st_size
