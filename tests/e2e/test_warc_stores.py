"""Archives in a store: finished files are objects, what grows is here, and others can read it."""

import json
import zipfile
import zlib
from pathlib import Path

from tests.e2e.command import Command
from tests.gcs import gcs
from tests.s3servers import S3Server
from tests.servers import Reply, Request, Serve
from tests.warcs import Record, members


def records_in(server: S3Server, bucket: str) -> list[Record]:
    """Of all archive files of the bucket."""
    found = []
    for key in server.keys(bucket):
        if key.endswith(".warc.gz"):
            data = server.read(bucket, key)
            assert data is not None
            found += [Record(key.rpartition("/")[2], at, one) for at, one in members(data)]
    return found


def test_an_archive_in_a_bucket_is_whole_and_read_from_anywhere(
    moto_server: S3Server, serve: Serve, cli: Command, tmp_path: Path
) -> None:
    bodies = {f"/{n}": bytes([65 + n]) * (40_000 + n) for n in range(8)}
    site = serve(
        lambda request: (
            Reply(body=bodies[request.path], headers={"ETag": '"1"'})
            if request.headers.get("if-none-match") != '"1"'
            else Reply(304, {"ETag": '"1"'})
        )
    )
    bucket = moto_server.make_bucket()
    cli.write("urls", *(f"{site.url}{path}" for path in bodies))
    env = {**moto_server.credentials, "XDG_STATE_HOME": str(tmp_path / "here")}
    to = ["--s3-endpoint", moto_server.url]
    words = ["urls", "--to", f"warc+s3://{bucket}/web", *to]
    ran = cli(*words, "--warc-size", 500, env=env)
    assert ran.status == 0, ran.err
    keys = moto_server.keys(bucket)
    archives = sorted(key for key in keys if key.endswith(".warc.gz"))
    assert len(archives) >= 3
    assert (
        sorted(key.replace(".cdxj", ".warc.gz") for key in keys if key.endswith(".cdxj"))
        == archives
    )
    stored = {
        one.url.rpartition("/")[2]: one.body
        for one in records_in(moto_server, bucket)
        if one.kind == "response"
    }
    assert stored == {path[1:]: body for path, body in bodies.items()}
    assert not [path for path in (tmp_path / "here").rglob("*") if ".warc.gz" in path.name]

    for home in ("here", "elsewhere"):  # the second one has no index
        there = {**env, "XDG_STATE_HOME": str(tmp_path / home)}
        ran = cli("verify", f"warc+s3://{bucket}/web", *to, env=there)
        assert (ran.status, ran.out) == (0, ""), ran.err
    asked = site.total
    assert cli(*words, "--resume", env=env).status == 0
    assert site.total == asked
    elsewhere = {**env, "XDG_STATE_HOME": str(tmp_path / "third")}
    assert cli(*words, env=elsewhere).status == 0
    every = records_in(moto_server, bucket)
    assert sum(one.kind == "revisit" for one in every) == len(bodies)  # 304s


def test_what_a_killed_run_had_open_is_put_by_the_next(
    moto_server: S3Server, serve: Serve, cli: Command, tmp_path: Path
) -> None:
    site = serve(lambda request: Reply(body=request.path.encode() * 1_000))
    bucket = moto_server.make_bucket()
    cli.write("urls", *(f"{site.url}/{number}" for number in range(300)))
    env = {**moto_server.credentials, "XDG_STATE_HOME": str(tmp_path / "here")}
    to = [f"warc+s3://{bucket}/web", "--s3-endpoint", moto_server.url]
    with cli.start("urls", "--to", *to, "-c", 2, env=env) as process:
        site.wait_until(lambda: site.total >= 40)
        process.kill()
    (left,) = (tmp_path / "here").rglob("*.warc.gz.open")
    assert zlib.decompressobj(31).decompress(left.read_bytes())
    ran = cli("urls", "--to", *to, "--resume", "--lock", "wait", env=env)
    assert ran.status == 0, ran.err
    every = records_in(moto_server, bucket)
    urls = [one.url for one in every if one.kind in {"response", "revisit"}]
    assert set(urls) == {f"{site.url}/{number}" for number in range(300)}
    assert left.name.removesuffix(".open") in {one.file for one in every}
    named = set()
    for key in moto_server.keys(bucket):
        if "/.scraper/manifest-" in key and not key.endswith(".key"):
            data = moto_server.read(bucket, key) or b""
            lines = (zlib.decompress(data, 31) if key.endswith(".gz") else data).splitlines()
            named |= {
                (one["warc"]["file"], one["warc"]["offset"]) for one in map(json.loads, lines)
            }
    assert named == {(one.file, one.offset) for one in every if one.kind in {"response", "revisit"}}


