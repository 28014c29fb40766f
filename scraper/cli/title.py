"""The process's title: what `ps` shows of the command line, without what may be secret.

As curl does: until it is hidden, in the first moments of a run, others can see it. A
variable (`SCRAPER_HEADER`, `SCRAPER_PROXY`) or a file (`--config`) is never seen.

Owns: that title. Refuses to know: what options mean, but for the look of a secret.
"""

import re
import sys
from collections.abc import Iterator, Sequence

_MAY_BE_SECRET = re.compile("[:@=%]")  # what has none of these is not looked at
# A header as -H takes it, with whatever of the option is in the same word.
_HEADER = r"(?P<before>-\w*H|--header=|)(?P<name>[!#$%&'*+.^`|~\w-]+):\s*.*"


def hide_secrets() -> None:
    """Give the process another title if its own tells a secret."""
    words = sys.orig_argv
    if not any(map(_MAY_BE_SECRET.search, words)):
        return  # `scraper --help` imports nothing for this
    shown = list(redacted(words))
    if shown != words:
        from setproctitle import setproctitle  # rewrites what the system shows; seldom needed

        setproctitle(" ".join(shown))


def redacted(words: Sequence[str]) -> Iterator[str]:
    """The words of a command line, those that may be secret replaced or cut."""
    from scraper.model import urls

    for word in words:
        header = re.fullmatch(_HEADER, word, re.DOTALL)
        if header is not None and urls.is_secret_header(header["name"]):
            yield f"{header['before']}{header['name']}: REDACTED"
        elif "@" in word or "=" in word or "%" in word:
            yield urls.redact_wreck(word)
        else:
            yield word
