"""The sink for S3 buckets. Each object is put as a whole, by boto3 or by libcurl.

This room owns the requests to S3 and the meaning of their errors. It does not know targets
or how they are fetched.
Others import `open_sink`, and `open_object`, which reads a list that is stored in S3.
"""

from scraper.sinks.s3.open_object import open_object
from scraper.sinks.s3.sink import open_sink

__all__ = ["open_object", "open_sink"]
