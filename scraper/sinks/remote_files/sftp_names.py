"""Names at an SFTP server. They are bytes: old systems leave names that are not UTF-8.

paramiko reads names as UTF-8 and fails at any other. Here such bytes are read as surrogates and
sent as they were, as for a local directory.

Owns: that, and how a directory is listed. Does not know: what errors mean (`sftp.py`).
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import paramiko
from paramiko.message import Message
from paramiko.sftp import CMD_CLOSE, CMD_HANDLE, CMD_NAME, CMD_OPENDIR, CMD_READDIR, CMD_STATUS
from paramiko.sftp_attr import SFTPAttributes

_AHEAD = 50  # requests that are on their way, as many as paramiko has


class _Answers:
    """Where paramiko puts answers that nobody waits for by number."""

    def __init__(self) -> None:
        self.come: deque[tuple[int, Message]] = deque()

    def _async_response(self, kind: int, message: Message, number: int) -> None:
        del number
        self.come.append((kind, message))


def sent(path: str) -> bytes:
    """A path as it is sent."""
    return path.encode("utf-8", "surrogateescape")


def listed(client: paramiko.SFTPClient, path: str) -> Iterator[tuple[str, SFTPAttributes]]:
    """The names in a directory, without `.` and `..`. Raises what paramiko does."""
    requests: Any = client  # its types leave these out
    kind, opened = requests._request(CMD_OPENDIR, sent(path))  # noqa: SLF001
    if kind != CMD_HANDLE:
        raise paramiko.SFTPError("the server opens no directory")
    handle, answers, outstanding = opened.get_binary(), _Answers(), 0
    try:
        while True:
            while outstanding < _AHEAD:
                requests._async_request(answers, CMD_READDIR, handle)  # noqa: SLF001
                outstanding += 1
            requests._read_response()  # noqa: SLF001
            outstanding -= 1
            kind, message = answers.come.popleft()
            if kind == CMD_STATUS:
                requests._convert_status(message)  # noqa: SLF001 - EOFError is the end
            yield from _names(kind, message)
    except EOFError:
        requests._request(CMD_CLOSE, handle)  # noqa: SLF001


def _names(kind: int, message: Message) -> Iterator[tuple[str, SFTPAttributes]]:
    """What one answer lists (draft-ietf-secsh-filexfer-02, 7)."""
    if kind != CMD_NAME:
        raise paramiko.SFTPError("the server answers no names")
    for _ in range(message.get_int()):
        name = message.get_string().decode("utf-8", "surrogateescape")
        message.get_string()  # the line of `ls -l`
        facts: Any = SFTPAttributes
        found: SFTPAttributes = facts._from_msg(message)  # noqa: SLF001
        if name not in {".", ".."}:
            yield name, found
