"""Which codings of a body are undone, and which stay on the stored bytes.

Most codings are only for the way, and are undone. But a publisher of `x.tar.gz` may send it with
`Content-Encoding: x-gzip`. Its name says already that it is gzip, and the bytes as they came are
what the publisher's digests are of. So the coding that the name's ending or the media type says
stays, if it is the one that was applied first. wget does the same for gzip.

A token that names no coding (`utf-8`, `aws-chunked`) is no reason to refuse a body. It is left
alone, and recorded.

Owns: that decision. Does not know: how a coding is undone (`model/decode.py`).
"""

from functools import lru_cache
from typing import NamedTuple

from scraper.model.codings import coding_of, said_by
from scraper.model.decode import CAN_BE_UNDONE
from scraper.model.errors import Kind, TransferError

_MAX_CODINGS = 5


class Codings(NamedTuple):
    """What becomes of a Content-Encoding.

    `undone` are the codings that are undone, in the order in which they were applied. `kept` is
    the one that stays. `left` is what the header still says of the stored bytes, None: nothing.
    """

    undone: tuple[str, ...]
    kept: str | None
    left: str | None


def codings(content_encoding: str, content_type: str | None, names: tuple[str, ...]) -> Codings:
    """What becomes of `content_encoding`. Of `names`, the body's, the first with an ending counts.

    Raises TransferError of kind `protocol` for a coding that we did not ask for.
    """
    said = said_by(names, content_type)
    return _with_one_kept(content_encoding, said) if said else _all_undone(content_encoding)


@lru_cache(256)
def _all_undone(content_encoding: str) -> Codings:
    return _with_one_kept(content_encoding, frozenset())


def _with_one_kept(content_encoding: str, said: frozenset[str]) -> Codings:
    """The same; `said` are codings that the body is known to have."""
    tokens = [token.strip() for token in content_encoding.split(",")]
    found = [name for token in tokens if (name := coding_of(token))]
    if len(found) > _MAX_CODINGS:
        raise TransferError(Kind.PROTOCOL, f"{len(found)} content codings, one over the other")
    kept = found.pop(0) if found and found[0] in said else None
    for name in found:
        if name not in CAN_BE_UNDONE:
            raise TransferError(Kind.PROTOCOL, f"content coding {name!r} was not asked for")
    return Codings(tuple(found), kept, _left(tokens, kept))


def _left(tokens: list[str], kept: str | None) -> str | None:
    """The tokens that are not undone, as they were sent."""
    left = []
    for token in tokens:
        name = coding_of(token)
        if name is None:
            if token and token.lower() != "identity":
                left.append(token)
        elif name == kept:
            left.append(token)
            kept = None
    return ", ".join(left) or None
