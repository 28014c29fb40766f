"""Whole runs into archives: gone on with, looked at, refreshed, locked, pruned."""

import itertools
import os
import shutil
from pathlib import Path
from random import Random
from signal import SIGKILL
from threading import Event

import pytest

import scraper
from scraper.model.options import EngineName
from tests.e2e.command import Command
from tests.e2e.watch import end
from tests.proof.disk import disks_can_be_had, small_disk
from tests.proof.places import Archive
from tests.proof.site import Site
from tests.proof.story import Story
from tests.servers import Reply, Request, Serve

KILLS = Path(__file__).parent / "kill_before_record"
FORMS = ["out.tar", "out.tar.gz", "out.zip"]
needs_a_disk = pytest.mark.skipif(
    not disks_can_be_had(), reason="no mount namespace of one's own can be had here"
)


@pytest.fixture(params=FORMS)
def archive(request: pytest.FixtureRequest, cli: Command) -> Archive:
    return Archive(cli, request.param)


def dated(request: Request) -> Reply:
    """A page that says when it was changed, and answers a question about that."""
    if request.headers.get("if-modified-since"):
        return Reply(304)
    changed = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    return Reply(body=request.path.encode(), headers=changed)


def a_list(cli: Command, serve: Serve, *names: str) -> str:
    server = serve(dated)
    cli.write("urls", *(f"{server.url}/{name}\t{name}" for name in names))
    return server.url


def test_a_run_is_looked_at_gone_on_with_and_refreshed_as_in_a_directory(
    archive: Archive, cli: Command, serve: Serve, engine: EngineName
) -> None:
    a_list(cli, serve, "a", "b/c", "d")
    words = [*archive.words, "--engine", engine]
    first = cli("urls", *words)
    assert (first.status, first.out) == (0, "")
    assert archive.files() == {"a": b"/a", "b/c": b"/b/c", "d": b"/d"}
    before = archive.path.read_bytes()
    resumed = cli("urls", *words, "--resume")
    assert "3 targets: 3 skipped" in resumed.err
    refreshed = cli("urls", *words)
    assert "3 targets: 3 not modified" in refreshed.err
    assert archive.path.read_bytes() == before, "nothing was appended"
    to = archive.words[1]
    verified = cli("verify", to)
    assert (verified.status, verified.err) == (
        0,
        "3 objects: 3 whole, 0 missing, 0 changed, 0 unreadable, 0 unknown\n",
    )
    assert cli("status", to).status == 0
    assert len(cli("list", to).lines) == 4
    sums = cli("export", to, "--format", "sha256sum")
    assert sorted(line.split()[-1].lstrip("*") for line in sums.lines) == ["a", "b/c", "d"]


def test_a_body_that_changed_is_appended_and_the_last_one_counts(
    archive: Archive, cli: Command, serve: Serve
) -> None:
    versions = itertools.count()
    server = serve(lambda _: Reply(body=b"version %d" % next(versions)))
    for _ in range(2):
        assert cli(f"{server.url}/page", *archive.words).status == 0
    names = [name for name, _ in archive.members()]
    assert len(names) == (1 if archive.name.endswith(".zip") else 2)
    assert len(set(names)) == 1
    assert list(archive.files().values()) == [b"version 1"]
    assert cli("verify", archive.words[1]).status == 0


def test_killed_runs_leave_no_member_that_no_record_tells_of(
    archive: Archive, cli: Command
) -> None:
    with Site(30) as site:
        story = Story(site, archive, cli, "-c", 1)  # with more, an older one may stay: see the docs
        for number in (5, 12, 20):
            with story.running() as seen:
                site.wait_until(lambda: len(seen.results) >= number or seen.ended, 60)  # noqa: B023
        story.kills += 3
        story.ends()
    names = [name for name, _ in archive.members()]
    assert sorted(names) == sorted(story.keys), "each page is there once"


