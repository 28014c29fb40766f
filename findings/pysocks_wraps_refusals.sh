#!/bin/sh
# PySocks 1.7.1: a SOCKS proxy's refusal is not raised as SOCKS5Error.
#
# Its README names SOCKS5Error as the exception for a refusal of a SOCKS 5 proxy. Its exceptions are
# OSErrors, and `socksocket.connect` catches `socket.error` (the same class) around the whole
# negotiation. So each of them comes out as GeneralProxyError("Socket error: 0x05: ..."), with the
# real one in `socket_err`. Who catches SOCKS5Error never sees one; urllib3 2.8.0 tells all of
# them as "Failed to establish a new connection".
#
# Seen: "GeneralProxyError Socket error: 0x05: Connection refused; inside: SOCKS5Error"
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q PySocks==1.7.1
cat > "$place/try.py" <<'PY'
import socket
import threading

import socks

server = socket.create_server(("127.0.0.1", 0))


def refuse():
    sock, _ = server.accept()
    sock.recv(3)
    sock.sendall(b"\x05\x00")
    sock.recv(64)
    sock.sendall(b"\x05\x05\x00\x01" + bytes(6))
    sock.recv(1)


threading.Thread(target=refuse, daemon=True).start()
client = socks.socksocket()
client.set_proxy(socks.SOCKS5, "127.0.0.1", server.getsockname()[1])
try:
    client.connect(("192.0.2.1", 80))
except socks.ProxyError as error:
    inside = type(error.socket_err).__name__
    print(f"{type(error).__name__} {error}; inside: {inside}")
    assert type(error) is socks.GeneralProxyError
    assert inside == "SOCKS5Error"
PY
"$place/venv/bin/python" "$place/try.py"
