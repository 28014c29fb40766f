#!/bin/sh
# bagit 1.9.0 (the Python package) takes %25 in a manifest of a bag for three characters.
#
# RFC 8493 2.1.3 has a `%` of a name written as %25. bagit undoes %0A and %0D alone, and passes
# re.IGNORECASE where re.sub has the count, so %0a stays too. A bag that follows the RFC and has a
# file `a%20b` is incomplete for it; one with the name as it is is valid.
#
# Seen: "%25: BagValidationError; as it is: valid"
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q bagit==1.9.0 'setuptools<81'
cat > "$place/try.py" <<'PY'
import hashlib
import pathlib

import bagit

bag = pathlib.Path("bag")
(bag / "data").mkdir(parents=True)
(bag / "data" / "a%20b").write_bytes(b"x")
(bag / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")


def told(name):
    digest = hashlib.sha256(b"x").hexdigest()
    (bag / "manifest-sha256.txt").write_text(f"{digest}  data/{name}\n")
    try:
        bagit.Bag(str(bag)).validate()
    except bagit.BagError as error:
        return type(error).__name__
    return "valid"


seen = f"%25: {told('a%2520b')}; as it is: {told('a%20b')}"
print(seen)
assert seen == "%25: BagValidationError; as it is: valid"
PY
cd "$place" && venv/bin/python try.py 2>/dev/null
