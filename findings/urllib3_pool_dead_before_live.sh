#!/bin/sh
# urllib3 2.8.0 (so requests too): a pool gives out a connection that the server has closed before
# one that is open. Its connections lie on a stack, and a closed one goes back on top like any other.
# The next request opens a new connection in its place, though an open one is idle below.
#
# Where a server takes so many connections and closes the others, a client that goes down to one
# request at a time gets nowhere with that. The server counts those that are idle in the pool, and
# each request opens one more.
#
# Here two requests run at once. The server keeps the first connection, and closes the second once
# the first is back in the pool. Of three more requests, one after the other, none uses it.
#
# Seen: "2 connections after two requests at once, 3 after three more; requests of each: [1, 1, 3]"
set -e
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check urllib3==2.8.0

cat >look.py <<'PYTHON'
import socketserver
import threading
from collections import Counter

import urllib3

lock = threading.Lock()
served = Counter()
both = threading.Barrier(2)
kept_is_back = threading.Event()


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        with lock:
            number = len(served) + 1
            served[number] = 0
        while line := self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            path = line.split()[1]
            if path in (b"/kept", b"/closed"):
                both.wait(30)
            if path == b"/closed":
                kept_is_back.wait(30)
            served[number] += 1
            end = b"Connection: close\r\n" if path == b"/closed" else b""
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + end + b"\r\nok")
            if end:
                return


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


with Server(("127.0.0.1", 0), Connection) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pool = urllib3.HTTPConnectionPool("127.0.0.1", server.server_address[1], maxsize=4)

    def kept():
        pool.request("GET", "/kept")
        kept_is_back.set()

    first = threading.Thread(target=kept)
    second = threading.Thread(target=pool.request, args=("GET", "/closed"))
    first.start()
    second.start()
    first.join()
    second.join()
    before = len(served)
    for _ in range(3):
        pool.request("GET", "/")
    server.shutdown()

each = sorted(served.values())
print(f"{before} connections after two requests at once, {len(served)} after three more;", end=" ")
print(f"requests of each: {each}")
raise SystemExit((before, len(served), each) != (2, 3, [1, 1, 3]))
PYTHON
venv/bin/python look.py
