"""The Result that a Python program gets: the record of the model, and the same as a dict.

Owns: that dict, which is the record that the manifest and `--results` have. Does not know: what
is in it (`manifest/record.py`). Rejected: the method in `model/records.py`. Records are data, and
the model does not know their JSON.
"""

from typing import Any

from scraper.manifest import to_record
from scraper.model import records


class Result(records.Result):
    """What became of one target. Each line that is no comment has exactly one."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """The fields of the manifest's record, as docs/results.md names them, for JSON.

        Secrets are taken out: those of URLs, and the values of headers. A field whose value is
        unknown is absent.
        """
        return to_record(self)
