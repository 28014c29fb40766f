"""Engines: what carries transfers. One file each; `base.py` is the seam.

All engines mean the same: one suite of cases runs against each of them
(tests/conformance), raw bytes of a server in, Result and stored bytes out. What is
left differs in the libraries' own reading, or is what an engine is there for:

    of                          threads                  curl
    a length that is none       records `http_code`      none: it fails as the line comes
    bare LF in chunks           `truncated`              stored
    a chunk extension > 64 KB   `truncated`              stored
    TLS servers with HTTP/2     HTTP/1.1                 HTTP/2, many transfers a connection
    a socks proxy (all_proxy)   `protocol`               is used
"""
