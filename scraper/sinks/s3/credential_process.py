"""Credentials from a program (`credential_process` of a profile) that prints something else.

botocore expects a JSON object of a program that ends with 0. If there is none it raises whatever
comes of it: errors of JSON, of attributes, of files. Here all are its CredentialRetrievalError.

Owns: what is wrong with such a program, in words. Does not know: profiles that others are sources
of (`source_profile`), which botocore asks by itself.
"""

import json
from contextlib import suppress
from subprocess import Popen
from typing import Any

_NO_OBJECT = "the program printed no JSON object"
_NO_TEXT = "the program printed {} that is no text"
_NO_DATE = "the program printed an Expiration that is no date with a time zone"


class _Asked:
    """A program, as botocore asks it."""

    def __init__(self, words: list[str], **options: Any) -> None:
        from botocore.exceptions import CredentialRetrievalError

        self.returncode = 0
        try:
            self._process = Popen(words, **options)  # noqa: S603 - the user names it
        except (OSError, IndexError) as error:
            why = f"{' '.join(words[:1])!r}: {getattr(error, 'strerror', 'no program')}"
            raise CredentialRetrievalError(provider="custom-process", error_msg=why) from None

    def communicate(self) -> tuple[bytes, bytes]:
        """Its output and its errors; one without an object is a failure."""
        out, err = self._process.communicate()
        self.returncode = self._process.returncode
        if self.returncode == 0 and (wrong := _wrong(out)):
            self.returncode, err = 1, wrong.encode()
        return out, err.decode(errors="replace").encode()


def _wrong(text: bytes) -> str:
    """What is wrong with what a program printed, "" if botocore can read it.

    https://docs.aws.amazon.com/cli/v1/userguide/cli-configure-sourcing-external.html
    """
    printed = None
    with suppress(ValueError):
        printed = json.loads(text.decode())
    if not isinstance(printed, dict):
        return _NO_OBJECT
    for name in ("AccessKeyId", "SecretAccessKey"):  # one that is missing is told by botocore
        if not isinstance(printed.get(name, ""), str):
            return _NO_TEXT.format(f"an {name}" if name[0] == "A" else f"a {name}")
    return "" if _is_moment(printed.get("Expiration")) else _NO_DATE


def _is_moment(text: object) -> bool:
    """Whether it is a date with a time zone, as botocore's library reads it; or None."""
    from dateutil import parser

    if text is None:
        return True
    try:
        return parser.parse(str(text)).tzinfo is not None
    except (ValueError, OverflowError):
        return False


def tell_of_it(core: Any) -> None:
    """Make a session of botocore tell what is wrong with the program of its profile."""
    from botocore.credentials import ProcessProvider

    profile = core.get_config_variable("profile") or "default"
    told = ProcessProvider(profile, lambda: core.full_config, _Asked)
    core.get_component("credential_provider").insert_before(ProcessProvider.METHOD, told)
