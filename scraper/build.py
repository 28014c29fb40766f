"""What a run is built of: the engine that carries, the plan that all transfers share.

Owns: choosing them from Settings. Refuses to know: the run.
"""

import netrc
import os
from collections.abc import Mapping

import scraper
from scraper.engines.base import Engine
from scraper.errors import UsageError
from scraper.settings import Http, Settings
from scraper.sinks.base import Shelf, Sink
from scraper.transfer import Plan


def make_engine(settings: Settings) -> Engine:
    """The engine that carries transfers."""
    from scraper.engines.threads import ThreadsEngine

    return ThreadsEngine(settings.politeness.max_concurrency, settings.limits, settings.http)


def make_plan(settings: Settings, sink: Sink) -> Plan:
    """What all transfers share; raises UsageError when --netrc can't be read."""
    http = settings.http
    agent = http.user_agent or f"scraper/{scraper.__version__}"
    shelf = sink if isinstance(sink, Shelf) else None
    return Plan(settings.limits, http, agent, _netrc(http), shelf)


def _netrc(http: Http) -> Mapping[str, str]:
    """Passwords by host. A `default` entry is left out: it would send its password to anyone."""
    if not http.netrc:
        return {}
    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    try:
        entries = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError) as error:
        raise UsageError(f"--netrc: can't read {path!r}: {error}") from None
    return {
        host: f"{login}:{password}"
        for host, (login, _, password) in entries.items()
        if host != "default" and password
    }
