"""Whether a server asks for a client certificate, as libcurl tells of its handshake.

A server that wants a certificate and gets none should say so by an alert. Some only close the
connection, and nothing tells their failure from any other. libcurl tells each message of a
handshake, but only in words, and a handshake that is told costs some more. So the engine watches
only where a first connection ended without a response (`OriginPool.doubted`).

For an archive the words are read too: which protocol TLS speaks is told nowhere else.

Owns: that reading of libcurl's words, and the options that it takes. Does not know: what follows.
Rejected: to watch each first connection, which is one for each host of a run.
"""

from typing import Any

import pycurl

_TEXT = 0  # libcurl's CURLINFO_TEXT: its words, not data
Versions = dict[tuple[str, int], str]
_MOST_KNOWN = 1 << 16  # there are no more ports
_USING = b"SSL connection using "
_ASKS = b"Request CERT"  # CertificateRequest (RFC 8446 4.3.2, RFC 5246 7.4.4)


class HandshakeWatch:
    """The watch of one easy handle. `asked`: the server asked for a client certificate.

    `tls`: the protocol of the connection that was used last, as OpenSSL names it; None if unknown.
    `versions`: those of all connections of the engine, by their own addresses.
    """

    def __init__(self, easy: Any, versions: Versions) -> None:
        self.asked = False
        self.tls: str | None = None
        self._easy, self._versions = easy, versions
        self._new: str | None = None
        self._on = self._told = False

    def set(self, *, on: bool, archives: bool = False) -> None:
        """Watch the next handshake, or do not. A session taken up again would skip the question.

        `archives`: its protocol is wanted.
        """
        self.asked, self.tls, self._new = False, None, None
        if on != self._on:
            self._on = on
            self._easy.setopt(pycurl.SSL_SESSIONID_CACHE, int(not on))
        if (on or archives) != self._told:
            self._told = on or archives
            self._easy.setopt(pycurl.DEBUGFUNCTION, self._take)
            self._easy.setopt(pycurl.VERBOSE, int(self._told))

    def used(self, local: tuple[str, int]) -> None:
        """The request goes over the connection that has this address here."""
        if self._new is not None:
            if len(self._versions) >= _MOST_KNOWN:
                self._versions.clear()
            self._versions[local] = self._new
        self.tls = self._versions.get(local)

    def _take(self, what: int, words: bytes) -> None:
        """Called by libcurl."""
        if what != _TEXT:
            return
        if self._on and _ASKS in words:
            self.asked = True
        if words.startswith(_USING):
            self._new = words[len(_USING) :].split(None, 1)[0].decode("latin-1")
