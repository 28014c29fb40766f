"""Statuses: which responses bring the object that the URL names.

A 2xx says that the request succeeded. It does not say that the body is what the URL names: the
work may still go on (202), there may be nothing (204), or many answers in one (207). Such a
response ends the attempt as a failure, so that an earlier good object stays. docs/results.md has
the table for users.

Owns: that table. Does not know: what is tried again (`schedule/retry.py`); a 206 and a 226,
which answer something that was asked (`conditions.py`). Rejected: wget's rule, by which any 2xx
is the page. An empty 204 would take the place of yesterday's page.
"""

_SEVERAL = "several answers in one, and some of them may be failures"
_NO_OBJECT = {
    202: "accepted, and not ready yet",  # RFC 9110 15.3.3
    204: "no content",  # RFC 9110 15.3.5
    205: "no content",  # RFC 9110 15.3.6
    207: _SEVERAL,  # RFC 4918 13
    208: _SEVERAL,  # RFC 5842 7.1
}


def why_no_object(status: int) -> str | None:
    """What is said of a response that brings no object; None: its body is the object.

    An unknown 2xx means what 200 means (RFC 9110 15).
    """
    if not 200 <= status < 300:
        return f"HTTP {status}"
    said = _NO_OBJECT.get(status)
    return said and f"HTTP {status}: {said}"
