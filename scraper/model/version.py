"""The package's version. It stands here and nowhere else, and knows nothing."""

__version__ = "0.1.0"
