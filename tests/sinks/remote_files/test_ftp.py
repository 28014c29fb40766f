"""What FTP servers do that no other server does: answers that repeat a path, names that are hidden.

ProFTPD 1.3, Pure-FTPd 1.0 and vsftpd 3.0 were seen to do so.
"""

from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import pytest

from scraper.model.errors import SinkError
from scraper.sinks.base import SinkOptions
from scraper.sinks.remote_files import open_sink
from scraper.testing import store
from tests.file_servers import FileServer, ftpd
from tests.sinks.remote_files.conftest import Open

PLAIN = ("MLST", "MLSD", "MFMT")


@pytest.mark.parametrize("end", ["", "/", "/~/below"])
@pytest.mark.parametrize("kind", ["ftpd", "plain-ftpd"])
def test_the_directory_of_who_signs_in_stays_the_same(
    kind: str, end: str, file_server: Callable[[str], FileServer], signed_in: Open
) -> None:
    server = file_server(kind)
    signed_in(server)
    sink = open_sink(f"{server.url}{end}", SinkOptions())
    sink.check()
    store(sink, "a/page", b"page")
    for again in (sink.reach, sink.check):  # `list --prune` reads before it holds the destination
        assert "a/page" in set(sink.keys("a/"))
        again()
        assert sink.size("a/page") == 4
    sink.remove("a/page")
    sink.close()


def test_names_in_an_answer_are_not_what_it_says(
    tmp_path: Path, signed_in: Open, stack: ExitStack
) -> None:
    there = signed_in(stack.enter_context(ftpd(tmp_path / "s", without=["plain answers"])))
    sink = there.sink()
    sink.check()
    keys = {"disk-quota/no space.html", "denied/a", "read-only", "illegal", "exists/x", "closed"}
    for key in keys:
        store(sink, key, b"page")
    assert set(sink.keys()) >= keys
    assert sink.size("quota") is None
    sink.close()


def test_an_answer_that_says_nothing_is_not_taken_for_no_file(
    tmp_path: Path, signed_in: Open, stack: ExitStack
) -> None:
    there = signed_in(stack.enter_context(ftpd(tmp_path / "s", without=["plain answers"])))
    sink = there.sink()
    sink.check()
    store(sink, "lease", b"of another run")
    (there.server.root / "busy").touch()
    for ask in (
        lambda: sink.size("lease"),
        lambda: sink.get_small("lease"),
        lambda: sink.put_if("lease", b"ours", None),
    ):
        with pytest.raises(SinkError, match="450"):
            ask()
    (there.server.root / "busy").unlink()
    found = sink.get_small("lease")
    assert found is not None
    assert found.data == b"of another run"
    sink.close()


def test_hidden_names_are_listed_and_what_a_dead_run_left_goes(
    tmp_path: Path, signed_in: Open, stack: ExitStack
) -> None:
    server = stack.enter_context(ftpd(tmp_path / "s", without=["hidden names", *PLAIN]))
    there = signed_in(server)
    dead = there.root / ".scraper/tmp/0123456789abcdef.json"
    dead.parent.mkdir(parents=True)
    dead.write_bytes(b"{}")
    left = there.root / ".scraper-0123456789abcdef-2-0.tmp"
    left.write_bytes(b"a part")
    sink = there.sink()
    sink.check()
    store(sink, ".well-known/x", b"page")
    assert not left.exists()
    assert set(sink.keys()) >= {".well-known/x"}
    assert {one.key for one in sink.listing(".well-known/")} == {".well-known/x"}
    sink.close()
    assert there.names() == {".well-known/x"}


def test_after_an_error_in_the_middle_of_a_list_no_answer_is_taken_for_another(
    tmp_path: Path, signed_in: Open, stack: ExitStack
) -> None:
    there = signed_in(stack.enter_context(ftpd(tmp_path / "s", without=["short lines"])))
    sink = there.sink()
    sink.check()
    store(sink, "page", b"page")
    (there.root / "long").touch()
    with pytest.raises(SinkError, match="more than 8192 bytes"):
        list(sink.keys())
    assert sink.size("page") == 4
    assert sink.size("none") is None
    (there.root / "long").unlink()
    assert "page" in set(sink.keys())
    sink.close()


class _Torn(BytesIO):
    """A body that can't be read any more."""

    def read(self, size: int | None = -1) -> bytes:
        del size
        raise ValueError("it was closed")


def test_after_a_body_that_broke_off_no_answer_is_taken_for_another(
    file_server: Callable[[str], FileServer], signed_in: Open
) -> None:
    sink = signed_in(file_server("ftpd")).sink()
    sink.check()
    store(sink, "page", b"page")
    with pytest.raises(SinkError, match="it was closed"):
        sink.store("torn", _Torn(b"part"), 4, 0)
    assert sink.size("page") == 4
    assert sink.size("torn") is None
    store(sink, "page", b"another")
    assert b"".join(sink.read("page")) == b"another"
    sink.close()
