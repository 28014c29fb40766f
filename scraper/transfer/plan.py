"""The plan: what all transfers of a run have in common, and the headers of their requests.

Owns: limits, options of HTTP, passwords, and which header goes to whom. Credentials go only to
the origin that they were given for (RFC 9110 15.4). Does not know: what happens in one transfer
(`transfer.py`), or where settings come from (`run/`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from scraper.model import urls
from scraper.model.decode import ACCEPT_ENCODING
from scraper.model.records import Attempt, Target
from scraper.model.settings import Http, Limits
from scraper.sinks.base import ReadableSink
from scraper.transfer.conditions import CONDITIONS, Conditions, RangeRequest
from scraper.transfer.exchange import Reply
from scraper.transfer.quota import Quota
from scraper.transfer.variant import ACCEPT, is_same

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

    from scraper.transfer.cookies import ChainCookies
    from scraper.transfer.split import Splits


@dataclass(frozen=True, slots=True)
class Plan:
    """What all transfers of a run have in common.

    `passwords`: from host to `user:password`. `readable`: the sink, if it can tell what it holds.
    `forbids`: says why a redirect must not lead to a URL, None if it may. `quota`: is asked
    before bytes are written; None: the run has no quota of bytes. `cookies`: those of --cookies.
    `splits`: which bodies are fetched in parts; None: none.

    Worked out from these once, with names in lower case: the headers of every request `at_home`
    (at the target's own origin) and `abroad` (where a redirect led); and `names`, as the user
    wrote them.
    """

    limits: Limits
    http: Http
    user_agent: str
    passwords: Mapping[str, str] = field(repr=False)
    readable: ReadableSink | None = None
    forbids: Callable[[str], str | None] | None = None
    quota: Quota | None = None
    cookies: "CookieJar | None" = field(default=None, repr=False)
    splits: "Splits | None" = field(default=None, repr=False, compare=False)
    names: Mapping[str, str] = field(init=False)
    at_home: Mapping[str, str] = field(init=False)
    abroad: Mapping[str, str] = field(init=False)
    _conditions: Conditions = field(init=False, repr=False)
    _is_another: Callable[[str | None, bool], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        common = {"user-agent": self.user_agent, "accept": ACCEPT}
        if not self.http.raw:
            common["accept-encoding"] = ACCEPT_ENCODING
        own = {name.lower(): value for name, value in self.http.headers}
        object.__setattr__(self, "names", {name.lower(): name for name, _ in self.http.headers})
        public = {name: value for name, value in own.items() if not _is_for_home(name)}
        login = {}
        if self.http.user is not None:
            login["authorization"] = urls.basic_authorization(self.http.user)
        object.__setattr__(self, "at_home", common | login | own)
        object.__setattr__(self, "abroad", common | public)
        conditions = Conditions(CONDITIONS & own.keys(), raw=self.http.raw)
        object.__setattr__(self, "_conditions", conditions)
        object.__setattr__(self, "_is_another", lru_cache(1024)(self._compare))

    def robots_token(self) -> str:
        """The name that robots.txt and X-Robots-Tag know us by (RFC 9309 2.2.1)."""
        from scraper.schedule.robots import product_token

        return self.http.robots_agent or product_token(self.at_home["user-agent"])

    def headers(self, target: Target, url: urls.Url, *, at_home: bool) -> Mapping[str, str]:
        """The headers of a request for `url`, a hop of `target`; names in lower case.

        The more particular one wins: first the defaults, then -H, then those of the target's own
        line. `at_home`: `url` is of the target's own origin.
        """
        common = self.at_home if at_home else self.abroad
        userinfo = self._userinfo(target, url, at_home=at_home)
        if self.cookies is not None:
            from scraper.transfer.cookies import with_cookies

            common = with_cookies(common, url.href, self.cookies)
        if not (userinfo or target.headers):
            return common
        headers = dict(common)
        if userinfo and not self._has_login(at_home=at_home):
            headers["authorization"] = urls.basic_authorization(userinfo)
        for name, value in target.headers.items():
            if at_home or not _is_for_home(name.lower()):
                headers[name.lower()] = value
        return headers

    def names_of(self, target: Target) -> Mapping[str, str]:
        """The names of headers as the user wrote them for `target`, by those in lower case."""
        if not target.headers:
            return self.names
        return {**self.names, **{name.lower(): name for name in target.headers}}

    def _has_login(self, *, at_home: bool) -> bool:
        """Whether -H gives an Authorization. It goes to the target's own origin only."""
        return at_home and "authorization" in self.names

    def _userinfo(self, target: Target, url: urls.Url, *, at_home: bool) -> str:
        """The name and password for `url`, unless they are those of --user for everybody."""
        if url.userinfo or not at_home:
            return url.userinfo
        if target.userinfo or self.http.user is not None or not self.passwords:
            return target.userinfo
        return self.passwords.get(url.origin.hostname, "")

    def kept(self, cookies: "ChainCookies | None", url: urls.Url, reply: Reply) -> "ChainCookies":
        """`cookies`, with those that `reply`, a redirect of `url`, sets for its chain."""
        from scraper.transfer.cookies import ChainCookies

        cookies = cookies or ChainCookies()
        cookies.keep(url.href, reply)
        return cookies

    def digest(self, target: Target, url: urls.Url, reply: Reply, *, at_home: bool) -> str | None:
        """What Authorization says if `reply`, a 401 of `url`, asks for Digest, else None."""
        challenges = reply.all("www-authenticate")
        userinfo = self._userinfo(target, url, at_home=at_home)
        if at_home and not userinfo:
            userinfo = self.http.user or ""
        if not (challenges and userinfo) or self._has_login(at_home=at_home):
            return None
        from scraper.transfer.digest import answer

        return answer(challenges, userinfo, url)

    def conditions_of(self, attempt: Attempt, rest: RangeRequest | None) -> Conditions:
        """What `attempt` may ask with; `rest` asks for the rest of a body that broke off."""
        headers, previous = attempt.target.headers, attempt.previous
        if not headers and previous is None and rest is None:
            return self._conditions  # as for most
        own = self._conditions.own | CONDITIONS.intersection(map(str.lower, headers))
        return Conditions(own, previous, rest, self.http.raw)

    def asks_for_another(self, target: Target, variant: str | None, *, redirected: bool) -> bool:
        """Whether a request for `target` surely asks for another variant than the stored one.

        `redirected`: a redirect led to the stored one. Where it led is not known without a
        request, so the headers are those that a request has `at_home`, or those it has `abroad`.
        """
        if not (target.headers or target.userinfo or self.passwords or self.cookies):
            return self._is_another(variant, redirected)
        url = urls.canonical(target.url)
        possible = [self.headers(target, url, at_home=True)]
        if redirected:
            possible.append(self.headers(target, url, at_home=False))
        return all(is_same(variant, sent, raw=self.http.raw) is False for sent in possible)

    def _compare(self, variant: str | None, redirected: bool) -> bool:  # noqa: FBT001 - cached
        possible = (self.at_home, self.abroad) if redirected else (self.at_home,)
        return all(is_same(variant, sent, raw=self.http.raw) is False for sent in possible)


def _is_for_home(name: str) -> bool:
    """Whether a header is only for the origin that it was given for."""
    return name == "host" or urls.is_secret_header(name)
