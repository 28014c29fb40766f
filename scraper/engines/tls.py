"""TLS, the same for every engine: who is trusted, and what its errors say.

Owns: which files that means, a first look at them; the hints in messages. Does not know: contexts
of OpenSSL (`tls_context.py`), connections.
"""

import os
import re

from scraper.model.authorities import Authorities, authorities
from scraper.model.errors import Kind, TransferError, UsageError
from scraper.model.settings import Http

# Texts: few runs need them, and `re` compiles one on its first use.
_ASKED = r"(?i)alert.(?:certificate.required|bad.certificate|no.certificate)"
_ALERT = r"(?i)(?:tls|ssl)\S* alert "
_UNTRUSTED = r"(?i)issuer certificate|self.signed certificate"
_WANTED = "the server asks for a client certificate (--cert FILE)"


def trusted(http: Http) -> Authorities:
    """The authorities of a run: those that the user names, else certifi's."""
    named = authorities(http.cacert, os.environ)
    if named is not None:
        return named
    import certifi

    return Authorities(certifi.where(), None, "certifi")


def check_variables(http: Http) -> None:
    """Raise UsageError if the variables name no certificates.

    Nothing is parsed: that takes 56 ms for an ordinary bundle, and its reader says what is wrong.
    """
    named = None if http.insecure or http.cacert else authorities(None, os.environ)
    if named is None:
        return
    for path in filter(None, (named.file, named.directory)):
        try:
            wrong = _wrong_with(path, is_file=path == named.file)
        except OSError as error:
            wrong = error.strerror or "can't be read"
        if wrong:
            hint = "--cacert FILE names another file"
            raise UsageError(f"{named.named_by} {path!r}: {wrong}", hint=hint)


def _wrong_with(path: str, *, is_file: bool) -> str:
    if not is_file:
        os.listdir(path)
        return ""
    with open(path, "rb") as file:
        return "" if b"-----BEGIN " in file.read() else "no certificates in PEM"


def explained(message: str) -> str:
    """`message` of a TLS library, and the option that may help."""
    if re.search(_ASKED, message):
        return f"{message}: {_WANTED}"
    if re.search(_UNTRUSTED, message):
        return f"{message} (--cacert FILE names whom to trust)"
    return message


def wants_certificate() -> TransferError:
    """The failure of a connection that its server closed after it had asked for a certificate."""
    text = f"TLS: connection was closed: {_WANTED}"
    return TransferError(Kind.TLS, text, transient=False, unreachable=True)


def is_alert(message: str) -> bool:
    """Whether the other side ended TLS with an alert, which it would do again (RFC 8446 6.2)."""
    return bool(re.search(_ALERT, message)) and "close notify" not in message
