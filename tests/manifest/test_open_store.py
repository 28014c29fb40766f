"""Where the manifest of a destination is kept."""

from pathlib import Path

import pytest

from scraper.manifest.open_store import open_store, read_lines
from scraper.manifest.record import encode
from scraper.manifest.store import StoreTimeouts
from scraper.model.errors import DestinationError
from scraper.sinks.directory.sink import DirectorySink
from tests.histories import (
    stored,
)


@pytest.mark.parametrize("given", [None, "elsewhere/m.jsonl"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_manifest_is_beside_the_bodies_unless_another_place_is_given(
    given: str | None, scheme: str, tmp_path: Path
) -> None:
    sink = DirectorySink(tmp_path)
    chosen = None if given is None else f"{tmp_path}/{given}"
    store = open_store(chosen, f"{scheme}{tmp_path}", sink, StoreTimeouts(1.0))
    store(stored("a"))
    store.close()
    store.release()
    place = tmp_path / (given or ".scraper/manifest.jsonl")
    assert store.place == str(place)
    named = "" if given is None else str(tmp_path)
    assert place.read_bytes() == encode(stored("a"), None, named)


@pytest.mark.parametrize("destination", ["nowhere", "memory://nowhere"])
def test_a_manifest_that_is_not_there_can_not_be_read(destination: str, tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path)
    place = f"{tmp_path}/{destination}" if "://" not in destination else destination
    with pytest.raises(DestinationError, match="manifest"):
        list(read_lines(None, place, sink))
    assert list(tmp_path.iterdir()) == []
