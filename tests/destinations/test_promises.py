"""Every kind of destination by every promise: a directory always, the others with PROOF_SLOW."""

from pathlib import Path

import pytest

from tests.destinations.kinds import KINDS, Kind, Missing
from tests.destinations.promises import PROMISES, Trial
from tests.destinations.site import Site
from tests.e2e.command import Command

_EACH = [
    pytest.param(kind, id=kind.name, marks=[] if kind.name == "directory" else pytest.mark.slow)
    for kind in KINDS
]


@pytest.mark.parametrize("promise", [*PROMISES])
@pytest.mark.parametrize("kind", _EACH)
def test_what_is_promised_of_every_destination_holds(
    kind: Kind, promise: str, tmp_path: Path
) -> None:
    directory = tmp_path / "work"
    directory.mkdir()
    cli = Command(directory)
    try:
        with kind.start(tmp_path, cli) as place, Site() as site:
            assert PROMISES[promise](Trial(place, site, cli))
    except Missing as missing:
        pytest.skip(str(missing))
