"""A part of a file that a list asks for: `--cdx-range`.

Owns: which responses bring that part. Does not know: who asked (`source/captures.py`). A part of a
body that others bring too is another thing (`part_transfer.py`).
"""

import re

from scraper.model.errors import Kind, TransferError
from scraper.model.expected import Expected
from scraper.transfer.exchange import Reply

_CONTENT_RANGE = r"(?i)bytes +([0-9]{1,18})-([0-9]{1,18})/(?:[0-9]{1,18}|\*)"


def check_part(reply: Reply, expected: Expected) -> None:
    """Raise TransferError unless `reply`, a success, brings the bytes that are `expected`.

    That is a 206 with just these (RFC 9110 15.3.7), or a 200 if the file may have no others; then
    its size decides.
    """
    first, size = expected.first, expected.size
    if first is None or size is None:
        return
    wanted = f"bytes {first}-{first + size - 1} were asked for"
    if reply.status != 206:
        if first:
            raise _another(f"the server sent the whole file, {wanted}")
        return
    said = (reply.get("content-range") or "").strip()
    found = re.fullmatch(_CONTENT_RANGE, said)
    if found is None:
        raise _another(f"206 without a Content-Range of bytes, {wanted}")
    if (int(found[1]), int(found[2])) != (first, first + size - 1):
        raise _another(f"the server sent {said[:60]}, {wanted}")


def _another(message: str) -> TransferError:
    return TransferError(Kind.MISMATCH, message, transient=False)
