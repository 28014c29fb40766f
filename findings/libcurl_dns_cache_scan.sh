#!/bin/sh
# libcurl's multi interface: each transfer costs more the more hosts the DNS cache holds.
#
# Version: pycurl 7.49.0 from PyPI, whose wheel carries libcurl 8.23.0.
# One would guess that a cache of names makes a transfer to a known host cost the same however
# many names it holds. It does not. With every transfer that is taken off the multi handle, libcurl
# looks through the whole cache for entries that are too old. A crawler that gives libcurl its
# addresses by CURLOPT_RESOLVE keeps one entry for each host, so the cost of a page grows with the
# number of hosts: a list over 20,000 hosts spends most of its CPU on that search.
#
# What is measured: CPU seconds of this process for 2,000 pages of one host over one kept
# connection, with 10 and with 20,000 other names in the cache.
#
# Output seen:
#   libcurl/8.23.0
#   2,000 pages: 0.041 s of CPU with 10 other names, 3.640 s with 20,000
#
# The script exits with 1 if the large cache costs less than half as much again as the small one.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" --quiet --disable-pip-version-check install pycurl==7.49.0
cat > "$here/measure.py" <<'PY'
import socket, sys, threading, time
import pycurl

def serve(listener):
    connection, _ = listener.accept()
    waiting = b""
    while data := connection.recv(65536):
        waiting += data
        *whole, waiting = waiting.split(b"\r\n\r\n")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" * len(whole))

def cpu_s(names, pages=2000):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        multi, easy = pycurl.CurlMulti(), pycurl.Curl()
        others = [f"host{n}.test:{port}:127.0.0.1" for n in range(names)]
        easy.setopt(pycurl.URL, f"http://here.test:{port}/")
        easy.setopt(pycurl.WRITEFUNCTION, lambda _: None)
        easy.setopt(pycurl.RESOLVE, [f"here.test:{port}:127.0.0.1", *others])
        begun = 0.0
        for page in range(pages + 1):
            multi.add_handle(easy)
            while True:
                _, running = multi.perform()
                if not running:
                    break
                multi.select(1.0)
            multi.remove_handle(easy)
            if page == 0:  # the entries are in the cache, the connection stands
                easy.setopt(pycurl.RESOLVE, [])
                begun = time.thread_time()
        spent = time.thread_time() - begun
        easy.close()
        multi.close()
        return spent

print(pycurl.version.split()[1])
small, large = min(cpu_s(10) for _ in range(3)), min(cpu_s(20_000) for _ in range(3))
print(f"2,000 pages: {small:.3f} s of CPU with 10 other names, {large:.3f} s with 20,000")
sys.exit(large < 1.5 * small)
PY
"$here/venv/bin/python" "$here/measure.py"
