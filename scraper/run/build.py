"""What a run is built of: the engine, and the plan that all transfers share.

Owns: how Settings choose them, and the warnings about that choice. Does not know: the run.
"""

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from scraper.engines.base import Engine
from scraper.engines.proxies import Proxies
from scraper.engines.tls import check_variables
from scraper.model.errors import UsageError
from scraper.model.settings import Http, Settings
from scraper.model.version import __version__
from scraper.report.units import human_size
from scraper.sinks.base import ReadableSink, Sink
from scraper.sinks.home import is_archive
from scraper.transfer import Plan, Quota, Transfer

if TYPE_CHECKING:
    from scraper.run.resources import RunResources
    from scraper.run.robots_queue import RobotsQueue
    from scraper.run.splitting import Splitting
    from scraper.run.stopping import Note
    from scraper.schedule import Frontier


class Opened(NamedTuple):
    """What a run has when it makes its engine."""

    resources: "RunResources"
    quota: Quota
    robots_queue: "RobotsQueue | None"
    note: "Note"


class EngineChoice(NamedTuple):
    """Which engine it is. A call makes it. `http`: with what it reads and sends."""

    name: str
    settings: Settings
    http: Http

    def __call__(self) -> Engine:
        """The engine."""
        given = self.settings.politeness.max_concurrency, self.settings.limits, self.http
        if self.name == "curl":
            from scraper.engines.curl import CurlEngine

            return CurlEngine(*given)
        from scraper.engines.threads import ThreadsEngine

        return ThreadsEngine(*given)


def choose_engine(settings: Settings) -> EngineChoice:
    """What makes the engine.

    Raises UsageError when --engine names an engine that is not installed, when
    --max-concurrency is more than the system allows, when a proxy's URL is wrong, or when
    --processes, or --store-compressed, and --split exclude each other.
    """
    from scraper.engines.descriptors import connections_to_keep

    connections_to_keep(settings.politeness.max_concurrency)
    Proxies(settings.http.proxy)
    http = settings.http
    # Engines read the files later, when the directory may be another.
    http = replace(
        http, cacert=_whole(http.cacert), cert=_whole(http.cert), cert_key=_whole(http.cert_key)
    )
    if settings.limits.limit_rate is not None:  # an HTTP/2 server sends megabytes ahead
        http = replace(http, http1_1=True)
    if _processes(settings) > 1 and settings.politeness.split > 1:
        message = "--split is for one process: --processes can't put a body together from parts"
        raise UsageError(message)
    if settings.store_compressed is not None and settings.politeness.split > 1:
        message = "--split: parts of a body can't be compressed as they come (--store-compressed)"
        raise UsageError(message)
    if settings.engine != "threads":
        try:
            importlib.import_module("scraper.engines.curl")
        except (ImportError, AttributeError) as error:  # no pycurl, or one too old
            if settings.engine == "curl":
                need = "--engine curl needs pycurl 7.45.7 or later: pip install 'scraper[fast]'"
                raise UsageError(f"{need} ({error})") from None
        else:
            return EngineChoice("curl", settings, http)
    return EngineChoice("threads", settings, http)


def open_engine(choice: EngineChoice, settings: Settings, opened: Opened) -> Engine:
    """The engine that was chosen; with --processes one whose children each have such a one.

    Raises DestinationError and UsageError.
    """
    if (count := _processes(settings)) == 1:
        return choice()
    from scraper.run.children import make_processes

    return make_processes(choice, count, opened)


def transfer_type(settings: Settings) -> type[Transfer]:
    """Of which class the transfers of a run are.

    Raises UsageError for an archive with options that do not go together with one.
    """
    if is_archive(settings.to):
        return _archived_type(settings)
    if _processes(settings) == 1:
        return Transfer
    from scraper.engines.processes import RemoteTransfer

    return RemoteTransfer


def _archived_type(settings: Settings) -> type[Transfer]:
    refused = {
        "--processes": _processes(settings) > 1,
        "--shard": settings.shard is not None,
        "--split": settings.politeness.split > 1,
    }
    for option, given in refused.items():
        if given:
            raise UsageError(f"{option} does not go with warc: one process writes whole responses")
    from scraper.transfer.archived_transfer import ArchivedTransfer

    return ArchivedTransfer


