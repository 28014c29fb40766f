"""Whether a server asks for a client certificate, as libcurl tells of its handshake.

A server that wants a certificate and gets none should say so by an alert. Some only close the
connection, and nothing tells their failure from any other. libcurl tells each message of a
handshake, but only in words, and a handshake that is told costs some more. So the engine watches
only where a first connection ended without a response (`OriginPool.doubted`).

Owns: that reading of libcurl's words, and the options that it takes. Does not know: what follows.
Rejected: to watch each first connection, which is one for each host of a run.
"""

from typing import Any

import pycurl

_TEXT = 0  # libcurl's CURLINFO_TEXT: its words, not data
_ASKS = b"Request CERT"  # CertificateRequest (RFC 8446 4.3.2, RFC 5246 7.4.4)


class HandshakeWatch:
    """The watch of one easy handle. `asked`: the server asked for a client certificate."""

    def __init__(self, easy: Any) -> None:
        self.asked = False
        self._easy = easy
        self._on = False

    def set(self, *, on: bool) -> None:
        """Watch the next handshake, or do not. A session taken up again would skip the question."""
        self.asked = False
        if on != self._on:
            self._on = on
            self._easy.setopt(pycurl.DEBUGFUNCTION, self._take)
            self._easy.setopt(pycurl.VERBOSE, int(on))
            self._easy.setopt(pycurl.SSL_SESSIONID_CACHE, int(not on))

    def _take(self, what: int, words: bytes) -> None:
        """Called by libcurl."""
        if what == _TEXT and _ASKS in words:
            self.asked = True
