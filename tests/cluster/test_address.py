"""What `--cluster` names."""

import pytest

from scraper.cluster.address import Address
from scraper.model.errors import UsageError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("local:3", Address("local", 3)),
        (" local:12 ", Address("local", 12)),
        ("tcp://10.0.0.1:8786", Address("tcp://10.0.0.1:8786")),
        ("tls://scheduler.example:8786", Address("tls://scheduler.example:8786")),
        ("tcp://[::1]:8786", Address("tcp://[::1]:8786")),
    ],
)
def test_an_address_is_read(text: str, found: Address) -> None:
    assert Address.parse(text) == found


def test_local_is_a_worker_for_each_core() -> None:
    found = Address.parse("local")
    assert found.local > 0


@pytest.mark.parametrize(
    "text",
    ["", "local:", "local:0", "local:-1", "local:x", "local:257", "10.0.0.1:8786", "tcp://host",
     "http://host:1", "tcp://me:secret@host:1"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Address.parse(text)
