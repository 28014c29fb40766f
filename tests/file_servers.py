"""File servers on loopback: OpenSSH, pyftpdlib, rclone. Each in a process of its own.

    with sshd(directory) as server:
        sink = open_sink(f"{server.url}/out", SinkOptions())
        assert (server.root / "out/key").read_bytes() == b"..."

`server.root` is the same directory on this machine. A server that is not installed raises Missing.
"""

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
class Handler(FTPHandler):
    pass
Handler.authorizer = authorizer
Handler.timeout = int(timeout)
if "replace" in sys.argv[6:]:
    Handler.abstracted_fs = Keeping
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
    """The process, once a line on its stderr says that it listens. It ends with the block."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = ""
            while not (found := re.search(ready, said)):
                line = process.stderr.readline()
                assert line, f"{command[0]} ended: {said}"
                said += line
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield process, found
        finally:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.terminate()
            process.wait(WAIT_S)


Making = Callable[[Path], AbstractContextManager[FileServer]]
SERVERS: Mapping[str, Making] = {
    "sshd": sshd,
    "rclone-sftp": partial(rclone, kind="sftp"),
    "ftpd": ftpd,
    "plain-ftpd": partial(ftpd, without=("MLST", "MLSD", "MFMT")),
}