def test_a_changed_body_that_a_killed_run_did_not_record_is_not_taken_for_the_recorded_one(
    archive: Archive, cli: Command, serve: Serve, engine: EngineName
) -> None:
    """Both are as long, and the server gives them one time."""
    changed = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    bodies = iter([b"body A", b"body B"])
    server = serve(lambda _: Reply(body=next(bodies), headers=changed))
    words = ["urls", *archive.words, "--engine", engine]
    cli.write("urls", f"{server.url}/page\tpage")
    assert cli(*words).status == 0
    before = archive.manifest()
    kill = {"PYTHONPATH": str(KILLS), "KILL_BEFORE_RECORD": '"stored"'}
    assert cli(*words, env=kill).status == -SIGKILL
    assert (archive.files(), archive.manifest()) == ({"page": b"body B"}, before)
    assert cli(*words, "--resume").status == 0
    assert archive.files() == {"page": b"body A"}
    assert cli("verify", archive.words[1]).status == 0


@pytest.mark.parametrize("command", ["prune", "repair"])
def test_a_command_that_follows_a_killed_run_takes_its_body_for_no_recorded_one_either(
    command: str, archive: Archive, cli: Command, serve: Serve
) -> None:
    """Pruning would drop the recorded one, as it was replaced."""
    changed = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    bodies = iter([b"other", b"body A", b"body B"])
    server = serve(lambda _: Reply(body=next(bodies), headers=changed))
    to = archive.words[1]
    cli.write("urls", f"{server.url}/other\tother", f"{server.url}/page\tpage")
    cli.write("keep", f"{server.url}/page\tpage")
    assert cli("urls", *archive.words, "-c", 1).status == 0
    kill = {"PYTHONPATH": str(KILLS), "KILL_BEFORE_RECORD": '"stored"'}
    assert cli("keep", *archive.words, env=kill).status == -SIGKILL
    assert archive.files()["page"] == b"body B"
    if command == "prune":
        ran = cli("list", to, "--unlisted", "keep", "--prune", "--yes")
        assert (ran.status, ran.err) == (0, "scraper: 1 object deleted, 5 B\n")
    else:
        assert cli("verify", to, "--repair").status == 0
    assert archive.files()["page"] == b"body A"
    assert len(archive.files()) == (1 if command == "prune" else 2)
    assert cli("verify", to).status == 0
    assert cli("keep", *archive.words, "--resume").status == 0
    assert archive.leftovers() == []


def test_another_run_is_kept_out_and_a_directory_beside_it_is_not_asked(
    archive: Archive, cli: Command, serve: Serve
) -> None:
    url = a_list(cli, serve, "a")
    from scraper.sinks.file_lock import FileHold

    assert cli("urls", *archive.words).status == 0
    held = FileHold(cli.directory / f"{archive.name}.scraper")
    try:
        ran = cli("urls", *archive.words)
        assert (ran.status, len(ran.complaints)) == (75, 1)
        assert "another run holds" in ran.err
    finally:
        held.release()
    assert cli(f"{url}/x", "--to", "beside").status == 0


@pytest.mark.parametrize("how", ["beside", "elsewhere", "not there yet", "a directory on the way"])
def test_a_link_is_another_name_of_the_archive(
    how: str, archive: Archive, cli: Command, serve: Serve
) -> None:
    """One lock and one manifest: the second run is kept out, and each command reads the same."""
    gate = Event()
    server = serve(lambda request: Reply(body=request.path.encode(), delay=gate))
    cli.write("urls", *(f"{server.url}/{name}\t{name}" for name in ("a", "b")))
    scheme = archive.words[1].partition(":")[0]
    linked = linked_name(how, archive)
    if how != "not there yet":
        gate.set()
        assert cli("urls", *archive.words).status == 0
        gate.clear()
    with cli.start("urls", "--to", f"{scheme}:{linked}", "--refresh") as process:
        server.wait_until(lambda: len(server.requests) >= (2 if how == "not there yet" else 4))
        for name in (archive.name, linked):
            ran = cli("urls", "--to", f"{scheme}:{name}")
            assert (ran.status, len(ran.complaints)) == (75, 1), ran.err
        gate.set()
        assert end(process).status == 0
    assert archive.files() == {"a": b"/a", "b": b"/b"}
    assert not Path(f"{cli.directory / linked}.scraper").is_symlink()
    for command in (["status"], ["verify"], ["list"], ["failed"], ["export", "--format", "jsonl"]):
        told = []
        for name in (archive.name, linked):
            ran = cli(*command, to := f"{scheme}:{name}")
            assert ran.status == 0, ran.err
            told.append(ran.out.replace(to, "").replace(f"{name}.scraper", "home"))
        assert told[0] == told[1], command
    if how != "a directory on the way":
        assert not (cli.directory / f"{linked}.scraper").exists()


