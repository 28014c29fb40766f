"""The threads engine: requests, a thread for each transfer.

Owns: its threads, and urllib3's connections. Does not know: libcurl, frontier, retries. Others
import `ThreadsEngine`.
"""

from scraper.engines.threads.engine import ThreadsEngine

__all__ = ["ThreadsEngine"]
