"""A file gets its name in one step, or the destination is refused; what a dead run left goes."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.process_identity import own_process
from scraper.sinks.remote_files.address import parse
from scraper.testing import store
from tests.file_servers import Missing, ftpd, sshd
from tests.sinks.remote_files.conftest import Open, There

each = pytest.mark.parametrize(
    "there", ["sshd", "ftpd", "plain-ftpd", "wsgidav", "smbd"], indirect=True
)
RUN = "0123456789abcdef"  # of another run


@pytest.mark.parametrize("kind", ["sshd", "ftpd"])
def test_a_server_that_does_not_rename_over_a_file_is_refused_at_the_start(
    kind: str, tmp_path: Path, signed_in: Open, stack: ExitStack
) -> None:
    try:
        if kind == "sshd":  # the rename of the protocol itself is left, which replaces nothing
            subsystem = "internal-sftp -P posix-rename"
            server = stack.enter_context(sshd(tmp_path / "s", subsystem))
        else:
            server = stack.enter_context(ftpd(tmp_path / "s", without=["replace"]))
    except Missing as missing:
        pytest.skip(str(missing))
    there = signed_in(server)
    sink = there.sink()
    with pytest.raises(DestinationError, match="can't replace a file by a rename"):
        sink.check()
    sink.close()
    assert there.names() == set()


@each
def test_a_file_of_another_client_is_seen_as_it_is_now(there: There) -> None:
    sink = there.sink()
    sink.check()
    store(sink, "d/ours", b"x" * 100)
    assert set(sink.keys("d/")) == {"d/ours"}
    (there.root / "d/ours").write_bytes(b"y" * 300)  # what a kept list would cut to 100
    (there.root / "d/theirs").write_bytes(b"z")
    assert sink.size("d/ours") == 300
    assert b"".join(sink.read("d/ours")) == b"y" * 300
    assert {(one.key, one.size) for one in sink.listing("d/")} == {("d/ours", 300), ("d/theirs", 1)}
    assert sink.size("d/theirs") == 1
    sink.close()


@pytest.mark.parametrize("there", ["smbd"], indirect=True)
def test_a_file_that_another_program_has_open_may_be_replaced_later(
    there: There, stack: ExitStack
) -> None:
    import smbclient  # where there is Samba, it is installed

    sink = there.sink()
    sink.check()
    store(sink, "page", b"old")
    address = parse(there.url, "--to", variable=True)
    how: dict[str, Any] = {"port": address.port, "connection_cache": {}}
    smbclient.register_session("127.0.0.1", address.user, address.password, **how)
    stack.callback(smbclient.reset_connection_cache, connection_cache=how["connection_cache"])
    path = f"//127.0.0.1{address.path}/page".replace("/", "\\")
    with smbclient.open_file(path, "rb", buffering=0, share_access="r", **how) as opened:
        with pytest.raises(SinkError, match="another program may have the file open") as failed:
            store(sink, "page", b"new")
        assert failed.value.transient
        assert opened.read() == b"old"
    store(sink, "page", b"new")
    sink.close()
    assert (there.root / "page").read_bytes() == b"new"
    assert there.names() == {"page"}


@each
def test_an_object_on_the_condition_that_there_is_none_or_that_it_is_still_the_same(
    there: There,
) -> None:
    sink = there.sink()
    sink.check()
    first = sink.put_if(".scraper/lock.json", b"one", None)
    assert first
    assert sink.put_if(".scraper/lock.json", b"two", None) is None
    found = sink.get_small(".scraper/lock.json")
    assert found
    assert (found.data, found.etag) == (b"one", first)
    second = sink.put_if(".scraper/lock.json", b"two", first)
    assert sink.put_if(".scraper/lock.json", b"three", first) is None
    found = sink.get_small(".scraper/lock.json")
    assert found
    assert (found.data, found.etag) == (b"two", second)
    sink.remove(".scraper/lock.json")
    assert sink.get_small(".scraper/lock.json") is None
    sink.close()


@each
def test_what_a_dead_run_left_is_removed_before_the_first_object(there: There) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _SAY], check=True,
        capture_output=True, text=True,
    ).stdout  # fmt: skip
    _leave(there, RUN, ended)
    sink = there.sink()
    sink.check()
    assert there.names() == {f".scraper/tmp/{RUN}.json", *_left(RUN)}  # it is not ours yet
    store(sink, "page", b"page")
    own = {name for name in there.names() if name.startswith(".scraper/tmp/")}
    assert len(own) == 1  # the mark of this run
    assert there.names() == {"page", "a/b/kept.html", *own}
    sink.close()
    assert there.names() == {"page", "a/b/kept.html"}


@pytest.mark.parametrize("there", ["sshd"], indirect=True)
def test_what_a_live_shard_has_on_its_way_stays(there: There) -> None:
    _leave(there, RUN, json.dumps({**own_process(), "processes": "of another machine"}))
    lock = there.root / ".scraper/plans/1/2-of-2/lock.json"
    lock.parent.mkdir(parents=True)
    lock.write_bytes(b"{}")
    sink = there.sink()
    sink.check()
    store(sink, "page", b"page")
    sink.close()
    assert _left(RUN) <= there.names()
    lock.unlink()  # the shards are over: whoever has the lock is alone
    sink = there.sink()
    sink.check()
    store(sink, "page", b"page")
    sink.close()
    assert there.names() == {"page", "a/b/kept.html"}


@pytest.mark.parametrize("there", ["sshd"], indirect=True)
def test_a_key_like_a_temporary_name_is_refused(there: There) -> None:
    sink = there.sink()
    sink.check()
    with pytest.raises(SinkError) as failed:
        sink.open(f"a/.scraper-{RUN}-1-1.tmp")
    assert not failed.value.transient
    sink.close()


@each
def test_a_file_where_a_directory_should_be_costs_its_object_alone(there: There) -> None:
    sink = there.sink()
    sink.check()
    store(sink, "a", b"a file")
    with pytest.raises(SinkError) as failed:
        store(sink, "a/b", b"below it")
    assert not failed.value.transient
    store(sink, "c", b"c")
    sink.close()
    assert there.names() == {"a", "c"}


@each
def test_a_directory_that_is_removed_meanwhile_is_made_again(there: There) -> None:
    sink = there.sink()
    sink.check()
    store(sink, "d/e/one", b"1")
    (there.root / "d/e/one").unlink()
    (there.root / "d/e").rmdir()
    with pytest.raises(SinkError) as failed:
        store(sink, "d/e/two", b"2")
    assert failed.value.transient
    store(sink, "d/e/two", b"2")  # as a run does
    sink.close()
    assert there.names() == {"d/e/two"}


_SAY = """
import json
from scraper.sinks.process_identity import own_process
print(json.dumps(own_process()))
"""


def _left(run: str) -> set[str]:
    return {f"a/b/.scraper-{run}-1f-0.tmp", f".scraper-{run}-1f-1.tmp", "a/b/kept.html"}


def _leave(there: There, run: str, said: str) -> None:
    """What a killed run leaves: its mark, and files on their way."""
    for name in _left(run):
        path = there.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"short")
    mark = there.root / f".scraper/tmp/{run}.json"
    mark.parent.mkdir(parents=True)
    mark.write_text(said)


@pytest.mark.parametrize("there", ["sshd", "ftpd"], indirect=True)
def test_folders_are_told_without_what_is_in_them(there: There) -> None:
    sink = there.sink()
    sink.check()
    assert [*sink.folders(".scraper/plans/")] == []
    for name in ("0001-of-2/shard-0/a", "0002-of-3/shard-1/b", "c"):
        path = there.root / ".scraper/plans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert sorted(sink.folders(".scraper/plans/")) == ["0001-of-2", "0002-of-3"]
    sink.close()