def linked_name(how: str, archive: Archive) -> str:
    """Another name of the archive, which may not be there yet."""
    root = archive.path.parent
    if how == "a directory on the way":
        (root / "way").symlink_to(".")
        return f"way/{archive.name}"
    name = f"{'deep/' if how == 'elsewhere' else ''}latest{archive.name.removeprefix('out')}"
    (root / "deep").mkdir()
    (root / name).symlink_to(f"../{archive.name}" if how == "elsewhere" else archive.name)
    return name


def test_a_hard_link_to_an_archive_that_is_written_keeps_the_second_run_out(
    archive: Archive, cli: Command, serve: Serve
) -> None:
    gate = Event()
    server = serve(lambda request: Reply(body=request.path.encode(), delay=gate))
    cli.write("urls", f"{server.url}/a\ta")
    scheme, other = archive.words[1].partition(":")[0], f"x{archive.name}"
    archive.path.touch()
    (cli.directory / other).hardlink_to(archive.path)
    with cli.start("urls", *archive.words) as process:
        server.wait_until(lambda: bool(server.requests))
        ran = cli("urls", "--to", f"{scheme}:{other}")
        assert (ran.status, len(ran.complaints)) == (75, 1), ran.err
        assert "by another name" in ran.err
        gate.set()
        assert end(process).status == 0
    assert archive.files() == {"a": b"/a"}


def test_verify_names_the_damaged_member_of_a_zip_and_a_run_offers_to_cut_nothing_off(
    cli: Command, serve: Serve
) -> None:
    archive = Archive(cli, "out.zip")
    a_list(cli, serve, *"abcde")
    assert cli("urls", *archive.words, "-c", 1).status == 0
    data = bytearray(archive.path.read_bytes())
    data[data.index(b"PK\3\4", 1)] ^= 1
    archive.path.write_bytes(data)
    verified = cli("verify", archive.words[1])
    assert verified.status == 1
    (line,) = verified.lines
    assert line.startswith("unreadable\tb\t")
    assert "damaged" in line
    assert "4 whole, 0 missing" in verified.err
    ran = cli("urls", *archive.words)
    assert (ran.status, len(ran.complaints)) == (3, 1)
    assert "truncate" not in ran.err
    assert archive.path.read_bytes() == data


def test_a_dry_run_makes_nothing_and_knows_what_is_done(
    archive: Archive, cli: Command, serve: Serve
) -> None:
    a_list(cli, serve, "a", "b")
    for option in ("--skip-existing", "--resume"):
        ran = cli("urls", *archive.words, "--dry-run", option)
        assert (ran.status, len(ran.lines)) == (0, 2), ran.err
        assert cli.wrote == ["urls"]
    assert cli("urls", *archive.words).status == 0
    ran = cli("urls", *archive.words, "--dry-run", "--resume")
    assert (ran.status, ran.lines) == (0, []), ran.err


def test_with_a_manifest_elsewhere_nothing_lies_beside_it(
    archive: Archive, cli: Command, serve: Serve
) -> None:
    a_list(cli, serve, "a", "b")
    words = ["urls", *archive.words, "--manifest", "m.jsonl", "--resume"]
    assert cli(*words).status == 0
    ran = cli(*words)
    assert ran.status == 0
    assert "2 skipped" in ran.err
    expected = ["urls", "m.jsonl", "m.jsonl.index", "m.jsonl.summary.json", archive.name]
    assert cli.wrote == sorted(expected)
    ran = cli("verify", archive.words[1], "--manifest", "m.jsonl")
    assert ran.status == 0


def test_what_no_list_names_is_pruned(archive: Archive, cli: Command, serve: Serve) -> None:
    url = a_list(cli, serve, "a", "b", "c")
    assert cli("urls", *archive.words).status == 0
    keep = cli.write("keep", f"{url}/a\ta", f"{url}/c\tc")
    ran = cli("list", archive.words[1], "--unlisted", keep, "--prune", "--yes", "--yes")
    assert ran.status == 0, ran.err
    assert archive.files() == {"a": b"/a", "c": b"/c"}
    assert cli("verify", archive.words[1]).status == 0


