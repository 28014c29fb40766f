"""KeySet: what is in it, as the destination tells keys apart."""

from contextlib import closing

import pytest

from scraper.manifest.codec import Reading
from scraper.manifest.key_set import KeySet


@pytest.mark.parametrize("folds", [False, True])
def test_it_has_what_was_added(folds: bool) -> None:
    with closing(KeySet(Reading(folds))) as keys:
        keys.update(f"host/{n}" for n in range(1000))
        keys.update(["host/A", "host/A"])
        assert all(f"host/{n}" in keys for n in range(1000))
        assert ("host/1000" in keys, "host/A" in keys, "host/a" in keys) == (False, True, folds)
