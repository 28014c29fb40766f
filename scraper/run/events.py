"""Events of a run for Python's `logging`: retries, waits, circuit breakers, limits, the lock.

    logging.getLogger("scraper").setLevel(logging.DEBUG)

There is one logger. Nothing is printed unless the program sets a handler. Levels are those of the
command's log. A record has two fields of its own: `event`, the name of the event, and `fields`,
its facts. No secrets are among them.

Owns: that logger, and how an event is told there. Does not know: why something happens.
Rejected: an event for each Result. The program has them by its iteration.
"""

import logging
from collections.abc import Mapping
from typing import Any

from scraper.model.options import in_python

LOGGER = logging.getLogger("scraper")
LOGGER.addHandler(logging.NullHandler())
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def log_event(level: str, name: str, record: Mapping[str, Any]) -> None:
    """Log one event. It costs a look-up of the level if nobody listens."""
    if not LOGGER.isEnabledFor(_LEVELS[level]):
        return
    if record.keys() == {"message"}:
        text = str(record["message"])
    else:
        text = f"{name}  " + " ".join(f"{field}={value}" for field, value in record.items())
    extra = {"event": name, "fields": dict(record)}
    LOGGER.log(_LEVELS[level], "%s", in_python(text), extra=extra)
