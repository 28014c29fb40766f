#!/bin/sh
# obstore deletes one Azure blob by a batch (POST ?comp=batch), never by DELETE. Whoever allows
# requests by their method, or emulates Azure, sees no DELETE at all.
#
# Versions: obstore 0.12.1 (object_store 0.14.2).
# A put is "PUT /acct/cont/k", as expected. Guessed for `obstore.delete(store, "k")`: "DELETE /acct/cont/k".
# Seen: "POST /acct/cont?restype=container&comp=batch", whose body has one DELETE.
# So: a store of our own that answers must know batches (Azurite answers 500 to one that is signed by an
# account SAS), and an error of a delete is in the text of the batch's answer ("... (code: 404)").
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --disable-pip-version-check -q install 'obstore==0.12.1'
"$work/venv/bin/python" - <<'END'
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import obstore
from obstore.store import AzureStore

seen = []


class Handler(BaseHTTPRequestHandler):
    def do_PUT(self):
        self.rfile.read(int(self.headers.get("content-length", "0")))
        seen.append(f"{self.command} {self.path}")
        self.send_response(201 if self.command == "PUT" else 400)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_DELETE = do_PUT

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
store = AzureStore(
    "cont",
    account_name="acct",
    account_key="a2V5",
    endpoint=f"http://127.0.0.1:{server.server_port}/acct",
    client_options={"allow_http": True},
    retry_config={"max_retries": 0},
)
obstore.put(store, "k", b"x", use_multipart=False)
try:
    obstore.delete(store, "k")
except Exception as error:
    print("delete:", str(error).splitlines()[0])
print(*seen, sep="\n")
expected = ["PUT /acct/cont/k", "POST /acct/cont?restype=container&comp=batch"]
sys.exit(seen != expected and "it behaves otherwise now")
END
