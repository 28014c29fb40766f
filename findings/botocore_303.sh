#!/bin/sh
# botocore 1.44.8 with urllib3 2.8.0: an endpoint's 303 to a put is no redirect and no answer, but a
# TypeError inside an HTTPClientError.
#
# botocore asks urllib3 for one request (Retry(False)) and gives it headers of bytes. At a 303 with
# Location urllib3 makes the request ready for a GET before it looks whether it may follow. It takes
# headers out, and reads their values as text. So the status, and where to, are lost; 301, 302, 307
# and 308 are answers as others are.
#
# Seen: "HTTPClientError An HTTP Client raised an unhandled exception: sequence item 0: expected str
# instance, bytes found" for 303, and "ClientError 308" for 308.
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q botocore==1.44.8 urllib3==2.8.0
cat > "$place/try.py" <<'PY'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


class Redirecting(BaseHTTPRequestHandler):
    status = 303

    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        self.send_header("Location", "https://192.0.2.1/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Redirecting)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = botocore.session.get_session().create_client(
    "s3", "us-east-1",
    endpoint_url=f"http://127.0.0.1:{server.server_port}",
    aws_access_key_id="a", aws_secret_access_key="b",
    config=Config(retries={"total_max_attempts": 1}),
)
for Redirecting.status in (303, 308):
    try:
        client.put_object(Bucket="bucket", Key="key", Body=b"x")
    except (BotoCoreError, ClientError) as error:
        status = (getattr(error, "response", None) or {}).get("ResponseMetadata", {}).get("HTTPStatusCode")
        print(Redirecting.status, type(error).__name__, status or error)
        if Redirecting.status == 303:
            assert "sequence item 0: expected str instance, bytes found" in str(error)
        else:
            assert status == 308
PY
"$place/venv/bin/python" "$place/try.py"
