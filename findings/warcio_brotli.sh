#!/bin/sh
# warcio 1.8.1: `warcio check`, `index` and whatever reads a body with `Content-Encoding: br` end with a
# traceback where Brotli is installed.
#
# warcio sets an attribute of its own (`unused_data`) on a brotli.Decompressor, and that type takes
# none. Without Brotli warcio gives such bodies as they are, so an archive that is right
# can be checked on one machine and not on the other. cdxj-indexer and pywb read by warcio, too.
#
# Seen: "with Brotli 1.1.0: AttributeError: 'brotli.Decompressor' object has no attribute 'unused_data'",
# and the same with 1.2.0.
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
cat > "$place/try.py" <<'PY'
import io

import brotli
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

archive = io.BytesIO()
writer = WARCWriter(archive, gzip=True)
head = StatusAndHeaders("200 OK", [("Content-Encoding", "br")], protocol="HTTP/1.1")
page = io.BytesIO(brotli.compress(b"a page"))
writer.write_record(writer.create_warc_record("http://h/", "response", payload=page, http_headers=head))
archive.seek(0)
try:
    for record in ArchiveIterator(archive):
        assert record.content_stream().read() == b"a page"
    said = "ok"
except AttributeError as error:
    said = f"AttributeError: {error}"
print(f"with Brotli {brotli.__version__}: {said}")
PY
for version in 1.1.0 1.2.0; do
  "$place/venv/bin/pip" install -q warcio==1.8.1 "brotli==$version"
  "$place/venv/bin/python" "$place/try.py"
done
