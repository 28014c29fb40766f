"""What earlier runs left, for a look ahead (--dry-run): nothing is written, no store is asked.

Owns: what of a history can be known so. Does not know: what follows (`history.py`).
"""

from scraper.manifest.history import History
from scraper.manifest.identity import Identity
from scraper.manifest.open_store import exists, lines_from, path_for, reading_of
from scraper.manifest.secret_file import read_secret, secret_path_of
from scraper.model.errors import DestinationError
from scraper.model.settings import Earlier
from scraper.sinks.base import ReadableSink, Sink


def preview_history(
    earlier: Earlier, manifest: str | None, destination: str, sink: Sink
) -> History | None:
    """The history of a run with `earlier`. None if that can't be known without asking a store.

    `manifest` is the path of the manifest, if one was named. Raises DestinationError.
    """
    if not (earlier.resume or earlier.retry_failed or earlier.skip_existing):
        return no_history(sink)
    near = sink if isinstance(sink, ReadableSink) and sink.near else None
    file = path_for(manifest, destination)
    if file is None or (near is None and earlier.skip_existing):
        return None
    from scraper.manifest.existing import NearObjects
    from scraper.manifest.index import Index

    index = Index("", reading_of(manifest, destination, sink))
    if exists(manifest, destination, sink):
        index.absorb(lines_from(manifest, destination, sink)())
    finder = NearObjects(near) if near is not None and earlier.skip_existing else None
    try:
        secret = read_secret(secret_path_of(file.resolve()))
    except OSError as error:
        raise DestinationError(f"can't read what is beside {str(file)!r}: {error}") from None
    return History(earlier, sink, Identity(secret), index, finder)


def no_history(sink: Sink) -> History:
    """The history of a first run."""
    return History(Earlier(), sink, Identity(), None)
