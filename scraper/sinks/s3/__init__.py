"""The sink of an S3 bucket: objects put whole, by boto3 or obstore.

Owns: requests to S3 and what their errors mean. Does not know: URLs of targets, HTTP hops.
Others import `open_sink`, and `open_object`, which reads a list that lies in S3.
"""

from scraper.sinks.s3.sink import open_object, open_sink

__all__ = ["open_object", "open_sink"]
