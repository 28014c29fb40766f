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

_NO_OBJECT = b"the program printed no JSON object"


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
        if self.returncode == 0 and not _is_object(out):
            self.returncode, err = 1, _NO_OBJECT
        return out, err.decode(errors="replace").encode()


def _is_object(text: bytes) -> bool:
    with suppress(ValueError):
        return isinstance(json.loads(text.decode()), dict)
    return False


def tell_of_it(core: Any) -> None:
    """Make a session of botocore tell what is wrong with the program of its profile."""
    from botocore.credentials import ProcessProvider

    profile = core.get_config_variable("profile") or "default"
    told = ProcessProvider(profile, lambda: core.full_config, _Asked)
    core.get_component("credential_provider").insert_before(ProcessProvider.METHOD, told)
