"""Variants: which form of a body was stored, so that another form is not taken for it.

One URL may have many bodies: coded or not, in another language, for another client. A 304 says
that the body which the server would send now is current. It says nothing of a body in another
form. So the record of a stored body names its form in one field, and a request is compared with
it before it is sent (RFC 9111 4.1 has this rule for caches).

The field is a word and a mark for each request header that decides, separated by blanks:

    plain | decoded | raw    a body without coding; as it is without --raw; kept in its coding
    *                        the response varies by more than headers (`Vary: *`)
    accept-language          the response varies by this header, and the request had none
    accept-language=1f0c9a3e the same, and the request had a value with this digest (32 bits)
    cookie=*                 the same, but the value may be a secret

A secret leaves no digest. Many secrets are short or well known (a PIN, a password), and a reader
of the record could try them one by one. So a body that varies by a secret is never asked about
with a condition: the server sends it again.

Accept-Encoding decides the form only of a body that keeps its coding. Decoded, all codings are
the same bytes.

Owns: this field, written and compared. Does not know: where records are kept, which headers a
request has (`plan.py`). Rejected: a digest of all headers of a request, because any new header
would fetch everything again; a digest keyed with a secret of the user, because a run on another
machine would do the same.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache

from scraper.model import urls
from scraper.model.codings import only_codings
from scraper.model.decode import ACCEPT_ENCODING
from scraper.model.records import TAKEN_OVER

ACCEPT = "*/*"  # what we accept by default
_DECIDES = "accept-encoding"
_ANYTHING = "*"
_MAX_VARY = 300  # characters; a longer value is read as `*`
_TOKEN = re.compile(r"[!#$%&'*+.^`|~0-9a-z-]+")  # a name (RFC 9110 5.6.2)
_IS_RAW = {"plain": None, "decoded": False, "raw": True}  # None: the bytes are the same


def variant_of(
    content_encoding: str | None, vary: str | None, sent: Mapping[str, str], *, raw: bool
) -> str:
    """The variant of a body with these response headers; the request had the headers `sent`.

    `raw`: the body keeps its coding. Names in `sent` are in lower case.
    """
    if vary is None and content_encoding is None and not raw:
        return "plain"  # at once, since it is so for most
    names = () if vary is None else _names_in(vary)
    coded = content_encoding is not None and _is_coded(content_encoding)
    negotiated = coded or _DECIDES in names
    if raw and (negotiated or _DECIDES in sent):
        words = ["raw", _mark(_DECIDES, sent)]
    else:
        words = ["decoded" if negotiated else "plain"]
    words += [_mark(name, sent) for name in names if name != _DECIDES]
    return " ".join(words)


def is_same(variant: str | None, sent: Mapping[str, str], *, raw: bool) -> bool | None:
    """Whether a request with the headers `sent` asks for this `variant`. None: nobody can tell.

    Older records have no variant: the run that wrote them may have used --raw or any header. So
    they are never the same for sure, and another form for a run that asks for a certain one. An
    object that was taken over is in whatever form it is: only its time is compared.
    """
    word, _, rest = (variant or "").partition(" ")
    if word == TAKEN_OVER:
        return True
    if word not in _IS_RAW:
        return False if _asks_for_a_form(sent, raw=raw) else None
    was_raw = _IS_RAW[word]
    if was_raw is not None and was_raw != raw:
        return False
    marks = rest.split()
    if any(mark != _mark(mark.partition("=")[0], sent) for mark in marks):
        return False
    # A server that does not say that it varies by Accept-Encoding may do so all the same.
    uncertain = was_raw is None and raw and _DECIDES in sent
    return None if uncertain or any(mark.endswith(_ANYTHING) for mark in marks) else True


def is_decoded(variant: str | None) -> bool:
    """Whether a coding of this body was undone, or may have been."""
    return variant is not None and variant.partition(" ")[0] == "decoded"


def _asks_for_a_form(sent: Mapping[str, str], *, raw: bool) -> bool:
    """Whether a request negotiates (RFC 9110 12.5) otherwise than ours do by default."""
    default = {"accept": ACCEPT, _DECIDES: ACCEPT_ENCODING}
    return raw or default != {
        name: value
        for name, value in sent.items()
        if name in {"accept", _DECIDES, "accept-language", "accept-charset"}
    }


def _mark(name: str, sent: Mapping[str, str]) -> str:
    """What is recorded of the header `name`."""
    if name == _ANYTHING:
        return _ANYTHING
    value = sent.get(name)
    if value is None:
        return name
    return f"{name}={_ANYTHING if urls.is_secret_header(name) else _digest(value.strip())}"


@lru_cache(256)
def _is_coded(content_encoding: str) -> bool:
    return only_codings(content_encoding) is not None


@lru_cache(1024)
def _digest(value: str) -> str:
    return hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


def _names_in(vary: str) -> tuple[str, ...]:
    """The names in a Vary value (RFC 9110 12.5.5), in order; only `*` for what can't be read."""
    return _read_names(vary) if len(vary) <= _MAX_VARY else (_ANYTHING,)


@lru_cache(1024)
def _read_names(vary: str) -> tuple[str, ...]:
    names = {name.strip() for name in vary.lower().split(",")} - {""}
    if _ANYTHING in names or not all(map(_TOKEN.fullmatch, names)):
        return (_ANYTHING,)
    return tuple(sorted(names))
