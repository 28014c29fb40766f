"""The threads engine: requests, a thread for each transfer.

Owns: its threads and connections. Does not know: libcurl. Others import `ThreadsEngine`.
"""

from scraper.engines.threads.engine import ThreadsEngine

__all__ = ["ThreadsEngine"]
