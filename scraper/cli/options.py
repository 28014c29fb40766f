"""The options of `fetch`: names, help and order, in sections people can find.

Owns: how an option is written and read from flags and `SCRAPER_*` variables. Does not know: TOML
(`config_file.py`), defaults and ranges; `Settings` owns them. An option that is
not given is None, and a test compares the default in the help with that of `Settings`.
Tried and rejected: importing `Settings` here; `scraper --help` must answer at once. So were Cloup
and rich-click, see docs/design.md.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from scraper.cli.values import Count, Header, LocalFile, Place, Resolve, Size
from scraper.model.errors import UsageError
from scraper.model.version import __version__

F = TypeVar("F", bound=Callable[..., Any])

COMPLETION = "_SCRAPER_COMPLETE"  # the variable that asks for words; Click's name for it
CONFIG = "scraper.config"  # in `meta` of a context: the path of its TOML file


HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
WHOLE_HELP = {"help_option_names": ["--help"], "max_content_width": 100}  # -h is the short one


class SectionOption(click.Option):
    """An option that knows its section of the help, and reads `SCRAPER_<NAME>`."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section
        if self.envvar is None and self.name:
            self.envvar = f"SCRAPER_{self.name.upper()}"


class Refused(click.UsageError):
    """A usage error with a hint."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SectionedCommand(click.Command):
    """A command whose help shows options by section, in the order they were declared."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse. `-output x` is refused: it would mean `-o utput`."""
        if not ctx.resilient_parsing:
            for word in args:
                if word == "--":
                    break
                if len(word) > 3 and word[0] == "-" != word[1]:
                    self._refuse_long(word.partition("=")[0], ctx)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # the parser leaves it out of some
            raise

    def _refuse_long(self, word: str, ctx: click.Context) -> None:
        if f"-{word}" in {opt for param in self.params for opt in param.opts}:
            raise click.NoSuchOption(word, ctx=ctx)
        if word[1:].isalpha() or "-" in word[1:]:
            from scraper.cli.foreign import OPTIONS

            if f"-{word}" in OPTIONS:
                raise click.NoSuchOption(word, ctx=ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Errors name an option as it was given: option, variable or key."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            from scraper.cli.words import attributed

            raise attributed(error, ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for param in sorted(options, key=lambda param: getattr(param, "section", _OTHER) == _OTHER):
            record = param.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(param, "section", _OTHER), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def read_config(ctx: click.Context, _param: click.Parameter, path: str | None) -> str | None:
    """Make the values in the TOML file at `path` the defaults of this command."""
    if path is not None:
        from scraper.cli.config_file import read  # few runs have one

        read(ctx, path)
    return path


def long_name(param: click.Parameter) -> str:
    """The long name of an option without its dashes, or ""."""
    return next((opt.removeprefix("--") for opt in param.opts if opt.startswith("--")), "")


def _option(
    section: str, *names: str, default: str | None = None, **kwargs: Any
) -> Callable[[F], F]:
    """An option that is None if it is not given. `default`: what the help says of that case."""
    if default is not None:
        kwargs["help"] = f"{kwargs['help']}  [default: {default}]"
    return click.option(*names, cls=SectionOption, section=section, default=None, **kwargs)


def _short_help(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - Click's
    from scraper.cli.short_help import show

    show(ctx, param, wanted)


short_help_option = click.option(
    "-h", is_flag=True, is_eager=True, expose_value=False, callback=_short_help,
    help="Examples, the most used options and the exit statuses.",
)  # fmt: skip

_WHAT = "What to fetch"
_WHERE = "Where to"
_EARLIER = "After an earlier run"
_AT_ONCE = "How much at once"
_AGAIN = "When something fails"
_LIMITS = "Limits of one attempt"
_WHOLE = "Limits of the whole run"
_HTTP = "Requests"
_S3 = "S3 (credentials, region and endpoint as for the aws command)"
_TOLD = "What is told"
_OTHER = "Other"

PATH = Place()
FILE, WRITTEN = LocalFile(), LocalFile(dash=False)

LIST_OPTIONS = (
    *("list_format", "url_column", "key_column", "default_scheme", "base"),
    "cdx_range",
)
GRAMMAR_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option(_WHAT, "--list-format", metavar="FORMAT", type=click.Choice(
                ["auto", "lines", "csv", "tsv", "jsonl", "sums", "bagit", "gcs",
                 "sitemap", "feed", "html", "m3u", "cdxj", "parquet", "aria2", "curl", "metalink"]),
            default="auto: by name, Content-Type, first line, or a column named",
            help="What every list is, for stdin and pipes too: lines, csv, tsv, jsonl, sums, bagit,"
                 " gcs, sitemap, feed, html, m3u, cdxj, parquet, aria2, curl, metalink."),
    _option(_WHAT, "--url-column", metavar="NAME|N", default="url",
            help="The column with the URLs, or the field of JSON. N: from 1 on, without a header."),
    _option(_WHAT, "--key-column", metavar="NAME|N", default="key", help="That with the keys."),
    _option(_WHAT, "--default-scheme", metavar="SCHEME", default="none",
            help="What a URL of a list without a scheme begins with: https for bare domains."),
    _option(_WHAT, "--base", metavar="URL",
            help="What relative URLs of a list, and names in a checksum file, are relative to."),
    _option(_WHAT, "--cdx-range", is_flag=True,
            help="Of a CDX index in JSON: the record of each capture, by Range, from --base."),
)  # fmt: skip

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option(_WHAT, "-i", "--input-file", "input_files", type=PATH, multiple=True,
            metavar="FILE|URL|-", envvar="SCRAPER_INPUT_FILE",
            help="Read a list of URLs, also at an http(s) URL; may be repeated."),
    *GRAMMAR_OPTIONS,
    _option(_WHERE, "-o", "--to", type=PATH, metavar="DEST", default="./out",
            help="Directory; s3, gs, az, sftp URL; warc:, tar:, zip:...; -. {date}, {:%Y-%m-%d} "
                 "are filled in."),
    _option(_WHERE, "--key", metavar="TEMPLATE", default="url",
            help="How objects are named: url, hash, or a template of {host} {path} {ext} {hash} "
                 "{line} {date}."),
    _option(_WHERE, "--manifest", type=WRITTEN, metavar="PATH",
            default=".scraper/manifest.jsonl in DEST",
            help="Where the record of every target is kept."),
    _option(_WHERE, "--store-compressed", type=click.Choice(["gzip", "zstd"]),
            default="none",
            help="Compress what is stored, unless its name says that it is; keys get .gz or .zst."),
    _option(_WHERE, "--durable/--no-durable", is_flag=True,
            help="Records survive a power cut, not only a crash of the program."
                 "  [default: no-durable]"),
    _option(_WHERE, "--warc-size", type=Size(), metavar="BYTES", default="1GiB; in stores 256MiB",
            help="Of an archive (--to warc:DIR): begin another file when one has so many bytes."),
    _option(_WHERE, "--dry-run", is_flag=True,
            help="Print URL<TAB>key and collisions, fetch nothing."),
    _option(_EARLIER, "--resume", is_flag=True,
            help="Go on: skip what the manifest of DEST shows as done."),
    _option(_EARLIER, "--retry-failed", is_flag=True,
            help="Fetch only what the manifest shows as not done; without FILE, all of that. "
                 "What failed for good (404, 410, 451, bad_url) is left alone."),
    _option(_EARLIER, "--all", is_flag=True, help="With --retry-failed: what failed for good too."),
    _option(_EARLIER, "--refresh/--no-refresh", is_flag=True,
            help="Ask servers only for what has changed since the last run, by ETag and date."
                 "  [default: refresh]"),
    _option(_EARLIER, "--skip-existing", is_flag=True,
            help="Take over what lies in DEST and has no record: from wget, aria2, rclone, or "
                 "after a manifest was lost. It is not fetched."),
    _option(_EARLIER, "--lock", type=click.Choice(["wait", "skip", "fail"]), default="fail",
            help="When another run holds DEST: wait, leave it to that, or fail (both: exit 75)."),
    _option(_AT_ONCE, "-c", "--max-concurrency", type=int, metavar="N", default="16",
            help="Transfers at once, at most."),
    _option(_AT_ONCE, "--processes", type=Count(), metavar="N", default="1",
            help="Processes that the hosts are divided among. auto: one for each core."),
    _option(_AT_ONCE, "--per-host", type=int, metavar="N", default="0: no cap of its own",
            help="Transfers to one host at once, at most."),
    _option(_AT_ONCE, "--delay", type=float, metavar="S", default="0",
            help="Least seconds between requests to one host."),
    _option(_AT_ONCE, "--rate", type=float, metavar="N", default="none",
            help="Requests started a second, to all hosts together, at most."),
    _option(_AT_ONCE, "--split", type=int, metavar="N", default="1",
            help="Parts of one large body that come at once, where its server gives ranges."),
    _option(_AT_ONCE, "--split-above", type=Size(), metavar="BYTES", default="20M",
            help="How large a body must be for --split."),
    _option(_AT_ONCE, "--limit-rate", type=Size(), metavar="BYTES", default="none",
            help="Bytes a second, of all bodies together, at most: 500k, 10M."),
    _option(_AT_ONCE, "--shard", metavar="I/N",
            help="Only the hosts of shard I of N, from 0; others fetch the rest into DEST."),
    _option(_AT_ONCE, "--cluster", metavar="URL",
            help="Run the list as shards on a Dask cluster: tcp://HOST:PORT, or local:N for N "
                 "workers here. -c is each worker's."),
    _option(_AT_ONCE, "--robots", is_flag=True,
            help="Obey robots.txt (RFC 9309) and its Crawl-delay."),
    _option(_AT_ONCE, "--robots-agent", metavar="TOKEN", default="first word of the User-Agent",
            help="The name that robots.txt and X-Robots-Tag know us by."),
    _option(_AT_ONCE, "--engine", type=click.Choice(["auto", "threads", "curl"]),
            default="auto: curl if pycurl is installed",
            help="What carries transfers: Python threads, or libcurl."),
    _option(_AGAIN, "--retries", type=int, metavar="N", default="3",
            help="Attempts at a target after the first one failed."),
    _option(_AGAIN, "--retry-max-time", type=float, metavar="S", default="300",
            help="Seconds after which a target gets no new attempt."),
    _option(_AGAIN, "--max-retry-after", type=float, metavar="S", default="120",
            help="Longest wait in seconds that a server may ask for; longer ones defer targets."),
    _option(_AGAIN, "--retry-on", metavar="CODES", default="none",
            help="Further statuses that are tried again, such as 403,5xx."),
    _option(_AGAIN, "--max-failures", metavar="N[%]", default="0",
            help="Failures, in number or in percent, that the exit status 0 tolerates."),
    _option(_AGAIN, "--fail-fast", is_flag=True,
            help="Stop at the first failure beyond --max-failures."),
    _option(_LIMITS, "--connect-timeout", type=float, metavar="S", default="10",
            help="Seconds to connect to a server."),
    _option(_LIMITS, "--read-timeout", type=float, metavar="S", default="30",
            help="Seconds without a byte after which an attempt fails."),
    _option(_LIMITS, "--max-time", type=float, metavar="S", default="300",
            help="Seconds for one attempt, body included."),
    _option(_LIMITS, "--speed-limit", type=Size(), metavar="BYTES", default="0: none",
            help="Give up a body that comes slower than this, in bytes a second."),
    _option(_LIMITS, "--speed-time", type=float, metavar="S", default="30",
            help="Seconds over which --speed-limit is measured."),
    _option(_LIMITS, "--max-size", type=Size(), metavar="BYTES", default="none",
            help="Largest body that is stored, as decoded: 10M, 2GiB."),
    _option(_LIMITS, "--max-redirects", type=int, metavar="N", default="10",
            help="Redirects that one target may follow."),
    _option(_LIMITS, "--continue-above", type=Size(), metavar="BYTES", default="8M",
            help="A body that broke off after so much is continued, not begun anew."),
    _option(_WHOLE, "--max-total-size", type=Size(), metavar="BYTES", default="none",
            help="Stop before more bytes than this were written, of all bodies, as decoded."),
    _option(_WHOLE, "--max-run-time", type=float, metavar="S", default="none",
            help="Stop after so many seconds. The next run can go on."),
    _option(_WHOLE, "--min-free-space", type=Size(), metavar="BYTES", default="none",
            help="Stop when less is free on the disk of DEST (for S3: of the temporary files)."),
    _option(_WHOLE, "--grace", type=float, metavar="S", default="8",
            help="A run that is stopped breaks off after so many seconds what is in flight."),
    _option(_HTTP, "-H", "--header", "headers", type=Header(), multiple=True, metavar="'K: V'",
            envvar="SCRAPER_HEADER", help="Send this header; may be repeated."),
    _option(_HTTP, "-A", "--user-agent", metavar="NAME", default="scraper/VERSION",
            help="User-Agent of all requests."),
    _option(_HTTP, "--contact", metavar="ADDRESS",
            help="E-mail address or URL of who answers for this, told to the servers."),
    _option(_HTTP, "--proxy", metavar="URL", default="http_proxy and https_proxy",
            help="HTTP or SOCKS proxy for all requests: http://, https://, socks5h://, ..."),
    _option(_HTTP, "-4", "--ipv4", is_flag=True, help="Connect to IPv4 addresses only."),
    _option(_HTTP, "-6", "--ipv6", is_flag=True, help="Connect to IPv6 addresses only."),
    _option(_HTTP, "--resolve", type=Resolve(), multiple=True, metavar="HOST:PORT:ADDRESS",
            help="Take this address for the host (*: for all); may be repeated."),
    _option(_HTTP, "--cacert", type=FILE, metavar="FILE",
            help="Trust these certificates (PEM), no others; else SSL_CERT_FILE and the like."),
    _option(_HTTP, "-u", "--user", metavar="NAME:PASSWORD",
            help="Log in to the servers of the list, by Basic or, if they ask for it, Digest."),
    _option(_HTTP, "--cookies", type=FILE, metavar="FILE",
            help="Send the cookies of this file (Netscape's form) where they belong."),
    _option(_HTTP, "--http1.1", "http1_1", is_flag=True, help="Do not use HTTP/2."),
    _option(_HTTP, "--cert", type=FILE, metavar="FILE",
            help="Show this certificate (PEM) to servers that ask for one."),
    _option(_HTTP, "--cert-key", type=FILE, metavar="FILE",
            help="The private key of --cert (PEM), unless it is in the same file."),
    _option(_HTTP, "--insecure", is_flag=True,
            help="Trust any certificate: who is in between can read and change everything."),
    _option(_HTTP, "--public-only", is_flag=True,
            help="Connect to no loopback, private or other non-public address, on any hop. "
                 "What a name means to a proxy is not known."),
    _option(_HTTP, "--netrc", is_flag=True, help="Take passwords from ~/.netrc, by host."),
    _option(_HTTP, "--raw", is_flag=True, help="Keep bytes as sent: undo no content coding."),
    _option(_HTTP, "--expect-type", metavar="GLOB",
            help="A body of another media type is a failure: 'image/*'."),
    _option(_HTTP, "--require-digest", is_flag=True,
            help="Refuse targets whose line has no digest (md5, sha1, sha256, sha512)."),
    _option(_HTTP, "--robots-tags", metavar="RULE,...",
            help="Do not store what X-Robots-Tag says one of these of: noai,noimageai,noarchive."),
    _option(_S3, "--s3-endpoint", metavar="URL", help="URL of an S3 that is not Amazon's."),
    _option(_S3, "--s3-profile", metavar="NAME",
            help="Profile of ~/.aws/config that S3 is used with."),
    _option(_S3, "--s3-storage-class", metavar="CLASS",
            help="Storage class of the objects: STANDARD_IA, GLACIER_IR, ..."),
    _option(_S3, "--s3-sse", metavar="SSE",
            help="Encryption of the objects: AES256, aws:kms or aws:kms:KEY-ID."),
    _option(_S3, "--s3-unconfirmed", is_flag=True,
            help="Store even if the endpoint does not confirm --s3-sse or --s3-storage-class."),
    _option(_S3, "--s3-client", type=click.Choice(["auto", "boto3", "curl"]), default="auto",
            help="What stores objects in S3; auto: curl where it can, else boto3."),
    _option(_TOLD, "--results", type=FILE, metavar="-|FILE",
            help="Write a JSON record of each URL as it is done; -: to stdout."),
    _option(_TOLD, "--log-format", type=click.Choice(["text", "json"]), default="text",
            help="The log of every URL, on stderr."),
    _option(_TOLD, "--log-file", type=WRITTEN, metavar="FILE",
            help="Append the log to FILE, not stderr; {date} and {:%Y-%m-%d} are filled in."),
    _option(_TOLD, "-q", "--quiet", is_flag=True, help="Tell of failures only."),
    _option(_TOLD, "--new-failures", is_flag=True,
            help="Tell of no failure that the run before had already, with -q for nightly mail."),
    _option(_TOLD, "-v", "--verbose", is_flag=True, help="Tell of retries too."),
    _option(_TOLD, "--stats", type=float, metavar="S", default="none",
            help="Without a display: a line of totals every S seconds and the failures, "
                 "not a line for each URL."),
    _option(_TOLD, "--progress/--no-progress", is_flag=True,
            default="when it is a terminal", help="Live display on stderr."),
    _option(_TOLD, "--metrics", type=WRITTEN, metavar="FILE",
            help="Write metrics for Prometheus into FILE every 15 seconds and at the end: a .prom "
                 "file of node_exporter's textfile collector."),
    _option(_TOLD, "--metrics-port", type=int, metavar="N",
            help="Serve them at http://127.0.0.1:N/metrics while the run lasts; 0: any free port."),
    _option(_OTHER, "--config", type=FILE, metavar="FILE", is_eager=True, expose_value=False,
            callback=read_config,
            help="Read options from this TOML file, by their long names; options and SCRAPER_* "
                 "variables win over it. No file is read by itself."),
    _option(_OTHER, "--show-config", is_flag=True,
            help="Print every option, its value and where that came from, as TOML; fetch nothing."),
    click.version_option(__version__, message="%(prog)s %(version)s"),
    short_help_option,
)  # fmt: skip


def names_of_fetch() -> set[str]:
    """The long names of its options."""
    bare: Any = fetch_options(lambda: None)
    return {long_name(param) for param in bare.__click_params__}


def options_of_fetch(*names: str) -> Callable[[F], F]:
    """Those of its options that have one of these long names, in the order of the help."""
    bare: Any = fetch_options(lambda: None)

    def add(command: F) -> F:
        params: Any = command.__dict__.setdefault("__click_params__", [])
        params += [param for param in bare.__click_params__ if long_name(param) in names]
        return command

    return add


def fetch_options(command: F) -> F:
    """Every option of `fetch`, in the order of the help."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
