#!/bin/sh
# botocore 1.44.8: list_objects_v2 takes any XML with status 200 for the list of an empty bucket.
#
# A gateway that wants a sign-in answers with an HTML page and 200. botocore parses it as XML, finds
# none of the elements of a list, and gives back a dict without Contents and without IsTruncated: the
# paginator ends after one page, as for a bucket with nothing in it. IsTruncated stands in every list
# of S3 (ListBucketResult in its API reference), so its absence tells the two apart. Who lists
# to learn what need not be stored, or what may be deleted elsewhere, learns "nothing is there".
# HTML that is no XML (a void element that is not closed) is told as an error 500, and tried again.
#
# Seen: "HTML page: [] objects, IsTruncated in it: False" and "list: [] objects, IsTruncated in it: True".
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q botocore==1.44.8
cat > "$place/try.py" <<'PY'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import botocore.session
from botocore.config import Config

PAGES = {
    "HTML page": b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body></body></html>\n",
    "list": b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
}


class Gateway(BaseHTTPRequestHandler):
    page = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Gateway)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = botocore.session.get_session().create_client(
    "s3", "us-east-1",
    endpoint_url=f"http://127.0.0.1:{server.server_port}",
    aws_access_key_id="a", aws_secret_access_key="b",
    config=Config(retries={"total_max_attempts": 1}),
)
for what, Gateway.page in PAGES.items():
    pages = list(client.get_paginator("list_objects_v2").paginate(Bucket="bucket"))
    objects = [one for page in pages for one in page.get("Contents", [])]
    print(f"{what}: {objects} objects, IsTruncated in it: {'IsTruncated' in pages[0]}")
    assert (len(pages), objects) == (1, [])
    assert ("IsTruncated" in pages[0]) is (what == "list")
PY
"$place/venv/bin/python" "$place/try.py"
