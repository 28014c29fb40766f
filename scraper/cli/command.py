"""The group of commands, of which `fetch` is the default, and how the process ends.

Owns: the group of commands, of which `fetch` is the default, and turning any
error into one line and an exit status. Refuses to know: what commands do.
Rejected: Click's own error format of three lines; cron mails every one of them.
"""

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

import click
from click_default_group import DefaultGroup

from scraper.cli.demo import demo
from scraper.cli.fetch import EXIT_DESTINATION, EXIT_USAGE, fetch
from scraper.cli.options import HELP
from scraper.cli.title import hide_secrets
from scraper.cli.verify import verify
from scraper.model.errors import DestinationError, ScraperError, UsageError

EXIT_INTERRUPTED = 130


class MainGroup(DefaultGroup):  # type: ignore[misc]
    """`scraper --help` shows the options of `fetch`, which is what people run."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Fetch's help, then the commands."""
        fetch.format_help(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(
    cls=MainGroup,
    default="fetch",
    default_if_no_args=True,
    context_settings=HELP,
    options_metavar="",
    subcommand_metavar="[fetch] [OPTIONS] [FILE]...",
)
def group() -> None:
    """Fetch every URL of a list into a directory or S3."""


group.add_command(fetch)
group.add_command(verify)
group.add_command(demo)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit status.

    With `arguments` the process is the caller's: it ends by SystemExit. Else by what takes least.
    """
    _open_missing()
    _unblock()
    if arguments is None:
        hide_secrets()
    try:
        status = _status_of(arguments)
    except Exception:  # noqa: BLE001 - a mistake of ours, or of a sink's: told as Python would
        status = _tell_trace()
    at_once = arguments is None and status != EXIT_INTERRUPTED and not _is_awaited()
    if at_once:
        atexit._run_exitfuncs()  # noqa: SLF001 - those of sinks, of who measures coverage
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # a closed pipe, a full disk: what could be told was told
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    # When interrupted, a worker may sit in a look-up, for a list: nobody waits for it. Else
    # to take modules and objects apart, one by one, would cost a small run a sixth of its time.
    if at_once or status == EXIT_INTERRUPTED:
        os._exit(status)
    sys.exit(status)


def _is_awaited() -> bool:
    """Whether something comes after us: a thread's work, or a profiler's or debugger's."""
    others = set(threading.enumerate()) - {threading.main_thread()}
    if any(not thread.daemon for thread in others):
        return True
    if sys.getprofile() is not None or sys.gettrace() is not None or sys.flags.inspect:
        return True
    tools = getattr(sys, "monitoring", None)  # from Python 3.12 on; it has room for six
    return tools is not None and any(map(tools.get_tool, range(6)))


def _open_missing() -> None:
    """Give a process that was started without stdout or stderr (`>&-`) one that takes nothing.

    Else Python has None there, and the next file that is opened gets its number.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDONLY)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
            stream = open(number, "w", errors="replace", closefd=False)  # noqa: SIM115 - till the end
            setattr(sys, name, stream)


def _unblock() -> None:
    """Let reads and writes wait: who had a shared pipe or terminal before may have left it so.

    Else a pipe that has no line yet would look like the end of the list.
    """
    for number in range(3):
        with contextlib.suppress(OSError):  # stdin may be closed
            os.set_blocking(number, True)


def _status_of(arguments: Sequence[str] | None) -> int:
    try:
        status: Any = group.main(arguments, prog_name="scraper", standalone_mode=False)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except UsageError as error:
        return _fail(str(error), EXIT_USAGE)
    except DestinationError as error:
        return _fail(str(error), EXIT_DESTINATION)
    except (ScraperError, OSError) as error:  # OSError: a full disk, no temporary directory
        return _fail(getattr(error, "strerror", None) or str(error), 1)
    return status if isinstance(status, int) else 0


def _tell_trace() -> int:
    from traceback import format_exc

    from scraper.model.urls import redact_text

    with contextlib.suppress(OSError):
        print(redact_text(format_exc()), end="", file=sys.stderr)  # noqa: T201
    return 1


def _fail(message: str, status: int) -> int:
    from scraper.model.urls import redact_text

    line = redact_text(" ".join(message.split()))  # it may repeat what was given
    with contextlib.suppress(OSError):
        print(f"scraper: {line}", file=sys.stderr)  # noqa: T201 - this is the command line
    return status
