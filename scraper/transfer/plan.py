"""The plan: what all transfers of a run have in common, and what each of their requests says.

Owns: limits, options of HTTP, passwords, and which header goes to whom: credentials
to the origin alone that they were given for (RFC 9110 15.4). Refuses to know: what
happens in one transfer (`transfer.py`), where any of it came from (`build.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scraper.model import urls
from scraper.model.records import Target
from scraper.model.settings import Http, Limits
from scraper.sinks.base import ReadableSink
from scraper.transfer.decode import ACCEPT_ENCODING
from scraper.transfer.quota import Quota

CONDITIONS = frozenset(
    {"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"}
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What all transfers of a run have in common.

    `passwords`: host to `user:password`; `readable`: the sink, if it can tell what it holds;
    `forbids`: why a URL is not to be fetched, None if it may be (asked of redirects);
    `quota`: who is to be asked before bytes are written, None if nobody.
    Worked out from these: the headers that each request has, in lower case, `at_home` (where
    the target is) and `abroad` (where a redirect led), and the `conditions` among them.
    """

    limits: Limits
    http: Http
    user_agent: str
    passwords: Mapping[str, str] = field(repr=False)
    readable: ReadableSink | None = None
    forbids: Callable[[str], str | None] | None = None
    quota: Quota | None = None
    at_home: Mapping[str, str] = field(init=False)
    abroad: Mapping[str, str] = field(init=False)
    conditions: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        common = {"user-agent": self.user_agent, "accept": "*/*"}
        if not self.http.raw:
            common["accept-encoding"] = ACCEPT_ENCODING
        own = {name.lower(): value for name, value in self.http.headers}
        public = {name: value for name, value in own.items() if not _is_for_home(name)}
        object.__setattr__(self, "at_home", common | own)
        object.__setattr__(self, "abroad", common | public)
        object.__setattr__(self, "conditions", CONDITIONS & own.keys())

    def headers(
        self, target: Target, url: urls.Url, conditions: Mapping[str, str], *, at_home: bool
    ) -> Mapping[str, str]:
        """What a request for `url`, a hop of `target`, says: names in lower case.

        The more particular wins: defaults, -H, the line's own. `at_home`: it is the target's
        own origin; `conditions` are ours, and there are none where the user gives some.
        """
        common = self.at_home if at_home else self.abroad
        userinfo = url.userinfo
        if at_home and not userinfo:
            userinfo = target.userinfo or self.passwords.get(url.origin.hostname, "")
        if not (userinfo or conditions or target.headers):
            return common
        headers = {**common, **conditions}
        if userinfo:
            headers.setdefault("authorization", urls.basic_authorization(userinfo))
        for name, value in target.headers.items():
            if at_home or not _is_for_home(name.lower()):
                headers[name.lower()] = value
        return headers


def _is_for_home(name: str) -> bool:
    """Whether a header is for the origin alone that it was given for."""
    return name == "host" or urls.is_secret_header(name)
