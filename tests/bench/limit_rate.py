"""`python -m tests.bench.limit_rate`: how smooth --limit-rate is, by the server's own log.

For each engine and case: the seconds beside those that the rate needs, and the most bytes that any
second had, as a share of the rate. The server's sockets have small buffers, so that its log tells
what came, not what its system took in. Does not know: other tools; their limits are of one transfer
(curl, wget) or are measured by the same server by hand.
"""

import socket
import subprocess
import sys
import tempfile
import threading
import time

from tests.bench.rates import most_in_a_second

CASES = (  # bytes a second, at once, (bodies, bytes of each)
    (1_000_000, 16, ((20, 200_000),)),
    (1_000_000, 16, ((1, 4_000_000),)),
    (10_000_000, 64, ((1, 20_000_000), (500, 20_000))),
    (50_000_000, 16, ((4, 50_000_000),)),
    (2_000_000, 16, ((1000, 5_000),)),
)
_SNDBUF, _PIECE = 4096, 8192


class Server:
    """Bodies of `/BYTES-...`. `log` has the time and the size of each piece that was sent."""

    def __init__(self) -> None:
        self.log: list[tuple[float, int]] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=500)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SNDBUF)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        lines = sock.makefile("rb")
        while line := lines.readline():
            while lines.readline().strip():
                pass
            left = int(line.split()[1][1:].split(b"-")[0])
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
            while left:
                sent = sock.send(bytes(min(left, _PIECE)))
                left -= sent
                self.log.append((time.monotonic(), sent))


def measure(engine: str, rate: int, at_once: int, bodies: tuple[tuple[int, int], ...]) -> str:
    """One line of the table."""
    server = Server()
    urls = [f"{server.url}/{size}-{n}" for count, size in bodies for n in range(count)]
    with tempfile.TemporaryDirectory() as to:
        words = ["--to", to, "--engine", engine, "--limit-rate", str(rate), "-c", str(at_once)]
        command = [sys.executable, "-m", "scraper", "-", *words, "-q"]
        subprocess.run(command, input="\n".join(urls), text=True, check=True)
    log = sorted(server.log)
    total = sum(size for _, size in log)
    took_s, most = log[-1][0] - log[0][0], most_in_a_second(log) / rate
    what = " + ".join(f"{count:,} x {size:,}" for count, size in bodies)
    return (
        f"{engine:8} {rate:>12,} {at_once:4}  {what:32} {took_s / (total / rate):6.2f} {most:6.2f}"
    )


def main() -> None:
    """Print the table."""
    print(f"{'engine':8} {'bytes/s':>12} {'-c':>4}  {'bodies':32} {'time':>6} {'most':>6}")
    for case in CASES:
        for engine in ("curl", "threads"):
            print(measure(engine, *case), flush=True)


if __name__ == "__main__":
    main()
