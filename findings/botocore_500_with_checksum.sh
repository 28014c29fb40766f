#!/bin/sh
# botocore 1.44.8 (boto3 1.44.8), Python 3: a GetObject that is answered 500, with a header
# x-amz-checksum-crc32 and an ordinary XML error, is no ClientError. It is an AttributeError,
# raised within botocore, so neither its retries nor `except ClientError` see it.
#
# Servers do answer so: some write the headers of the stored object before they open its file, and
# then fail (an object that is replaced while it is read, for example).
#
# Cause: by default (response_checksum_validation="when_supported") the body of any answer that has
# such a header is wrapped in a StreamingChecksumBody, which the parser of errors then treats as
# bytes. With "when_required" the same answer is a ClientError with its code.
#
# Output seen:
#   when_supported AttributeError 'StreamingChecksumBody' object has no attribute 'strip'
#   when_required ClientError InternalError
set -eu
where=$(mktemp -d)
trap 'rm -rf "$where"' EXIT
python3 -m venv "$where/venv"
"$where/venv/bin/pip" -q --disable-pip-version-check install boto3==1.44.8 botocore==1.44.8
cat > "$where/try.py" <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.config import Config

BODY = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>later</Message></Error>"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500)
        self.send_header("Content-Type", "application/xml")
        self.send_header("x-amz-checksum-crc32", "AAAAAA==")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for validation in ("when_supported", "when_required"):
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.server_address[1]}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            response_checksum_validation=validation,
        ),
    )
    try:
        client.get_object(Bucket="bucket", Key="key")
    except Exception as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", error)
        print(validation, type(error).__name__, code)
PYTHON
seen=$("$where/venv/bin/python" "$where/try.py")
echo "$seen"
expected="when_supported AttributeError 'StreamingChecksumBody' object has no attribute 'strip'
when_required ClientError InternalError"
[ "$seen" = "$expected" ]
