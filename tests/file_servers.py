"""File servers on loopback: OpenSSH, pyftpdlib, rclone. Each in a process of its own.

    with sshd(directory) as server:
        sink = open_sink(f"{server.url}/out", SinkOptions())
        assert (server.root / "out/key").read_bytes() == b"..."

`server.root` is the same directory on this machine. A server that is not installed raises Missing.
"""

import getpass
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from tests.servers import WAIT_S, free_port

USER, PASSWORD = "me", "a%b c@d"


class Missing(Exception):
    """A server is not installed here. The text says what to install."""


@dataclass(frozen=True)
class FileServer:
    """A server. `url` names its root, without a slash at the end; `environment` is for a run."""

    name: str
    url: str
    root: Path
    process: subprocess.Popen[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    as_it_is: frozenset[str] = frozenset()  # sentences of the conformance suite that it breaks

    def processes(self) -> list[psutil.Process]:
        """It, and those that serve one connection each."""
        one = psutil.Process(self.process.pid)
        return [one, *one.children(recursive=True)]

    def cut(self) -> None:
        """End the connections of a server that has a process for each."""
        for process in self.processes()[1:]:
            if process.net_connections():  # Samba has others, too
                process.kill()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It answers nothing meanwhile."""
        stopped = self.processes()
        for process in stopped:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in stopped:
                process.send_signal(signal.SIGCONT)


@contextmanager
def sshd(directory: Path, subsystem: str = "internal-sftp") -> Iterator[FileServer]:
    """OpenSSH's, with a host key and a user's key of its own; HOME has both, as for `ssh`."""
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
    if not program or not shutil.which("ssh-keygen"):
        raise Missing("OpenSSH's server: apt-get install openssh-server")
    home, root, port = directory / "home", directory / "root", free_port()
    for path in (root, home / ".ssh"):
        path.mkdir(parents=True, mode=0o700)
    host_key, own_key = directory / "host_key", home / ".ssh/id_ed25519"
    for key in (host_key, own_key):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = host_key.with_suffix(".pub").read_text().split()
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {public[0]} {public[1]}\n")
    (directory / "authorized_keys").write_bytes(own_key.with_suffix(".pub").read_bytes())
    settings = [
        f"HostKey={host_key}",
        f"AuthorizedKeysFile={directory / 'authorized_keys'}",
        "StrictModes=no",
        "UsePAM=no",
        "PasswordAuthentication=no",
        "PidFile=none",
        f"Subsystem=sftp {subsystem}",
    ]
    words = [word for one in settings for word in ("-o", one)]
    os.makedirs("/run/sshd", exist_ok=True) if os.geteuid() == 0 else None
    command = [program, "-D", "-e", "-f", "/dev/null", "-p", str(port)]
    command += ["-o", "ListenAddress=127.0.0.1", *words]
    with _started(command, r"Server listening on") as (process, _):
        url = f"sftp://127.0.0.1:{port}{root}"
        yield FileServer("sshd", url, root, process, {"HOME": str(home)})


_FTPD = """
import os, sys
from pyftpdlib.filesystems import AbstractedFS, FilesystemError
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
root, user, password, most, timeout = sys.argv[1:6]
authorizer = DummyAuthorizer()
authorizer.add_user(user, password, root, perm="elradfmwMT")
class Keeping(AbstractedFS):
    def rename(self, old, new):
        if os.path.exists(new):
            raise FilesystemError("there is one already")
        super().rename(old, new)
class Hiding(AbstractedFS):
    def listdir(self, path):
        names = super().listdir(path)
        asked = self.cmd_channel.asks_for_all
        return [*names, "."] if asked else [name for name in names if name[0] != "."]
class Handler(FTPHandler):
    asks_for_all = False
    def pre_process_command(self, line, cmd, arg):
        self.asks_for_all = (cmd, arg) == ("LIST", "-a")
        super().pre_process_command(line, cmd, arg)
class Curt(Handler):
    def ftp_MLST(self, path):
        shown = self.fs.fs2ftp(path)
        if os.path.exists(os.path.join(root, "busy")):
            return self.respond(f"450 {shown} is in use")
        if not os.path.lexists(path):
            return self.respond(f"550 '{shown}' cannot be listed")
        return super().ftp_MLST(path)
if "plain answers" in sys.argv[6:]:
    Handler = Curt
Handler.authorizer = authorizer
Handler.timeout = int(timeout)
if "replace" in sys.argv[6:]:
    Handler.abstracted_fs = Keeping
if "hidden names" in sys.argv[6:]:
    Handler.abstracted_fs = Hiding
class Long(AbstractedFS):
    def format_mlsx(self, basedir, *others, **more):
        yield from super().format_mlsx(basedir, *others, **more)
        if os.path.exists(os.path.join(basedir, "long")):
            yield b"type=file; " + b"n" * 9000 + b"\\r\\n"
if "short lines" in sys.argv[6:]:
    Handler.abstracted_fs = Long
if "UTF-8" in sys.argv[6:]:
    Handler.encoding = "latin-1"
for name in sys.argv[6:]:
    Handler.proto_cmds = {key: it for key, it in Handler.proto_cmds.items() if key != name}
server = FTPServer(("127.0.0.1", 0), Handler)
server.max_cons = int(most)
print("port", server.socket.getsockname()[1], file=sys.stderr, flush=True)
server.serve_forever()
"""


@contextmanager
def ftpd(
    directory: Path, without: Sequence[str] = (), *, most: int = 1000, idle_s: int = 300
) -> Iterator[FileServer]:
    """pyftpdlib's, `without` some commands; or without `replace`: it renames over no file.

    Without `hidden names` LIST leaves out what begins with a dot, as vsftpd does, unless it gets
    `-a`. Without `plain answers` MLST repeats the path, as ProFTPD does, and while there is a file
    `busy` in the root it says 450. Without `short lines` a directory with a file `long` is listed
    with a line that no client takes. Without `UTF-8` names are sent as Latin-1.

    `most`: connections at once, data included; `idle_s`: until it closes one that says nothing.
    """
    root = directory / "root"
    root.mkdir(parents=True)
    words = [str(root), USER, PASSWORD, str(most), str(idle_s), *without]
    command = [sys.executable, "-W", "ignore", "-c", _FTPD, *words]
    with _started(command, r"port (\d+)") as (process, found):
        url = f"ftp://{USER}@127.0.0.1:{found[1]}"
        yield FileServer("pyftpdlib", url, root, process, {"SCRAPER_TO_PASSWORD": PASSWORD})


@contextmanager
def rclone(directory: Path, kind: str) -> Iterator[FileServer]:
    """`rclone serve sftp`, or `webdav`."""
    root, port = directory / "root", free_port()
    root.mkdir(parents=True)
    program = str(Path(sysconfig.get_path("scripts")) / "rclone")
    command = [program, "serve", kind, str(root), "--addr", f"127.0.0.1:{port}", "--config", ""]
    command += ["--user", USER, "--pass", PASSWORD, "--vfs-cache-mode", "off"]
    command += ["-v"]
    environment = {"SCRAPER_TO_PASSWORD": PASSWORD}
    with _started(command, r"(?i)serving|listening|started") as (process, _):
        if kind == "sftp":
            environment["HOME"] = str(_home_that_knows(directory, port))
        url = f"{kind}://{USER}@127.0.0.1:{port}"
        breaks = frozenset({"a replacement is atomic"})  # it deletes the old file before a rename
        yield FileServer(f"rclone {kind}", url, root, process, environment, breaks)


def _home_that_knows(directory: Path, port: int) -> Path:
    """A home directory whose known_hosts has the server at `port`."""
    home = directory / "home"
    (home / ".ssh").mkdir(parents=True)
    command = ["ssh-keyscan", "-p", str(port), "127.0.0.1"]
    scanned = subprocess.run(command, check=True, capture_output=True).stdout
    (home / ".ssh/known_hosts").write_bytes(scanned)
    return home


@contextmanager
def _started(
    command: list[str], ready: str
) -> Iterator[tuple[subprocess.Popen[str], re.Match[str]]]:
    """The process, once a line that it says tells that it listens. It ends with the block."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # smbd ends its whole process group when it ends
    ) as process:
        assert process.stdout is not None
        try:
            said = ""
            while not (found := re.search(ready, said)):
                line = process.stdout.readline()
                assert line, f"{command[0]} ended: {said}"
                said += line
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield process, found
        finally:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.terminate()
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:  # OpenSSH 9.2 was seen to pass over a SIGTERM
                process.kill()


