"""The list of a combined story: every way to name a target, repeats, clashes and nonsense.

Each Line knows what it is, so that what became of it can be judged.
"""

import json
import random
from dataclasses import dataclass

from tests.e2e.command import folder
from tests.proof.combined_site import FORM, CombinedSite, Page

PASSWORD = "only-for-its-own-host"


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `sort`: page, repeat (of an earlier line), clash (its key is taken) or bad.

    A repeat of a line that sends headers does not send them, so it clashes with that.

    `form`: the header that it sends; `secret`: whether it sends a password too.
    """

    number: int
    text: str
    sort: str
    url: str = ""
    key: str = ""
    page: Page | None = None
    form: str = ""
    secret: bool = False


def make_list(site: CombinedSite, dice: random.Random) -> list[Line]:
    """Each page once, in some order, and among them lines that are trouble."""
    lines: list[Line] = []

    def put(line: Line) -> None:
        lines.append(line)

    for page in dice.sample(site.pages, len(site.pages)):
        put(_page(site, page, dice, len(lines) + 1))
        while dice.random() < 0.3:
            earlier = dice.choice([line for line in lines if line.sort == "page"])
            put(_trouble(site, earlier, dice, len(lines) + 1))
    return lines


def _page(site: CombinedSite, page: Page, dice: random.Random, number: int) -> Line:
    url = site.url_of(page.host) + page.start
    how = dice.choice(["plain", "plain", "tab", "tab", "json"])
    if how == "plain":
        return Line(number, url, "page", url, folder(site.url_of(page.host)) + page.start, page)
    key = f"given/{number % 3}/{dice.choice(['page', 'sëite', 'a b'])} {page.number}"
    if how == "tab":
        return Line(number, f"{url}\t{key}", "page", url, key, page)
    form, secret = dice.choice(["", "x", "y"]), dice.random() < 0.5
    headers = {FORM: form} if form else {}
    headers |= {"Authorization": PASSWORD} if secret else {}
    text = json.dumps({"url": url, "key": key, "headers": headers})
    return Line(number, text, "page", url, key, page, form, secret)


def _trouble(site: CombinedSite, earlier: Line, dice: random.Random, number: int) -> Line:
    """A repeat, a page under a second key, a clash with `earlier`, or no URL at all."""
    sort = dice.choice(["repeat", "repeat", "again", "clash", "bad"])
    if sort == "repeat":
        text = f"{earlier.url}\t{earlier.key}"
        other = bool(earlier.form) or earlier.secret
        return Line(number, text, "clash" if other else "repeat", earlier.url, earlier.key)
    if sort == "again":
        key = f"again/{number}"
        return Line(number, f"{earlier.url}\t{key}", "page", earlier.url, key, earlier.page)
    if sort == "clash":
        url = f"{site.url}/p/0.html?clash"
        return Line(number, f"{url}\t{earlier.key}", "clash", url, earlier.key)
    return Line(number, dice.choice(["ftp://127.0.0.1/x", "http://", "no url"]), "bad")
