#!/bin/sh
# tarfile of Python 3.10 to 3.13 reads a .tar.gz of several gzip members to the end of the first one,
# where it reads a stream (mode r|gz). It says nothing of the rest.
#
# RFC 1952 2.2 lets a file have several members, as gzip -dc, bsdtar and tarfile's own r:gz read it.
# So a .tar.gz that is written as one gzip member for each file loses all but the first one there. One
# gzip stream with a flush after each file is read as a whole by all of them.
#
# Seen with 3.11.7: "members r:gz 12, r|gz 1; one stream r:gz 12, r|gz 12"
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cat > "$place/try.py" <<'PY'
import gzip
import io
import sys
import tarfile
import zlib

pieces = []
for number in range(12):
    info = tarfile.TarInfo(f"file-{number}")
    info.size = 30_000
    body = bytes(str(number), "ascii") * 30_000
    pieces.append(info.tobuf() + body[:30_000] + bytes(-30_000 % 512))
pieces.append(bytes(1024))

members = b"".join(map(gzip.compress, pieces))
one = zlib.compressobj(wbits=31)
flushed = b"".join(one.compress(piece) + one.flush(zlib.Z_SYNC_FLUSH) for piece in pieces)
stream = flushed + one.flush()


def count(data, mode):
    with tarfile.open(fileobj=io.BytesIO(data), mode=mode) as opened:
        return sum(1 for _ in opened)


told = [f"r:gz {count(data, 'r:gz')}, r|gz {count(data, 'r|gz')}" for data in (members, stream)]
seen = f"members {told[0]}; one stream {told[1]}"
print(sys.version.split()[0], seen)
assert seen == "members r:gz 12, r|gz 1; one stream r:gz 12, r|gz 12"
PY
python3 "$place/try.py"
