"""What one attempt at one target means: hops, conditions, bodies, codings, limits.

Owns: everything of an attempt that a user could tell apart. Does not know: threads, sockets,
retries, how bytes arrive. Others import the names below.
"""

from scraper.transfer.conditions import CONDITIONS
from scraper.transfer.exchange import OWS, Next, Reply, Request
from scraper.transfer.partial import Partial
from scraper.transfer.plan import Plan
from scraper.transfer.quota import Quota
from scraper.transfer.transfer import Completion, Transfer

__all__ = [
    "CONDITIONS",
    "OWS",
    "Completion",
    "Next",
    "Partial",
    "Plan",
    "Quota",
    "Reply",
    "Request",
    "Transfer",
]
