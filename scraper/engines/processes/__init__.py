"""The engine of processes: children that each run another engine (--processes).

Owns: these processes, and what is told between them and the parent. Does not know: frontier,
retries, records; requests and bodies are the other engines'. Others import `ProcessesEngine` with
its `Family`, `RemoteTransfer` and `Setup`.
"""

from scraper.engines.processes.engine import Family, ProcessesEngine
from scraper.engines.processes.messages import Setup
from scraper.engines.processes.remote import RemoteTransfer

__all__ = ["Family", "ProcessesEngine", "RemoteTransfer", "Setup"]