_WSGIDAV = """
import sys
from cheroot import wsgi
from wsgidav.wsgidav_app import WsgiDAVApp
root, user, password = sys.argv[1:4]
app = WsgiDAVApp({
    "provider_mapping": {"/": root},
    "simple_dc": {"user_mapping": {"*": {user: {"password": password}}}},
    "http_authenticator": {
        "accept_basic": True, "accept_digest": False, "default_to_digest": False,
    },
    "verbose": 0, "logging": {"enable": False},
})
server = wsgi.Server(("127.0.0.1", 0), app, numthreads=12)
server.prepare()
print("port", server.bind_addr[1], file=sys.stderr, flush=True)
server.serve()
"""


@contextmanager
def wsgidav(directory: Path) -> Iterator[FileServer]:
    """wsgidav's, by cheroot."""
    root = directory / "root"
    root.mkdir(parents=True)
    command = [sys.executable, "-W", "ignore", "-c", _WSGIDAV, str(root), USER, PASSWORD]
    with _started(command, r"port (\d+)") as (process, found):
        url = f"webdav://{USER}@127.0.0.1:{found[1]}"
        # MOVE deletes the old file first (RFC 4918 9.9.3); wsgidav takes `;` for its end.
        breaks = frozenset({"a replacement is atomic", "keys may be deep, long and in any script"})
        environment = {"SCRAPER_TO_PASSWORD": PASSWORD}
        yield FileServer("wsgidav", url, root, process, environment, breaks)


