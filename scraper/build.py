"""What a run is built of: the engine that carries, the plan that all transfers share.

Owns: choosing them from Settings. Refuses to know: the run.
"""

import netrc
import os
from collections.abc import Callable, Mapping

import scraper
from scraper.allowance import Allowance
from scraper.engines.base import Engine
from scraper.errors import UsageError
from scraper.settings import Http, Settings
from scraper.sinks.base import Shelf, Sink
from scraper.transfer import Plan


def choose_engine(settings: Settings) -> Callable[[], Engine]:
    """What makes the engine that carries transfers.

    Raises UsageError when --engine asks for one that is not there, or --max-concurrency
    for more than the system allows.
    """
    from scraper.engines.descriptors import connections_to_keep

    connections_to_keep(settings.politeness.max_concurrency)
    given = settings.politeness.max_concurrency, settings.limits, settings.http
    if settings.engine != "threads":
        try:
            from scraper.engines.curl import CurlEngine
        except (ImportError, AttributeError) as error:  # no pycurl, or one too old
            if settings.engine == "curl":
                need = "--engine curl needs pycurl 7.45.7 or later: pip install 'scraper[fast]'"
                raise UsageError(f"{need} ({error})") from None
        else:
            return lambda: CurlEngine(*given)
    from scraper.engines.threads import ThreadsEngine

    return lambda: ThreadsEngine(*given)


def make_plan(settings: Settings, sink: Sink, allowance: Allowance | None = None) -> Plan:
    """What all transfers share; raises UsageError when --netrc or --cacert can't be read."""
    http = settings.http
    _check_certificates(http)
    agent = http.user_agent or f"scraper/{scraper.__version__}"
    if http.contact is not None:
        agent = f"{agent} (+{http.contact})"
    shelf = sink if isinstance(sink, Shelf) else None
    asked = allowance if allowance is not None and allowance.is_of_bytes else None
    return Plan(settings.limits, http, agent, _netrc(http), shelf, allowance=asked)


def _check_certificates(http: Http) -> None:
    if http.cacert is None:
        return
    import ssl

    try:
        ssl.create_default_context(cafile=http.cacert)
    except OSError as error:  # ssl.SSLError is one
        wrong = "no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(f"--cacert {http.cacert!r}: {wrong}") from None


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
