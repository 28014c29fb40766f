"""What moves bytes: `engines/threads/` (requests), `engines/curl/` (libcurl), what both share.

Owns: connections, and mapping foreign errors to ours. Does not know: what a response means,
which target is next. Others import `engines.base` (the seam), `engines.descriptors`,
`engines.proxies`, and one of `engines.threads` and `engines.curl`: each brings its own library.
"""
