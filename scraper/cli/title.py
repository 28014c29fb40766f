"""The command line without secrets: as the title of the process, which `ps` shows, and for logs.

curl does the same. In the first moments of a run, before the title is changed, others can
see the command line. They never see a variable (`SCRAPER_HEADER`, `SCRAPER_PROXY`) or a
file (`--config`).

Owns: that title. Does not know: what options mean; it only knows what a secret looks like.
"""

import re
import sys
from collections.abc import Iterator, Sequence

_MAY_BE_SECRET = re.compile("[:@=%]")  # a word without any of these holds no secret
# Characters that no shell reads as anything else, as `shlex.quote` has them.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-")
_URL = "http:", "https:", "s3:", "gs:", "az:"  # no secret header has these names
# A header as -H takes it; the option may be in the same word.
_HEADER = r"(?P<before>-\w*H|--header=|)(?P<name>[!#$%&'*+.^`|~\w-]+):\s*.*"


def hide_secrets() -> None:
    """Change the title of the process if its command line holds a secret."""
    words = sys.orig_argv
    if not any(map(_MAY_BE_SECRET.search, words)):
        return  # `scraper --help` imports nothing for this
    shown = list(redacted(words))
    if shown != words:
        from setproctitle import setproctitle  # seldom needed, so not imported at the top

        setproctitle(" ".join(shown))


def command_line(words: Sequence[str]) -> str:
    """`scraper` with these words, as a shell reads it, without secrets."""
    told = ["scraper", *redacted(words)]
    if all(word and _PLAIN.issuperset(word) for word in told):
        return " ".join(told)  # most are so; shlex is one more import of every run
    from shlex import join

    return join(told)


def redacted(words: Sequence[str]) -> Iterator[str]:
    """The words of a command line. Secrets in them are replaced or cut off."""
    from scraper.model import urls

    after_user = False
    for word in words:
        if after_user:
            after_user = False
            yield "REDACTED"
            continue
        if user := re.match(r"(-[a-zA-Z]*u|--user=)(?=.)", word):
            yield f"{user[1]}REDACTED"
            continue
        after_user = re.fullmatch(r"-[a-zA-Z]*u|--user", word) is not None
        header = None
        if ":" in word and not word.startswith(_URL):  # the pattern takes long to compile
            header = re.fullmatch(_HEADER, word, re.DOTALL)
        if header is not None and urls.is_secret_header(header["name"]):
            yield f"{header['before']}{header['name']}: REDACTED"
        elif "@" in word or "=" in word or "%" in word:
            yield urls.redact_wreck(word)
        else:
            yield word