@needs_a_disk
@pytest.mark.parametrize("name", FORMS)
def test_a_disk_without_room_for_both_archives_lets_nothing_be_pruned(
    name: str, cli: Command, serve: Serve
) -> None:
    server = serve(lambda request: Reply(body=Random(request.path).randbytes(40_000)))
    urls = [f"{server.url}/{number}\t{number}" for number in range(6)]
    cli.write("urls", *urls)
    cli.write("keep", *urls[:5])
    with small_disk(cli.directory, "disk", "400k") as disk:
        cli.prefix = disk.prefix
        archive = Archive(disk.view, f"disk/{name}")
        assert cli("urls", *archive.words).status == 0
        before = archive.path.read_bytes(), archive.manifest()
        to = archive.words[1]
        prune = ["list", to, "--unlisted", "keep", "--prune", "--yes", "--format", "keys"]
        ran = cli(*prune)
        assert (ran.status, ran.out, len(ran.errors)) == (3, "", 1), ran.err
        assert "anew: No space left on device" in ran.err
        assert (archive.path.read_bytes(), archive.manifest()) == before
        assert cli("verify", to).status == 0
        disk.resize("4M")
        ran = cli(*prune)
        assert (ran.status, ran.lines) == (0, ["5"]), ran.err
        assert ran.err == "scraper: 1 object deleted, 40.0 kB\n"
        assert sorted(archive.files()) == ["0", "1", "2", "3", "4"]
        assert cli("verify", to).status == 0


@pytest.mark.parametrize("moment", ["write", "written"])
def test_a_pruning_that_is_killed_at_its_records_is_finished_by_the_next_one(
    moment: str, archive: Archive, cli: Command, serve: Serve
) -> None:
    url = a_list(cli, serve, "a", "b", "c")
    assert cli("urls", *archive.words).status == 0
    cli.write("keep", f"{url}/a\ta")
    prune = ["list", to := archive.words[1], "--unlisted", "keep", "--prune", "--yes"]
    kill = {"PYTHONPATH": str(KILLS.with_name("kill_in_prune")), "KILL_IN_PRUNE": moment}
    assert cli(*prune, env=kill).status == -SIGKILL
    assert archive.files() == {"a": b"/a", "b": b"/b", "c": b"/c"}
    ran = cli(*prune)
    assert (ran.status, ran.err) == (0, "scraper: 2 objects deleted, 4 B\n")
    assert archive.files() == {"a": b"/a"}
    assert cli("verify", to).status == 0
    assert archive.leftovers() == []


def test_members_without_a_record_are_taken_over(
    archive: Archive, cli: Command, serve: Serve
) -> None:
    a_list(cli, serve, "a", "b")
    assert cli("urls", *archive.words).status == 0
    shutil.rmtree(cli.directory / f"{archive.name}.scraper")
    ran = cli("urls", *archive.words, "--skip-existing")
    assert "2 targets: 2 skipped" in ran.err


@needs_a_disk
def test_a_full_disk_ends_the_run_and_one_with_room_goes_on(cli: Command) -> None:
    with Site(40, range(1, 70_000)) as site:
        site.fails = False
        with small_disk(cli.directory, "disk", "300k") as disk:
            cli.prefix = disk.prefix
            place = Archive(disk.view, "disk/out.tar")
            story = Story(site, place, cli, "-c", 4)
            ran = story.ran(status=3)
            (said,) = [line for line in ran.errors if line.startswith("scraper: ")]
            assert "No space left on device" in said
            assert 0 < len(story.done) < len(site.paths)
            assert len(place.files()) >= len(story.done)
            disk.resize("20M")
            story.ends()
            assert len(place.members()) == len(site.paths), "each is there once"


def test_python_programs_have_archives_too(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = serve(dated)
    results = list(scraper.run([(f"{server.url}/a", "a")], to="tar:some/out.tar"))
    assert [(one.status, one.path) for one in results] == [("stored", None)]
    assert (tmp_path / "some/out.tar").is_file()


@pytest.mark.parametrize("what", ["directory", "read only"])
def test_what_can_t_be_written_is_said_in_one_line(
    what: str, archive: Archive, cli: Command, serve: Serve
) -> None:
    if what == "directory":
        archive.path.mkdir()
    elif os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    else:
        archive.path.touch(0o400)
    a_list(cli, serve, "a")
    ran = cli("urls", *archive.words)
    assert (ran.status, len(ran.complaints)) == (3, 1)
    assert "can't write the archive" in ran.err
