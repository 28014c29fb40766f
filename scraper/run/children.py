"""Children of a run: with --processes, they carry out its transfers.

Owns: what they are given. Does not know: how they are started and
spoken with (`engines/processes/`).
"""

from scraper.engines.base import Engine
from scraper.engines.processes import Family, ProcessesEngine, Setup
from scraper.model.errors import DestinationError
from scraper.model.shared_numbers import SharedNumbers
from scraper.run.build import EngineChoice, Opened


def make_processes(choice: EngineChoice, count: int, opened: Opened) -> Engine:
    """The engine of `count` processes, whose children each have the chosen engine.

    Raises DestinationError and UsageError.
    """
    try:
        numbers = SharedNumbers()
    except OSError as error:
        raise DestinationError(f"no memory for several processes: {error.strerror}") from None
    opened.quota.share(numbers)
    resources, settings = opened.resources, choice.settings
    setup = Setup(
        choice.name,
        settings.politeness.max_concurrency,
        settings.limits,
        choice.http,
        settings.run_limits,
        resources.destination,
        resources.options._replace(together=True),
        getattr(resources.sink, "found", None),
        leased=resources.tell_lease(numbers),
    )

    def tell(text: str) -> None:
        opened.note("warning", "process", {"message": text})

    made = ProcessesEngine(Family(count, setup, numbers, resources.descriptors(), tell))
    if opened.robots_queue is not None:
        made.obey(opened.robots_queue.known)
    return made
