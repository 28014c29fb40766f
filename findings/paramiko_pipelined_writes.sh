#!/bin/sh
# paramiko 5.1.0 raises nothing for a write that failed, in a file that is `set_pipelined(True)`.
#
# Its own `putfo` and `put` write so. Answers to the last writes are thrown away when the file is
# closed. A server whose disk is full for one write in the middle has a hole there, and the size is
# right, so that comparing sizes (as `put` does) does not find it either.
#
# Seen: "plain: OSError Failure; pipelined: no error, 98304 bytes of 98304 with a hole"
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q paramiko==5.1.0
cat > "$place/try.py" <<'PY'
import logging
import socket
import threading

import paramiko

logging.getLogger("paramiko").setLevel(logging.CRITICAL)
PIECE = 32768
stored = {}


class Handle(paramiko.SFTPHandle):
    def write(self, offset, data):
        if offset == PIECE:  # as a disk that is full for a moment
            return paramiko.SFTP_FAILURE
        stored["bytes"][offset : offset + len(data)] = data
        return paramiko.SFTP_OK


class Files(paramiko.SFTPServerInterface):
    def open(self, path, flags, attr):
        stored["bytes"] = bytearray(3 * PIECE)
        return Handle(flags)


class Anyone(paramiko.ServerInterface):
    def check_auth_none(self, username):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED


listening = socket.create_server(("127.0.0.1", 0))


def serve():
    server = paramiko.Transport(listening.accept()[0])
    server.add_server_key(paramiko.ECDSAKey.generate())
    server.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
    server.start_server(server=Anyone())


threading.Thread(target=serve, daemon=True).start()
client = paramiko.Transport(listening.getsockname())
client.connect()
client.auth_none("me")
sftp = paramiko.SFTPClient.from_transport(client)


def told(pipelined):
    try:
        with sftp.open("file", "wb") as file:
            file.set_pipelined(pipelined)
            file.write(b"x" * 3 * PIECE)
    except OSError as error:
        return f"{type(error).__name__} {error}"
    hole = bytes(stored["bytes"][PIECE : 2 * PIECE]) == bytes(PIECE)
    return f"no error, {len(stored['bytes'])} bytes of {3 * PIECE}" + (" with a hole" if hole else "")


seen = f"plain: {told(False)}; pipelined: {told(True)}"
print(seen)
assert seen == "plain: OSError Failure; pipelined: no error, 98304 bytes of 98304 with a hole"
PY
cd "$place" && timeout 60 venv/bin/python -W ignore try.py
