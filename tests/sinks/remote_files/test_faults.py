"""What servers answer, in our words: no way in, no space, nothing may be written, bad names."""

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from scraper.model.errors import DestinationError, SinkError, UsageError
from scraper.sinks.base import SinkOptions
from scraper.sinks.remote_files import open_sink
from scraper.sinks.remote_files.address import parse
from scraper.sinks.remote_files.faults import Fault, Trouble, of_os_error, of_text
from scraper.sinks.remote_files.servers import Settings, connector
from scraper.testing import store
from tests.file_servers import PASSWORD, USER, FileServer, Missing, sshd
from tests.servers import WAIT_S, Serve, closed_port
from tests.sinks.remote_files.conftest import Open, There

each = pytest.mark.parametrize("there", ["sshd", "ftpd", "wsgidav", "smbd"], indirect=True)
Start = Callable[[str], FileServer]


def refused(url: str) -> DestinationError:
    """Why a destination can't be used: one line, without the password."""
    sink = open_sink(url, SinkOptions())
    with pytest.raises(DestinationError) as failed:
        sink.check()
    sink.close()
    assert "\n" not in str(failed.value)
    assert "secret" not in str(failed.value) + failed.value.hint
    return failed.value


@contextmanager
def small_disk(path: Path, options: str) -> Iterator[None]:
    """A tmpfs at `path`, for all processes of this machine."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("root alone may mount a small disk where a server sees it")
    path.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(path)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@each
def test_a_full_disk_leaves_the_old_object_and_nothing_else(there: There) -> None:
    with small_disk(there.root, "size=1m"):
        sink = there.sink()
        sink.check()
        store(sink, "page", b"old")
        with pytest.raises((DestinationError, SinkError)) as failed:
            store(sink, "page", os.urandom(2_000_000))
        if there.server.name in {"sshd", "samba"}:  # the answers of others don't say why
            assert isinstance(failed.value, DestinationError)
            assert "takes no more objects" in str(failed.value)
        assert (there.root / "page").read_bytes() == b"old"
        if there.server.name != "wsgidav":  # it keeps what was deleted open for a while
            store(sink, "small", b"there is room for it")
        sink.close()
        assert there.names() - {"small"} == {"page"}


@each
def test_a_read_only_disk_is_refused_at_the_start(there: There) -> None:
    with small_disk(there.root, "ro,size=1m"):
        sink = there.sink()
        with pytest.raises(DestinationError, match=r"(?i)read-only"):
            sink.check()
        sink.close()


@each
def test_a_disk_that_becomes_read_only_ends_the_run(there: There) -> None:
    with small_disk(there.root, "size=1m"):
        sink = there.sink()
        sink.check()
        store(sink, "page", b"old")
        subprocess.run(["mount", "-o", "remount,ro", str(there.root)], check=True)
        with pytest.raises(DestinationError, match=r"(?i)read-only"):
            store(sink, "page", b"new")
        sink.close()
        assert (there.root / "page").read_bytes() == b"old"


def test_an_unknown_host_is_refused_with_the_way_to_make_it_known(
    file_server: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = file_server("sshd")
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    error = refused(server.url)
    assert "its host key is in no known_hosts file (ssh-ed25519 SHA256:" in str(error)
    port = server.url.split(":")[2].partition("/")[0]
    assert f"ssh-keyscan -p {port} 127.0.0.1 >> ~/.ssh/known_hosts" in error.hint


def test_a_host_with_another_key_is_refused(
    file_server: Start, tmp_path: Path, signed_in: Open, stack: ExitStack
) -> None:
    signed_in(file_server("sshd"))
    port = file_server("sshd").url.split(":")[2].partition("/")[0]
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    known = Path(os.environ["HOME"]) / ".ssh/known_hosts"
    right = known.read_text()
    stack.callback(known.write_text, right)
    known.write_text(f"[127.0.0.1]:{port} {other.with_suffix('.pub').read_text()}")
    assert "another than known_hosts has" in str(refused(file_server("sshd").url))


def test_without_a_key_or_with_a_wrong_one_sftp_is_refused(
    file_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = file_server("sshd")
    (tmp_path / ".ssh").mkdir()
    known = Path(server.environment["HOME"]) / ".ssh/known_hosts"
    shutil.copy(known, tmp_path / ".ssh/known_hosts")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    error = refused(server.url)
    assert str(error).endswith("there is no key and no password")
    assert "~/.ssh" in error.hint
    key = tmp_path / ".ssh/id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    assert "uthentication failed" in str(refused(server.url))


def test_a_server_that_ends_while_it_lets_us_in_may_let_us_in_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack
) -> None:
    import paramiko  # where OpenSSH is not installed, too

    class Ends(paramiko.ServerInterface):
        def check_auth_password(self, username: str, password: str) -> int:
            transport.sock.close()
            return paramiko.common.AUTH_FAILED

    listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    host, port = listening.getsockname()
    key = paramiko.ECDSAKey.generate()
    (tmp_path / ".ssh").mkdir()
    known = f"[{host}]:{port} {key.get_name()} {key.get_base64()}\n"
    (tmp_path / ".ssh/known_hosts").write_text(known)
    monkeypatch.setenv("HOME", str(tmp_path))
    with ThreadPoolExecutor(1) as pool:
        connecting = pool.submit(
            connector("sftp"),
            parse(f"sftp://me:secret@{host}:{port}/p", "--to", variable=False),
            Settings(WAIT_S),
        )
        transport = paramiko.Transport(listening.accept()[0])
        stack.callback(transport.close)
        transport.add_server_key(key)
        transport.start_server(server=Ends())
        with pytest.raises(Fault) as failed:
            connecting.result()
    assert failed.value.trouble is Trouble.BROKEN


def test_the_config_of_ssh_says_host_port_user_and_key(
    file_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = file_server("sshd")
    home, port = Path(server.environment["HOME"]), server.url.split(":")[2].partition("/")[0]
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh/config").write_text(
        f"Host backup\n HostName 127.0.0.1\n Port {port}\n"
        f" IdentityFile {home}/.ssh/id_ed25519\n UserKnownHostsFile {home}/.ssh/known_hosts\n"
    )
    sink = open_sink(f"sftp://backup{server.root}/by-config", SinkOptions())
    sink.check()
    store(sink, "page", b"page")
    sink.close()
    assert (server.root / "by-config/page").read_bytes() == b"page"


@pytest.mark.parametrize(
    ("name", "said"), [("ftpd", "530"), ("wsgidav", "401"), ("smbd", "authenticat")]
)
def test_a_wrong_password_is_refused(
    name: str, said: str, file_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = file_server(name)
    monkeypatch.setenv("SCRAPER_TO_PASSWORD", "secret")
    error = refused(f"{server.url}/out")
    assert said in str(error)
    assert "SCRAPER_TO_PASSWORD" in error.hint


def test_passwords_come_from_the_url_then_the_variable_then_netrc(
    file_server: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = file_server("ftpd")
    host = server.url.rpartition("@")[2]
    coded = PASSWORD.replace("%", "%25").replace(" ", "%20").replace("@", "%40")
    monkeypatch.setenv("SCRAPER_TO_PASSWORD", "wrong")
    open_and_close(f"ftp://{USER}:{coded}@{host}/out")
    monkeypatch.setenv("SCRAPER_TO_PASSWORD", PASSWORD)
    open_and_close(f"ftp://{USER}@{host}/out")
    monkeypatch.delenv("SCRAPER_TO_PASSWORD")
    netrc = tmp_path / "netrc"
    netrc.write_text(f'machine 127.0.0.1 login {USER} password "{PASSWORD}"\n')
    monkeypatch.setenv("NETRC", str(netrc))
    open_and_close(f"ftp://{host}/out")
    assert parse(f"ftp://{USER}:{coded}@{host}/", "--to", variable=False).password == PASSWORD
    assert PASSWORD not in repr(parse(f"ftp://{USER}:{coded}@{host}/", "--to", variable=False))


def open_and_close(url: str) -> None:
    sink = open_sink(url, SinkOptions())
    sink.check()
    sink.close()


@pytest.mark.parametrize("scheme", ["sftp", "ftp", "webdav", "smb"])
def test_nobody_there_is_one_line(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = closed_port()
    error = refused(f"{scheme}://me:secret@127.0.0.1:{port}/out/x")
    assert str(error).startswith(f"can't use {scheme}://127.0.0.1:{port}/out/x: ")
    assert "refused" in str(error) or "Unable to connect" in str(error)


def test_a_client_of_hadoop_that_is_not_here_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAVA_HOME", "HADOOP_HOME", "CLASSPATH"):
        monkeypatch.setenv(name, "/nowhere")
    error = refused("hdfs://127.0.0.1/x")
    said = (
        "can't use hdfs://127.0.0.1/x: Hadoop's client (libhdfs, and Java for it) can't be loaded"
    )
    assert str(error) == said
    assert "JAVA_HOME" in error.hint


def test_a_path_that_is_a_file_is_refused(file_server: Start, signed_in: Open) -> None:
    there = signed_in(file_server("sshd"))
    there.root.write_bytes(b"a file")
    assert "a file or a link is where a directory should be" in str(refused(there.url))


@pytest.mark.parametrize("there", ["sshd", "ftpd", "smbd"], indirect=True)
def test_a_link_on_the_way_to_the_destination_is_followed(there: There) -> None:
    (there.root / "real").mkdir(parents=True)
    (there.root / "link").symlink_to("real")
    for name in ("link", "link/below"):
        linked = There(there.server, f"{there.name}/{name}")
        sink = linked.sink()
        sink.check()
        store(sink, "a/page", b"page")
        assert "a/page" in set(sink.keys())
        sink.close()
        sink = linked.sink()
        sink.reach()
        assert b"".join(sink.read("a/page")) == b"page"
        sink.close()
    assert {"real/a/page", "real/below/a/page"} <= there.names()


@pytest.mark.parametrize("there", ["sshd"], indirect=True)
def test_a_link_below_the_destination_or_to_no_directory_is_not_followed(there: There) -> None:
    there.root.mkdir()
    (there.root / "elsewhere").mkdir()
    (there.root / "out").mkdir()
    (there.root / "out/link").symlink_to("../elsewhere")
    (there.root / "to-nothing").symlink_to("none")
    (there.root / "file").touch()
    (there.root / "to-file").symlink_to("file")
    sink = There(there.server, f"{there.name}/out").sink()
    sink.check()
    with pytest.raises(SinkError, match="a file or a link is where a directory should be"):
        store(sink, "link/page", b"page")
    assert set(sink.keys("link")) == set()
    sink.close()
    for name in ("to-nothing", "to-file"):
        refused(f"{there.url}/{name}")
        sink = There(there.server, f"{there.name}/{name}").sink()
        with pytest.raises(DestinationError, match="there is no directory"):
            sink.reach()
        sink.close()


def test_a_path_below_a_directory_that_may_not_be_written_is_refused(
    tmp_path: Path, signed_in: Open, stack: ExitStack
) -> None:
    try:
        server = stack.enter_context(sshd(tmp_path / "s", "internal-sftp -R"))
    except Missing as missing:
        pytest.skip(str(missing))
    assert "denied" in str(refused(signed_in(server).url)).lower()


def test_a_character_that_a_server_takes_for_something_else_is_refused(
    file_server: Start, signed_in: Open
) -> None:
    there = signed_in(file_server("wsgidav"))
    sink = there.sink()
    sink.check()
    store(sink, "a", b"a")
    store(sink, "p%41c #1", b"encoded")  # webdav4 alone would store pAc
    with pytest.raises(SinkError, match="takes ';' in a name") as failed:
        store(sink, "a;b", b"it would replace a")
    assert not failed.value.transient
    sink.close()
    assert there.names() == {"a", "p%41c #1"}


def test_a_share_that_is_not_there_or_not_named_is_refused(
    file_server: Start, signed_in: Open
) -> None:
    there = signed_in(file_server("smbd"))
    host = there.server.url.removesuffix("/share")
    assert "names no share" in str(refused(host))
    for path in ("another", "another/path"):
        assert str(refused(f"{host}/{path}")).endswith("there is no share 'another'")


def test_webdav_goes_through_the_proxy_of_the_environment(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"webdav://127.0.0.1:{closed_port()}/out"
    for variable in ("http_proxy", "all_proxy"):
        proxy = serve({})
        monkeypatch.setenv(variable, proxy.url)
        refused(url)
        assert proxy.requests, variable
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        asked = len(proxy.requests)
        refused(url)
        assert len(proxy.requests) == asked, variable
        monkeypatch.delenv("no_proxy")
        monkeypatch.delenv(variable)


def test_an_http_server_that_is_no_webdav_is_refused(serve: Serve) -> None:
    url = serve({"/": b"<html>"}).url.replace("http", "webdav")
    refused(f"{url}/out")


@pytest.mark.parametrize("there", ["sshd"], indirect=True)
def test_a_destination_may_have_any_name_without_control_characters(there: There) -> None:
    name = "no-break\u00a0 wide\u3000 caf\u00e9"
    for sent, made in ((quote(name), os.fsencode(name)), ("caf%E9", b"caf\xe9")):
        sink = open_sink(f"{there.url}/{sent}", SinkOptions())
        sink.check()
        store(sink, "page", b"page")
        sink.close()
        assert Path(os.fsdecode(os.fsencode(there.root) + b"/" + made), "page").exists()


@pytest.mark.parametrize("there", ["sshd"], indirect=True)
def test_a_name_that_is_too_long_costs_its_object_alone(there: There) -> None:
    sink = there.sink()
    sink.check()
    with pytest.raises(SinkError) as failed:
        store(sink, "n" * 256, b"")
    assert not failed.value.transient
    sink.close()
    assert there.names() == set()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sftp://me:se?cret@host/p", "in a password, ? is %3F"),
        ("sftp:///path", "names no host"),
        ("sftp://host:99999/p", "no port is 99999"),
        ("sftp://host:port/p", "is no URL of a server"),
        ("ftp://host/a%0D%0ADELE%20b", "no control characters"),  # it would be another command
        ("sftp://host/a/../b", "'..' can't be in the path"),
    ],
)
def test_a_url_that_names_no_place_is_wrong_usage(url: str, said: str) -> None:
    with pytest.raises(UsageError) as failed:
        open_sink(url, SinkOptions())
    assert said in str(failed.value)
    assert "cret" not in str(failed.value)


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("426 [Errno 28] No space left on device; transfer aborted.", Trouble.FULL),
        ("552 Disk quota exceeded", Trouble.FULL),
        ("550 Read-only file system.", Trouble.READ_ONLY),
        ("550 Permission denied.", Trouble.DENIED),
        ("Bad message", Trouble.NAME),
        ("Failure", Trouble.UNKNOWN),
    ],
)
def test_an_answer_is_judged_by_its_words(text: str, trouble: Trouble) -> None:
    assert of_text(text) is trouble
    assert of_os_error(OSError(text)) is trouble


@pytest.mark.parametrize("name", ["disk-quota", "read-only", "denied", "exists", "bad message"])
def test_a_name_in_an_answer_says_nothing(name: str) -> None:
    path = f"/pages/{name}/a"
    for text in (f"550 '{path}' cannot be listed", f"can't make {name}", f"open {path}: failure"):
        assert of_text(text, about=path) is Trouble.UNKNOWN
        assert of_os_error(OSError(text), path) is Trouble.UNKNOWN
    assert of_text(f"550 {path}: No such file", about=path) is Trouble.MISSING
    assert of_os_error(OSError(errno.ESTALE, "Stale", path)) is Trouble.UNKNOWN


def test_an_error_with_a_number_is_judged_by_it() -> None:
    assert of_os_error(OSError(errno.EDQUOT, "Failure")) is Trouble.FULL
    assert of_os_error(TimeoutError()) is Trouble.SILENT
