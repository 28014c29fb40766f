"""The sinks for Google Cloud Storage (gs://) and Azure Blob Storage (az://), by obstore.

This room owns the requests to them and the meaning of their errors. It does not know targets, nor
how bodies are kept until they are complete (`sinks/objects/`).
Others import `open_sink`, and `open_object`, which reads a list that is stored there.
"""

from scraper.sinks.cloud.open_object import open_object
from scraper.sinks.cloud.sink import open_sink

__all__ = ["open_object", "open_sink"]
