"""What `--cluster` names: `local`, `local:4`, or the address of a scheduler.

Owns: that form. Does not know: what is done with it.
"""

import re
from typing import NamedTuple, Self

from scraper.model.errors import UsageError
from scraper.model.process_count import process_count

_SCHEDULER = r"(tcp|tls)://[^\s/@]+:[0-9]{1,5}"
_MOST_LOCAL = 256


class Address(NamedTuple):
    """`local`: so many workers on this machine; 0: those of the scheduler at `url`."""

    url: str
    local: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `text` means. Raises UsageError."""
        word, _, count = text.strip().partition(":")
        if word == "local" and not count and text.strip() == "local":
            found = process_count("auto")
            return cls("local", found if isinstance(found, int) else 1)
        if word == "local" and count.isascii() and count.isdigit() and int(count) > 0:
            if int(count) > _MOST_LOCAL:
                raise UsageError(f"--cluster {text!r}: at most {_MOST_LOCAL} workers here")
            return cls("local", int(count))
        if re.fullmatch(_SCHEDULER, text.strip()):
            return cls(text.strip())
        raise UsageError(
            f"--cluster {text!r} is not local, local:N or the address of a scheduler, such as"
            " tcp://10.0.0.1:8786"
        )
