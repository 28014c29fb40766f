"""The group of commands, of which `fetch` is the default, and how the process ends.

Owns: the streams that a process needs at its start, and turning any error into one
line, perhaps a hint, and an exit status. Does not know: what the commands do. Tried and rejected:
Click's own error format, which has three lines; cron mails every one of them.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from click_default_group import DefaultGroup

from scraper.cli.commands import COMMANDS, load
from scraper.cli.fetch import fetch
from scraper.cli.options import COMPLETION, HELP, PATH, WHOLE_HELP, short_help_option
from scraper.cli.title import hide_secrets
from scraper.model.errors import (
    EXIT_DESTINATION,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    DestinationError,
    ScraperError,
    UsageError,
    status_of,
)

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class MainGroup(DefaultGroup):  # type: ignore[misc]
    """The group. `scraper --help` shows the options of `fetch`, which is what people run."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command. `-h` is its help, unless it has a short one."""
        if not any("-h" in param.opts for param in cmd.params):
            cmd.context_settings = {**HELP, **cmd.context_settings}
        super().add_command(cmd, name)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's
        """The names of all commands, in the order of the help."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, which is imported now; `fetch` for a word that names none."""
        name = cmd_name if cmd_name in COMMANDS else "fetch"
        if name not in self.commands:
            self.add_command(load(name))
        found: click.Command | None = super().get_command(ctx, cmd_name)
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse. A TAB without a word yet is for the commands too, not for `fetch` alone."""
        if ctx.resilient_parsing and not args:
            return click.Group.parse_args(self, ctx, args)
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[Any]]":
        """What a TAB gets for the first word: options of `fetch`, or commands and files."""
        if incomplete.startswith("-"):
            context = click.Context(fetch, ctx, "fetch", resilient_parsing=True)
            return fetch.shell_complete(context, incomplete)
        named = [item for item in super().shell_complete(ctx, incomplete) if item.value[:1] != "-"]
        return [*named, *PATH.shell_complete(ctx, self.params[0], incomplete)]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help of `fetch`, then the list of commands."""
        fetch.format_help(ctx, formatter)
        others = sorted(COMMANDS.items() - {("fetch", COMMANDS["fetch"])})
        with formatter.section("Commands"):
            formatter.write_dl([("fetch*", COMMANDS["fetch"]), *others])
        from scraper.cli.short_help import STATUSES

        with formatter.section("Exit status"):
            formatter.write_dl(STATUSES)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Whoever reads its stdout may have enough (`| head`): no error.

        Click would end the process with status 1.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return 0


@click.group(
    cls=MainGroup,
    default="fetch",
    default_if_no_args=True,
    context_settings=WHOLE_HELP,
    options_metavar="",
    subcommand_metavar="[fetch] [OPTIONS] [URL|FILE]...",
)
@short_help_option
def group() -> None:
    """Fetch every URL of a list into a directory or S3."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit status.

    With `arguments` the process belongs to the caller, and `main` raises SystemExit. Without
    them it ends the process in the quickest way.
    """
    _open_missing()
    _unblock()
    if arguments is None:
        _end_at_signals()
        hide_secrets()
    if COMPLETION in os.environ:
        from scraper.cli.shells import register

        register()
    try:
        status = _status_of(arguments)
    except Exception:  # noqa: BLE001 - a bug of ours or of a sink: shown as Python shows it
        status = _tell_trace()
    at_once = arguments is None and status != EXIT_INTERRUPTED and not _is_awaited()
    if at_once:
        atexit._run_exitfuncs()  # noqa: SLF001 - sinks and coverage tools register some
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the pipe is closed, or the disk is full: nothing more can be said
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    # After an interruption a worker may still wait for a look-up or a list; nobody waits for it.
    # In the other case Python would free modules and objects one by one, which takes a sixth of
    # the time of a small run.
    if at_once or status == EXIT_INTERRUPTED:
        os._exit(status)
    sys.exit(status)


def _end_at_signals() -> None:
    """Let SIGINT and SIGTERM end the process at once, with the status that shells expect.

    A command that has something to finish takes the signals itself. Those that were ignored
    when the process was started stay ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: os._exit(128 + number))


def _is_awaited() -> bool:
    """Whether something runs after this command: a thread, a profiler or a debugger."""
    others = set(threading.enumerate()) - {threading.main_thread()}
    if any(not thread.daemon for thread in others):
        return True
    if sys.getprofile() is not None or sys.gettrace() is not None or sys.flags.inspect:
        return True
    tools = getattr(sys, "monitoring", None)  # Python 3.12 and later; it has six places for tools
    return tools is not None and any(map(tools.get_tool, range(6)))


def _open_missing() -> None:
    """Open a stdout and a stderr that refuse all writes if the process has none (`>&-`).

    Otherwise Python has None there, and the next file that is opened gets that number.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDONLY)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
            stream = open(number, "w", errors="replace", closefd=False)  # noqa: SIM115 - open until the end
            setattr(sys, name, stream)


def _unblock() -> None:
    """Make stdin, stdout and stderr blocking; a program that shares them may have changed that.

    Otherwise a pipe that has no line yet would look like the end of the list.
    """
    for number in range(3):
        with contextlib.suppress(OSError):  # stdin may be closed
            os.set_blocking(number, True)


def _status_of(arguments: Sequence[str] | None) -> int:
    try:
        status: Any = group.main(arguments, prog_name="scraper", standalone_mode=False)
    except (click.ClickException, UsageError) as error:
        from scraper.cli.words import explain

        words = sys.argv[1:] if arguments is None else arguments
        status = error.exit_code if isinstance(error, click.ClickException) else EXIT_USAGE
        return _fail(*explain(error, words), status)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except DestinationError as error:
        return _fail(str(error), error.hint, EXIT_DESTINATION)
    except (ScraperError, OSError) as error:  # OSError: a full disk, no temporary directory
        text = getattr(error, "strerror", None) or str(error)
        return _fail(text, getattr(error, "hint", ""), status_of(error))
    return status if isinstance(status, int) else 0


def _tell_trace() -> int:
    from traceback import format_exc

    from scraper.model.urls import redact_text

    with contextlib.suppress(OSError):
        print(redact_text(format_exc()), end="", file=sys.stderr)  # noqa: T201
    return 1


def _fail(message: str, hint: str, status: int) -> int:
    from scraper.model.urls import redact_text

    lines = f"scraper: {message}", f"hint: {hint}" if hint else ""
    with contextlib.suppress(OSError):
        for line in filter(None, lines):
            shown = redact_text(" ".join(line.split()))  # it may repeat what was given
            print(shown, file=sys.stderr)  # noqa: T201 - this is the command line
    return status
