"""What moves bytes: `engines/threads/` (requests), `engines/curl/` (libcurl), what both share.

Owns: connections, and mapping foreign errors to ours. Does not know: what a response means,
which target is next. Others import `engines.base` (the seam), `engines.descriptors`,
`engines.proxies`, `engines.tls` (who is trusted), `engines.tls_context` (files of TLS, checked),
and one of `engines.threads` and `engines.curl`: each brings its own library. `engines.processes`
has children that each run one of these two.

All engines mean the same. One suite of cases runs against each of them (`tests/conformance`):
raw bytes of a server in, Result and stored bytes out. The differences that are left come from
the libraries' own reading, or are the reason for an engine:

    of                          threads                  curl
    a length that is none       records `http_code`      none: it fails as the line comes
    bare LF in chunks           `truncated`              stored
    a chunk extension > 64 KB   `truncated`              stored
    TLS servers with HTTP/2     HTTP/1.1                 HTTP/2, many transfers a connection
"""
