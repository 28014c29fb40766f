"""scraper: every URL of a list into a directory or S3."""

__version__ = "0.1.0"
