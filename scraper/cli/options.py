"""The options of `fetch`: names, help and order, in sections people can find.

Owns: how an option is written and read from flags, `SCRAPER_*` variables and a
TOML file. Refuses to know: defaults and ranges, which are Settings' (an option
not given is None; the default shown here is checked by a test). Rejected:
importing Settings for them; `scraper --help` answers before anything is loaded.
"""

import re
import tomllib
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}


class Size(click.ParamType[int]):
    """Bytes: `500k`, `10M`, `2G` (powers of 1000), `64KiB`, `1GiB` (powers of 1024)."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(
            r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", str(value).strip(), re.IGNORECASE
        )
        if not found:
            self.fail(f"{value!r} is not a size like 500k, 10M or 2GiB", param, ctx)
        unit = found[2].upper()
        factor = 1024 ** " KMGT".index(unit) if found[3] and unit else _UNITS[unit]
        return int(float(found[1]) * factor)


class Header(click.ParamType[str]):
    """`K: V`; several in one variable are on lines of their own."""

    name = "header"
    envvar_list_splitter = "\n"


class SectionOption(click.Option):
    """An option that knows its section of the help, and reads `SCRAPER_<NAME>`."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section
        if self.envvar is None and self.name:
            self.envvar = f"SCRAPER_{self.name.upper()}"


class SectionedCommand(click.Command):
    """A command whose help shows options by section, in the order they were declared."""

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
    """Make the values of the TOML file at `path` this command's defaults."""
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            given = tomllib.load(file)
    except OSError as error:
        raise click.UsageError(f"--config: can't read {path!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--config {path!r} is not TOML: {error}") from None
    known = {_long_name(param): param for param in ctx.command.params if _long_name(param)}
    defaults: dict[str, Any] = {}
    for name, value in given.items():
        param = known.get(name.replace("_", "-"))
        if param is None or param.name in {None, "config"}:
            raise click.UsageError(f"--config {path!r}: there is no option {name!r}")
        assert param.name is not None
        if isinstance(value, dict) or (isinstance(value, list) and not param.multiple):
            raise click.UsageError(f"--config {path!r}: {name!r} takes one value")
        wrapped = param.multiple and not isinstance(value, list)
        defaults[param.name] = [value] if wrapped else value
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return path


def _long_name(param: click.Parameter) -> str:
    return next((opt.removeprefix("--") for opt in param.opts if opt.startswith("--")), "")


def _option(
    section: str, *names: str, default: str | None = None, **kwargs: Any
) -> Callable[[F], F]:
    if default is not None:
        kwargs["help"] = f"{kwargs['help']}  [default: {default}]"
    return click.option(*names, cls=SectionOption, section=section, **kwargs)


