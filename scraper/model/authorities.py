"""Authorities: whose certificates are trusted, for every connection of a run alike.

`--cacert` decides, else the first of the variables that other programs read: `SSL_CERT_FILE` and
`SSL_CERT_DIR` (OpenSSL), `CURL_CA_BUNDLE`, `REQUESTS_CA_BUNDLE`. Without any of them certifi's
list is trusted.

Owns: this order. Does not know: TLS, which connection is meant. Rejected: leaving the variables to
the libraries. Each of them reads other ones.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


class Authorities(NamedTuple):
    """A file of certificates (PEM), or a directory of them as OpenSSL keeps it, or both.

    `named_by` is the option or the variables that name them.
    """

    file: str | None
    directory: str | None
    named_by: str


def authorities(cacert: str | None, environment: Mapping[str, str]) -> Authorities | None:
    """The authorities that the user names; None: nobody names any."""
    if cacert is not None:
        return Authorities(cacert, None, "--cacert")
    set_ones = [name for name in VARIABLES if environment.get(name)]
    if not set_ones:
        return None
    first, *others = set_ones
    if first == "SSL_CERT_FILE" and "SSL_CERT_DIR" in others:
        directory = environment["SSL_CERT_DIR"]
        return Authorities(environment[first], directory, "SSL_CERT_FILE and SSL_CERT_DIR")
    path = environment[first]
    if first == "SSL_CERT_DIR" or os.path.isdir(path):
        return Authorities(None, path, first)
    return Authorities(path, None, first)
