"""One table of the options of `scraper fetch`, for every test that tries each of them.

A row has the option's long name, a value as a flag and a variable have it, the same value as
TOML has it, and as the command gets it, and another word that means another value. A pair of
flags (`--refresh`, `--no-refresh`) has two rows.
"""

from typing import Any, NamedTuple


class Option(NamedTuple):
    """One option, or one flag of a pair, with a value."""

    name: str
    word: str
    toml: str
    value: Any
    other: str

    @property
    def flag(self) -> list[str]:
        """The words that give it this value on the command line."""
        if self.value is False:
            return [f"--no-{self.name}"]
        return [f"--{self.name}"] if self.value is True else [f"--{self.name}", self.word]

    @property
    def variable(self) -> str:
        """Its variable."""
        return "SCRAPER_" + self.name.upper().replace("-", "_").replace(".", "_")

    @property
    def parameter(self) -> str:
        """What the command calls it."""
        many = {"header": "headers", "input-file": "input_files"}
        return many.get(self.name, self.name.replace("-", "_").replace(".", "_"))


OPTIONS = (
    Option("input-file", "http://h/list", '"http://h/list"', ("http://h/list",), "9"),
    Option("list-format", "csv", '"csv"', "csv", "jsonl"),
    Option("url-column", "link", '"link"', "link", "9"),
    Option("key-column", "2", "2", "2", "9"),
    Option("default-scheme", "https", '"https"', "https", "http"),
    Option("base", "http://h/", '"http://h/"', "http://h/", "http://i/"),
    Option("cdx-range", "true", "true", True, "0"),
    Option("to", "s3://b/{date}", '"s3://b/{date}"', "s3://b/{date}", "9"),
    Option("key", "hash", '"hash"', "hash", "9"),
    Option("manifest", "m.jsonl", '"m.jsonl"', "m.jsonl", "9"),
    Option("warc-size", "1M", "1000000", 1_000_000, "9"),
    Option("store-compressed", "zstd", '"zstd"', "zstd", "gzip"),
    Option("durable", "true", "true", True, "0"),
    Option("durable", "false", "false", False, "1"),
    Option("show-config", "true", "true", True, "0"),
    Option("dry-run", "true", "true", True, "0"),
    Option("resume", "true", "true", True, "0"),
    Option("retry-failed", "true", "true", True, "0"),
    Option("new-failures", "true", "true", True, "0"),
    Option("all", "true", "true", True, "0"),
    Option("refresh", "true", "true", True, "0"),
    Option("refresh", "false", "false", False, "1"),
    Option("skip-existing", "true", "true", True, "0"),
    Option("lock", "wait", '"wait"', "wait", "skip"),
    Option("max-concurrency", "64", "64", 64, "9"),
    Option("processes", "2", "2", 2, "9"),
    Option("processes", "auto", '"auto"', "auto", "9"),
    Option("per-host", "8", "8", 8, "9"),
    Option("delay", "0.5", "0.5", 0.5, "0.9"),
    Option("rate", "10", "10", 10.0, "9"),
    Option("split", "4", "4", 4, "9"),
    Option("split-above", "1M", '"1M"', 1_000_000, "2M"),
    Option("limit-rate", "2M", "2000000", 2_000_000, "9"),
    Option("shard", "3/8", '"3/8"', "3/8", "0/2"),
    Option("cluster", "local:2", '"local:2"', "local:2", "local"),
    Option("robots", "true", "true", True, "0"),
    Option("robots-agent", "FooBot", '"FooBot"', "FooBot", "9"),
    Option("robots-tags", "noai,noindex", '"noai,noindex"', "noai,noindex", "none"),
    Option("retries", "0", "0", 0, "9"),
    Option("retry-max-time", "60", "60", 60.0, "9"),
    Option("max-retry-after", "30.5", "30.5", 30.5, "30.9"),
    Option("retry-on", "403,5xx", '"403,5xx"', "403,5xx", "404"),
    Option("max-failures", "5%", '"5%"', "5%", "9"),
    Option("max-failures", "3", "3", "3", "9"),
    Option("fail-fast", "1", "true", True, "0"),
    Option("connect-timeout", "1.5", "1.5", 1.5, "9"),
    Option("read-timeout", "2", "2.0", 2.0, "9"),
    Option("max-time", "3", "3", 3.0, "9"),
    Option("speed-limit", "1k", '"1k"', 1000, "9"),
    Option("speed-time", "9.5", "9.5", 9.5, "9"),
    Option("max-size", "10M", '"10M"', 10_000_000, "11M"),
    Option("max-redirects", "2", "2", 2, "9"),
    Option("continue-above", "1M", '"1M"', 1_000_000, "2M"),
    Option("max-total-size", "1G", '"1G"', 1_000_000_000, "2G"),
    Option("max-run-time", "3600", "3600", 3600.0, "9"),
    Option("min-free-space", "1GiB", '"1GiB"', 1 << 30, "2M"),
    Option("grace", "2.5", "2.5", 2.5, "9"),
    Option("engine", "threads", '"threads"', "threads", "auto"),
    Option("header", "A: b", '"A: b"', ("A: b",), "A: c"),
    Option("contact", "me@example.com", '"me@example.com"', "me@example.com", "9"),
    Option("user-agent", "me/1 (+http://x)", '"me/1 (+http://x)"', "me/1 (+http://x)", "9"),
    Option("proxy", "http://p:1", '"http://p:1"', "http://p:1", "9"),
    Option("cacert", "ca.pem", '"ca.pem"', "ca.pem", "9"),
    Option("user", "me:secret", '"me:secret"', "me:secret", "9:9"),
    Option("cookies", "cookies.txt", '"cookies.txt"', "cookies.txt", "9"),
    Option("http1.1", "true", "true", True, "0"),
    Option("ipv4", "true", "true", True, "0"),
    Option("ipv6", "1", "true", True, "0"),
    Option("resolve", "h:80:::1", '"h:80:::1"', ("h:80:::1",), "h:80:::2"),
    Option("cert", "me.pem", '"me.pem"', "me.pem", "9"),
    Option("cert-key", "key.pem", '"key.pem"', "key.pem", "9"),
    Option("insecure", "yes", "true", True, "0"),
    Option("netrc", "on", "true", True, "0"),
    Option("raw", "True", "true", True, "0"),
    Option("public-only", "on", "true", True, "0"),
    Option("expect-type", "image/*", '"image/*"', "image/*", "9"),
    Option("require-digest", "on", "true", True, "0"),
    Option("s3-endpoint", "http://e", '"http://e"', "http://e", "9"),
    Option("s3-profile", "p", '"p"', "p", "9"),
    Option("s3-storage-class", "STANDARD_IA", '"STANDARD_IA"', "STANDARD_IA", "9"),
    Option("s3-sse", "AES256", '"AES256"', "AES256", "9"),
    Option("s3-unconfirmed", "yes", "true", True, "0"),
    Option("s3-client", "boto3", '"boto3"', "boto3", "auto"),
    Option("results", "-", '"-"', "-", "9"),
    Option("log-format", "json", '"json"', "json", "text"),
    Option("log-file", "log", '"log"', "log", "9"),
    Option("quiet", "t", "true", True, "0"),
    Option("verbose", "y", "true", True, "0"),
    Option("stats", "60", "60", 60.0, "9"),
    Option("metrics", "s.prom", '"s.prom"', "s.prom", "9"),
    Option("metrics-port", "9123", "9123", 9123, "9"),
    Option("progress", "true", "true", True, "0"),
    Option("progress", "false", "false", False, "1"),
)