_SMB = """
[global]
private dir = {0}/private
lock directory = {0}/lock
state directory = {0}/state
cache directory = {0}/cache
pid directory = {0}/pid
ncalrpc dir = {0}/ncalrpc
passdb backend = tdbsam:{0}/private/passdb.tdb
log file = {0}/log
interfaces = 127.0.0.1/8
bind interfaces only = yes
smb ports = {1}
server role = standalone server
load printers = no
disable spoolss = yes
disable netbios = yes
[share]
path = {2}
read only = no
"""


@contextmanager
def smbd(directory: Path) -> Iterator[FileServer]:
    """Samba's, with a password of its own for who runs the tests."""
    program = shutil.which("smbd") or shutil.which("smbd", path="/usr/sbin")
    if not program or not shutil.which("smbpasswd"):
        raise Missing("Samba's server: apt-get install samba")
    if os.geteuid() != 0:
        raise Missing("Samba's server runs as root alone")
    root, port, user = directory / "root", free_port(), getpass.getuser()
    for name in ("root", "private", "lock", "state", "cache", "pid", "ncalrpc"):
        (directory / name).mkdir(parents=True)
    settings = directory / "smb.conf"
    settings.write_text(_SMB.format(directory, port, root))
    add = ["smbpasswd", "-c", str(settings), "-a", "-s", user]
    subprocess.run(
        add, check=True, input=f"{PASSWORD}\n{PASSWORD}\n", text=True, capture_output=True
    )
    command = [program, "-F", "--no-process-group", "--debug-stdout", "-d", "3"]
    with _started([*command, "-s", str(settings)], "waiting for connections") as (process, _):
        url = f"smb://{user}@127.0.0.1:{port}/share"
        yield FileServer("samba", url, root, process, {"SCRAPER_TO_PASSWORD": PASSWORD})


Making = Callable[[Path], AbstractContextManager[FileServer]]
SERVERS: Mapping[str, Making] = {
    "sshd": sshd,
    "rclone-sftp": partial(rclone, kind="sftp"),
    "ftpd": ftpd,
    "wsgidav": wsgidav,
    "rclone-webdav": partial(rclone, kind="webdav"),
    "smbd": smbd,
    "plain-ftpd": partial(ftpd, without=("MLST", "MLSD", "MFMT")),
}
