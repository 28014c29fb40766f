"""An island: a network of its own, where loopback has public addresses and we own every name.

    with island(sites, names) as land:
        cli.prefix = land.prefix(cli.directory)        # the program, in there
        assert cli("list").status == 0
        assert land.asked() == [["93.184.216.34", "/page"]]

`sites` are pages by address and path, on ports 80 and 8080; `names` are the answers that a
name server gives, one after the other, the last one again and again; SERVFAIL for one that can't
tell now. What runs is this file, in namespaces that end with it: servers, name server and sockets
are real.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.servers import HttpFarm, Reply, Request

PORTS = (80, 8080)
Sites = Mapping[str, Mapping[str, Mapping[str, Any]]]  # address, path, what Reply takes
Names = Mapping[str, Sequence[Sequence[str]]]  # name, answers, addresses

SERVFAIL = ["SERVFAIL"]  # RFC 1035 4.1.1, RCODE 2; the C library says EAI_AGAIN
_UNSHARE = ["unshare", "--map-root-user", "--net", "--mount"]


def islands_can_be_had() -> bool:
    """Whether this user may have a network of its own."""
    command = [*_UNSHARE, "ip", "link", "set", "lo", "up"]
    with suppress(OSError):
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    return False


class Island:
    """Where programs may run, and what was asked of the servers there."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def prefix(self, home: Path) -> list[str]:
        """What begins a command that runs there, in the directory `home`."""
        enter = ["nsenter", f"--target={self._process.pid}", "--user", "--preserve-credentials"]
        return [*enter, "--net", "--mount", "env", "--chdir", str(home)]

    def asked(self) -> list[list[str]]:
        """Address and path of every request since it was last asked for."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("asked\n")
        self._process.stdin.flush()
        found: list[list[str]] = json.loads(self._process.stdout.readline())
        return found


@contextmanager
def island(sites: Sites, names: Names) -> Iterator[Island]:
    """For as long as the block runs."""
    command = [*_UNSHARE, sys.executable, "-m", "tests.hostile.island"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([sites, names]) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        yield Island(process)


# ---------------------------------------------------------------- in there


def _main() -> None:
    sites, names = json.loads(sys.stdin.readline())
    _run("ip", "link", "set", "lo", "up")
    for address in sites:
        kind = ["-6"] if ":" in address else []
        with suppress(subprocess.CalledProcessError):  # loopback's own
            _run("ip", *kind, "addr", "add", address, "dev", "lo", *(["nodad"] if kind else []))
    with tempfile.NamedTemporaryFile("w", prefix="resolv") as resolver:
        resolver.write("nameserver 127.0.0.1\n")
        resolver.flush()
        _run("mount", "--bind", resolver.name, "/etc/resolv.conf")
    threading.Thread(target=_answer_names, args=(_name_socket(), names), daemon=True).start()
    asked: list[list[str]] = []

    def answer(request: Request) -> Reply:
        path = request.path
        asked.append([request.address, path])
        return Reply(**_reply(sites[request.address].get(path)))

    with ExitStack() as stack:
        for port in PORTS:
            stack.enter_context(HttpFarm(answer, list(sites), port))
        print("ready", flush=True)
        while sys.stdin.readline():
            print(json.dumps(asked), flush=True)
            asked.clear()


def _reply(page: Mapping[str, Any] | None) -> dict[str, Any]:
    if page is None:
        return {"status": 404, "close": True}
    return {**page, "body": page.get("body", "").encode(), "close": True}


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _name_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 53))
    return sock


def _answer_names(sock: socket.socket, names: Names) -> None:
    """A name server (RFC 1035 4): A and AAAA of what is in `names`, else no such name."""
    times: Counter[tuple[str, int]] = Counter()
    while True:
        query, client = sock.recvfrom(512)
        end = query.index(b"\0", 12)
        labels, at = [], 12
        while at < end:
            labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        name, kind = ".".join(labels), int.from_bytes(query[end + 1 : end + 3])
        answers = names.get(name)
        addresses: list[bytes] = []
        code = 0 if answers else 3
        if answers:
            turn = min(times[name, kind], len(answers) - 1)
            times[name, kind] += 1
            family = socket.AF_INET6 if kind == 28 else socket.AF_INET
            fails = answers[turn] == SERVFAIL
            code = 2 if fails else 0
            chosen = [] if fails else [one for one in answers[turn] if (":" in one) == (kind == 28)]
            addresses = [socket.inet_pton(family, one) for one in chosen]
        head = query[:2] + bytes([0x85, 0x80 | code]) + b"\0\1"
        head += len(addresses).to_bytes(2) + b"\0\0\0\0" + query[12 : end + 5]
        for address in addresses:  # a pointer to the name, its kind, class, no time to live
            head += b"\xc0\x0c" + kind.to_bytes(2) + b"\0\1\0\0\0\0"
            head += len(address).to_bytes(2) + address
        sock.sendto(head, client)


if __name__ == "__main__":
    _main()
