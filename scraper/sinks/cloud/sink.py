"""The sinks for `gs://bucket/prefix` and `az://container/prefix`.

Owns: what their URLs mean. Does not know: bodies and keys (`sinks/objects/sink.py`), how a bucket
is reached (`service.py`).
"""

from importlib.util import find_spec

from scraper.model.errors import UsageError
from scraper.sinks.base import SinkOptions
from scraper.sinks.cloud.kinds import KINDS
from scraper.sinks.cloud.service import CloudService
from scraper.sinks.objects.sink import ObjectSink, split
from scraper.sinks.objects.sizes import USUAL, Sizes

NEED = "obstore: pip install 'scraper[fast]'"


def open_sink(destination: str, options: SinkOptions, sizes: Sizes = USUAL) -> ObjectSink:
    """The sink for a gs:// or az:// URL. Raises UsageError."""
    kind = KINDS[destination.partition("://")[0].lower()]
    bucket, prefix = split(destination)
    if not bucket:
        example = f"{kind.scheme}://{kind.noun}/prefix"
        raise UsageError(f"--to {destination!r} names no {kind.noun}: {example}")
    asked = {"--s3-sse": options.s3.sse, "--s3-storage-class": options.s3.storage_class}
    for name, value in asked.items():
        if value:
            raise UsageError(f"{name} is for s3://, not for {kind.scheme}://")
    if not is_there():
        raise UsageError(f"--to {destination!r} needs {NEED}")
    return ObjectSink(CloudService(kind, bucket, options, sizes), prefix, sizes)


def is_there() -> bool:
    """Whether obstore is installed."""
    return find_spec("obstore") is not None