def _processes(settings: Settings) -> int:
    """How many processes carry out transfers: no more than there are transfers at once."""
    return min(settings.politeness.processes, settings.politeness.max_concurrency)


def proxy_names(http: Http) -> Callable[[str], str | None] | None:
    """A function that names the proxy of a URL, as `host:port`. None: there is no proxy at all."""
    proxies = Proxies(http.proxy)
    return proxies.name_of if proxies.any else None


def make_plan(settings: Settings, sink: Sink, quota: Quota | None = None) -> Plan:
    """What all transfers share. Raises UsageError when a file that it names can't be read."""
    http = settings.http
    if http.cacert or http.cert:
        from scraper.engines.tls_context import check_files

        check_files(http)
    else:
        check_variables(http)
    agent = http.user_agent or f"scraper/{__version__}"
    if http.contact is not None:
        agent += f" (+{http.contact})"
        if "://" not in http.contact:  # RFC 9110 10.1.2; a From of the user's wins
            http = replace(http, headers=(("From", http.contact), *http.headers))
    readable = sink if isinstance(sink, ReadableSink) else None
    asked = quota if quota is not None and quota.is_of_bytes else None
    plan = Plan(settings.limits, http, agent, _netrc(http), readable, quota=asked)
    if http.cookies is None:
        return plan
    from scraper.transfer.cookies import read_cookies

    return replace(plan, cookies=read_cookies(http.cookies))


def obey_robots(
    settings: Settings, plan: Plan, frontier: "Frontier", note: "Note"
) -> "tuple[Plan, RobotsQueue | None]":
    """The plan, and with --robots the queue that targets wait in before they reach `frontier`."""
    if not settings.politeness.robots:
        return plan, None
    from scraper.run.robots_queue import RobotsQueue

    queue = RobotsQueue(settings, plan, frontier, note, transfer_type(settings))
    return replace(plan, forbids=queue.forbids), queue


def divide_bodies(
    settings: Settings, plan: Plan, frontier: "Frontier", wake: Callable[[], None], note: "Note"
) -> "tuple[Plan, Splitting | None]":
    """The plan, and with --split what starts the parts of bodies. `wake`: see `Splitting`."""
    if settings.politeness.split == 1:
        return plan, None
    from scraper.run.splitting import Splitting

    splitting = Splitting(settings, frontier, wake, note)
    return replace(plan, splits=splitting.splits), splitting


def describe(
    engine: Engine, sink: Sink, *, at_once: int, destination: str, limit_rate: int | None = None
) -> str:
    """What runs, in one line: engine, client, how many transfers `at_once`, `destination`.

    `limit_rate`: bytes a second of all transfers, None if they are not limited.
    """
    client, remark = (getattr(sink, name, "") for name in ("client", "remark"))
    count = getattr(engine, "processes", 1)
    text = f"{engine.name} engine" + (f" in {count} processes" if count > 1 else "")
    text += f", {client} client" if client else ""
    carried = f"{text} ({remark})" if remark else text
    limit = "" if limit_rate is None else f" and {human_size(limit_rate)}/s"
    return f"scraper {__version__}: {carried}, at most {at_once} at once{limit}, to {destination}"


def caveats(http: Http) -> Iterator[tuple[str, str]]:
    """Warnings to show at the start, each as the name of its event and its text."""
    if http.insecure:
        text = "--insecure: certificates are not checked; who is in between can read it all"
        yield "insecure", text
    if http.public_only and Proxies(http.proxy).any:
        text = "--public-only: where names lead through the proxy is not known, and not checked"
        yield "public_only", text


def _whole(path: str | None) -> str | None:
    return path and os.path.join(os.getcwd(), path)


def _netrc(http: Http) -> Mapping[str, str]:
    """Passwords by host. A `default` entry is left out: any host would get its password."""
    if not http.netrc:
        return {}
    import netrc

    path = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    try:
        entries = netrc.netrc(path).hosts
    except OSError as error:
        raise UsageError(f"--netrc: can't read {path!r}: {error.strerror}") from None
    except netrc.NetrcParseError as error:  # its message has the word, which may be a password
        raise UsageError(f"--netrc: {path!r} has a mistake in line {error.lineno}") from None
    return {
        host: f"{login}:{password}"
        for host, (login, _, password) in entries.items()
        if host != "default" and password
    }
