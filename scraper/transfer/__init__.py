"""What one attempt at one target means: hops, conditions, bodies, codings, limits.

Owns: everything of an attempt that a user could tell apart. Does not know: threads, sockets or
retries, or how bytes arrive.

Others import the names below, and `transfer.cookies` to read a file of them. An engine takes a
`Transfer` and speaks with it in `Request`, `Reply` and `Next`. A run makes the `Plan` and the
`Quota` that its transfers share, and takes the `Completion` of each, with the `Partial` body that
another attempt may continue. It imports `transfer.split` and `transfer.part_transfer` where bodies
are fetched in parts, `transfer.archived_transfer` for an archive, and `transfer.robots_txt` with
--robots. The engine of processes tells of
transfers in the words of `transfer.completion` and `transfer.conditions`.
"""

from scraper.transfer.completion import Completion, InPart
from scraper.transfer.conditions import CONDITIONS
from scraper.transfer.exchange import OWS, Next, RawHead, Reply, Request
from scraper.transfer.partial import Partial
from scraper.transfer.plan import Plan
from scraper.transfer.quota import Quota
from scraper.transfer.send_permit import SendPermit
from scraper.transfer.transfer import Transfer

__all__ = [
    "CONDITIONS",
    "OWS",
    "Completion",
    "InPart",
    "Next",
    "Partial",
    "Plan",
    "Quota",
    "RawHead",
    "Reply",
    "Request",
    "SendPermit",
    "Transfer",
]