def test_what_a_killed_run_had_open_is_not_put_into_another_store_of_that_name(
    serve: Serve, cli: Command, tmp_path: Path
) -> None:
    site = serve(lambda request: Reply(body=request.path.encode() * 1_000))
    cli.write("urls", *(f"{site.url}/{number}" for number in range(300)))
    with gcs() as one, gcs() as other:
        for store in (one, other):
            store.make_bucket("same")
        first, second = (
            {**store.environment(), "XDG_STATE_HOME": str(tmp_path)} for store in (one, other)
        )
        with cli.start("urls", "--to", "warc+gs://same/web", "-c", 2, env=first) as process:
            site.wait_until(lambda: site.total >= 40)
            process.kill()
        assert cli(f"{site.url}/another", "--to", "warc+gs://same/web", env=second).status == 0
        listed = cli("list", "warc+gs://same/web", "--format", "json", env=second)
        assert [one["url"] for one in listed.records] == [f"{site.url}/another"]
        ran = cli("urls", "--to", "warc+gs://same//web/", "--resume", "--lock", "wait", env=first)
        assert ran.status == 0, ran.err
        for env in (first, second):
            verified = cli("verify", "warc+gs://same/web", env=env)
            assert (verified.status, verified.out) == (0, ""), verified.err
    assert not [path for path in tmp_path.rglob("*") if ".warc.gz" in path.name]


def test_an_export_has_all_files_of_a_store_however_many(
    serve: Serve, cli: Command, tmp_path: Path
) -> None:
    """Few copies are kept here while objects are read."""
    site = serve(lambda request: Reply(body=request.path.encode() * 1_000))
    cli.write("urls", *(f"{site.url}/{number}" for number in range(8)))
    with gcs() as store:
        bucket = store.make_bucket()
        env = {**store.environment(), "XDG_STATE_HOME": str(tmp_path / "here")}
        to = f"warc+gs://{bucket}/web"
        ran = cli("urls", "--to", to, "-c", 1, "--warc-size", 500, env=env)
        assert ran.status == 0, ran.err
        ran = cli("export", to, "--format", "wacz", "-o", "out.wacz", env=env)
        assert ran.status == 0, ran.err
    with zipfile.ZipFile(cli.directory / "out.wacz") as made:
        files = [name for name in made.namelist() if name.startswith("archive/")]
        lines = made.read("indexes/index.cdx").splitlines()
    assert len(files) == len(lines) == 8
    assert lines == sorted(lines)


def test_what_reads_the_manifest_alone_needs_no_directory_here(
    serve: Serve, cli: Command, tmp_path: Path
) -> None:
    """Where nothing can be written, only reading an archive file fails, and says where."""
    site = serve(lambda request: Reply(404) if request.path == "/gone" else Reply(body=b"page"))
    cli.write("urls", f"{site.url}/page", f"{site.url}/gone")
    with gcs() as store:
        bucket = store.make_bucket()
        env = {**store.environment(), "XDG_STATE_HOME": str(tmp_path / "here")}
        to = f"warc+gs://{bucket}/web"
        assert cli("urls", "--to", to, "--max-failures", 1, env=env).status == 0
        (tmp_path / "file").touch()
        nowhere = {**env, "XDG_STATE_HOME": str(tmp_path / "file")}
        told = cli("status", to, "--json", env=nowhere)
        assert (told.status, json.loads(told.out)["objects"]) == (1, 1), told.err
        failed = cli("failed", to, env=nowhere)
        assert (failed.status, failed.lines) == (0, [f"{site.url}/gone"]), failed.err
        exported = cli("export", to, "--format", "jsonl", env=nowhere)
        assert (exported.status, len(exported.lines)) == (0, 2), exported.err
        verified = cli("verify", to, env=nowhere)
        assert (verified.status, len(verified.complaints)) == (3, 1)
        assert str(tmp_path / "file/scraper/warc/") in verified.err

        fresh = {**env, "XDG_STATE_HOME": str(tmp_path / "fresh")}
        for command in ("status", "failed", "list"):
            assert cli(command, to, env=fresh).status in {0, 1}
        assert not (tmp_path / "fresh").exists()
        assert cli("verify", to, env=fresh).status == 0


def test_an_archive_that_another_machine_has_written_into_since_is_known_whole(
    moto_server: S3Server, serve: Serve, cli: Command, tmp_path: Path
) -> None:
    """What the manifest says wins over the index of this machine, which is behind."""
    version = {"1": "one"}

    def answer(request: Request) -> Reply:
        tag = f'"{version.get(request.path[1:], "")}"'
        if request.headers.get("if-none-match") == tag:
            return Reply(304, {"ETag": tag})
        return Reply(body=f"{request.path} {tag}".encode() * 300, headers={"ETag": tag})

    site, bucket = serve(answer), moto_server.make_bucket()
    to = [f"warc+s3://{bucket}/web", "--s3-endpoint", moto_server.url]
    first, second, third = (
        {**moto_server.credentials, "XDG_STATE_HOME": str(tmp_path / name)} for name in "ABC"
    )
    for name, pages in (("some", range(5)), ("others", range(1, 9)), ("all", range(9))):
        cli.write(name, *(f"{site.url}/{page}" for page in pages))
    for env, name in ((first, "some"), (second, "others")):
        version["1"] = name  # one page has changed
        assert cli(name, "--to", *to, env=env).status == 0
    for env in (first, second, third):
        verified = cli("verify", *to, env=env)
        assert (verified.status, verified.out) == (0, ""), verified.err
        assert "9 objects: 9 whole" in verified.err
    ran = cli("all", "--to", *to, "--results", "-", env=first)
    assert {one["status"] for one in ran.records} == {"not_modified"}
    repaired = cli("verify", "--repair", *to, env=first)
    assert (repaired.status, repaired.out) == (0, ""), repaired.err
