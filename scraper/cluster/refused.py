"""Options that do not go together with `--cluster`.

Owns: these rules and their words. Does not know: what `--shard` refuses, which is checked for each
shard too (`model/shards.py`).
"""

from collections.abc import Mapping
from typing import Any

from scraper.model.errors import UsageError
from scraper.model.settings import Settings
from scraper.model.shards import check
from scraper.sinks.base import scheme_of
from scraper.sinks.home import is_archive, is_stream

_OF_THE_COMMAND = {
    "results": "--results: the records of all workers are in the manifests of DEST: scraper export",
    "dry_run": "--dry-run: leave --cluster out; what is fetched is the same",
    "metrics": "--metrics: workers are on other machines: leave it out",
    "metrics_port": "--metrics-port: workers are on other machines: leave it out",
}


def refuse_of_command(ours: Mapping[str, Any]) -> None:
    """The same as `refuse`, for the options of `fetch` alone."""
    for name, why in _OF_THE_COMMAND.items():
        if ours[name] is not None and ours[name] is not False:
            raise UsageError(f"{why} (--cluster)")


def refuse(settings: Settings) -> None:
    """Raise UsageError for options that can't be kept on a cluster."""
    if settings.shard is not None:
        raise UsageError("--shard is one shard, and --cluster runs all of them: leave one out")
    if settings.politeness.processes > 1:
        raise UsageError("--processes: with --cluster workers are the processes: local:N")
    if settings.earlier.retry_failed:
        raise UsageError("--retry-failed: with --cluster --resume asks again for what failed")
    to = settings.to
    if is_stream(to) or is_archive(to) or scheme_of(to) in {"tar", "zip"}:
        raise UsageError(f"--cluster: several workers can't write to {to!r}")
    most = settings.run_limits.max_total_size
    if most is not None:
        raise UsageError("--max-total-size: workers can't count their bytes together: leave it out")
    check("0/1", key=settings.key, manifest=settings.manifest, max_total_size=most)
