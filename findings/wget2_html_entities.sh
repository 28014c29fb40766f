#!/bin/sh
# wget2 1.99.1 (Debian 12: 1.99.1-2.2): links of HTML are taken as they are written. Character references are not undone.
#
# A link with a query is written with `&amp;` in HTML. wget2 asks for that literally, with -i --force-html and with -r.
# After `&#38;` it takes the rest for a fragment, which is never sent. Servers then see parameters called `amp;y`, and
# mostly answer 200, so that a copy of a site has wrong pages and no error. wget 1 undoes both.
#
# It needs apt-get on Debian 12. Seen, for links that mean /a?x=1&y=2 and /b?x=1&y=2:
#   -i: /a?x=1&amp;y=2 /b?x=1&
#   -r: /a?x=1&amp;y=2 /b?x=1&
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir -p "$place/debs/partial" "$place/root"
apt-get -qq -y --no-install-recommends --download-only --reinstall -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o "Dir::Cache::archives=$place/debs" \
  install wget2=1.99.1-2.2 libwget0=1.99.1-2.2 > /dev/null
for package in "$place"/debs/*.deb; do dpkg -x "$package" "$place/root"; done
cat > "$place/try.py" <<'PY'
import http.server
import os
import subprocess
import sys
import threading

place = sys.argv[1]
page = b'<a href="/a?x=1&amp;y=2">one</a> <a href="/b?x=1&#38;y=2">two</a>'
asked = []


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        body = page if self.path == "/" else b"text"
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/" else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/"
with open(f"{place}/page.html", "wb") as file:
    file.write(page)
libraries = f"{place}/root/usr/lib/x86_64-linux-gnu:{place}/root/lib/x86_64-linux-gnu"
environment = {**os.environ, "LD_LIBRARY_PATH": libraries, "HOME": place}
wget2 = [f"{place}/root/usr/bin/wget2", "--no-config", "--no-robots", "-q", "-P", f"{place}/out"]
for way, words in (("-i", ["--force-html", "--base", base, "-i", f"{place}/page.html"]), ("-r", ["-r", "-l", "1", base])):
    asked.clear()
    subprocess.run([*wget2, *words], env=environment, timeout=60, check=True)
    found = sorted(path for path in asked if path.startswith(("/a", "/b")))
    print(f"{way}:", *found)
    assert found == ["/a?x=1&amp;y=2", "/b?x=1&"], found
PY
python3 "$place/try.py" "$place"