_WHERE = "Where to"
_PACE = "How much at once"
_AGAIN = "When something fails"
_LIMITS = "Limits of one attempt"
_HTTP = "Requests"
_S3 = "S3 (credentials, region and endpoint as for the aws command)"
_TOLD = "What is told"
_OTHER = "Other"

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option(_WHERE, "-o", "--to", metavar="DEST", default="./out",
            help="Directory or s3://bucket/prefix; {date} and {:%Y-%m-%d} are filled in."),
    _option(_WHERE, "--key", metavar="TEMPLATE", default="url",
            help="How objects are named: url, hash, or a template of {host} {path} {ext} {hash} "
                 "{line} {date}."),
    _option(_WHERE, "--manifest", metavar="PATH", default=".scraper/manifest.jsonl in DEST",
            help="Where the record of every target is kept."),
    _option(_WHERE, "--dry-run", is_flag=True,
            help="Print URL<TAB>key, report collisions, fetch nothing."),
    _option(_PACE, "-c", "--max-concurrency", type=int, metavar="N", default="16",
            help="Transfers in flight, at most."),
    _option(_PACE, "--per-host", type=int, metavar="N", default="0: no cap of its own",
            help="Transfers in flight to one host, at most."),
    _option(_PACE, "--delay", type=float, metavar="S", default="0",
            help="Least seconds between starts to one host."),
    _option(_PACE, "--rate", type=float, metavar="N", default="none",
            help="Starts a second over all hosts, at most."),
    _option(_AGAIN, "--retries", type=int, metavar="N", default="3",
            help="Further attempts after the first."),
    _option(_AGAIN, "--retry-max-time", type=float, metavar="S", default="300",
            help="No new attempt of a target after so long."),
    _option(_AGAIN, "--max-retry-after", type=float, metavar="S", default="120",
            help="Longest wait a server may ask for; beyond it a target ends as deferred."),
    _option(_AGAIN, "--max-failures", metavar="N[%]", default="0",
            help="Failures tolerated before exit status 1."),
    _option(_AGAIN, "--fail-fast", is_flag=True, help="Stop at the first failure over that."),
    _option(_LIMITS, "--connect-timeout", type=float, metavar="S", default="10",
            help="Seconds to connect."),
    _option(_LIMITS, "--read-timeout", type=float, metavar="S", default="30",
            help="Seconds between two bytes."),
    _option(_LIMITS, "--max-time", type=float, metavar="S", default="300",
            help="Seconds for the whole, body included."),
    _option(_LIMITS, "--max-size", type=Size(), metavar="BYTES", default="none",
            help="Largest body, as decoded: 10M, 2GiB."),
    _option(_LIMITS, "--max-redirects", type=int, metavar="N", default="10", help="Hops."),
    _option(_HTTP, "-H", "--header", "headers", type=Header(), multiple=True, metavar="'K: V'",
            envvar="SCRAPER_HEADER", help="Send this header; may be repeated."),
    _option(_HTTP, "-A", "--user-agent", metavar="NAME", default="scraper/VERSION",
            help="Who to say we are."),
    _option(_HTTP, "--proxy", metavar="URL", default="http_proxy and https_proxy",
            help="HTTP proxy for all requests."),
    _option(_HTTP, "--cacert", metavar="FILE", help="Trust these certificates (PEM), no others."),
    _option(_HTTP, "--insecure", is_flag=True, help="Trust any certificate."),
    _option(_HTTP, "--netrc", is_flag=True, help="Take passwords from ~/.netrc, by host."),
    _option(_HTTP, "--raw", is_flag=True, help="Keep bytes as sent: undo no content coding."),
    _option(_HTTP, "--expect-type", metavar="GLOB",
            help="A body of another media type is a failure: 'image/*'."),
    _option(_S3, "--s3-endpoint", metavar="URL", help="Another S3 than Amazon's."),
    _option(_S3, "--s3-profile", metavar="NAME", help="Profile of ~/.aws/config."),
    _option(_S3, "--s3-storage-class", metavar="CLASS", help="STANDARD_IA, GLACIER_IR, ..."),
    _option(_S3, "--s3-sse", metavar="SSE", help="AES256, aws:kms or aws:kms:KEY-ID."),
    _option(_S3, "--s3-client", type=click.Choice(["auto", "boto3", "obstore"]), default="auto",
            help="What stores objects in S3; auto: obstore where it can, else boto3."),
    _option(_TOLD, "--results", metavar="-|FILE", help="Records as JSON Lines, live; -: stdout."),
    _option(_TOLD, "--log-format", type=click.Choice(["text", "json"]), default="text",
            help="The log of every URL, on stderr."),
    _option(_TOLD, "--log-file", metavar="FILE", help="Append the log to FILE, not stderr."),
    _option(_TOLD, "-q", "--quiet", is_flag=True, help="Tell of failures only."),
    _option(_TOLD, "-v", "--verbose", is_flag=True, help="Tell of retries and pauses too."),
    _option(_TOLD, "--progress/--no-progress", is_flag=True, default=None,
            help="Live display on stderr.  [default: when it is a terminal]"),
    _option(_OTHER, "--config", metavar="FILE", is_eager=True, expose_value=False,
            callback=read_config, help="TOML with these names; flags and SCRAPER_* win over it."),
)  # fmt: skip


def fetch_options(command: F) -> F:
    """Every option of `fetch`, in the order of the help."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
