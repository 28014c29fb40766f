"""Contexts of OpenSSL: one serves all connections of a run.

Owns: the files of --cacert, --cert and --cert-key, read and checked. Does not know: connections,
libcurl, which reads them itself. Rejected: a context for each host, as urllib3 makes one. To read
and parse a bundle of 118 certificates takes 56 ms.
"""

import os
import ssl
from collections.abc import Iterable

from scraper.engines.tls import check_variables, trusted
from scraper.model.errors import UsageError
from scraper.model.settings import Http


class SharedContext(ssl.SSLContext):
    """A context for many threads: once it is made, nothing in it is set again.

    urllib3 sets the protocols again for each connection. OpenSSL frees the old ones then, which
    another thread may be reading.
    """

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Leave them as they are."""


def make_context(http: Http, *, with_certificate: bool = True) -> SharedContext:
    """The context of all connections of a run. Raises OSError if a file can't be read.

    `with_certificate`: a server that asks for it gets the user's own. A proxy does not.
    """
    context = SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    ssl.SSLContext.set_alpn_protocols(context, ["http/1.1"])
    if keys := os.environ.get("SSLKEYLOGFILE"):
        context.keylog_filename = keys
    if http.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        whose = trusted(http)
        context.load_verify_locations(whose.file, whose.directory)
    if http.cert is not None and with_certificate:
        _load_own(context, http)
    return context


def check_files(http: Http) -> None:
    """Raise UsageError unless the files that the user names hold what they should."""
    check_variables(http)
    if http.cacert is not None and not http.insecure:
        _check_authorities(http.cacert)
    if http.cert is None:
        return
    try:
        _load_own(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), http)
    except OSError as error:
        name, path = "--cert", http.cert
        if http.cert_key is not None and os.access(http.cert, os.R_OK):
            name, path = "--cert-key", http.cert_key
        wrong = error.strerror
        if isinstance(error, ssl.SSLError):
            wrong = "no certificate and its key in PEM, without a password"
            name, path = "--cert", http.cert
        raise UsageError(f"{name} {path!r}: {wrong}") from None


def _check_authorities(path: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # ssl.SSLError is one
        wrong = "no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(f"--cacert {path!r}: {wrong}") from None


def _load_own(context: ssl.SSLContext, http: Http) -> None:
    assert http.cert is not None
    # Without a function for the password OpenSSL would ask for it on the terminal.
    context.load_cert_chain(http.cert, http.cert_key, password=lambda: "")
