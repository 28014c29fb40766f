"""`scraper demo`: a site and an S3 endpoint on loopback, to try everything offline.

Owns: how long they are served: until Ctrl-C, or while a command runs. It owns the file that
`--write-list` makes. Does not know: what is served (`scraper.demo`).
"""

import os
import signal
import sys
from contextlib import ExitStack
from types import FrameType

import click


@click.command(
    context_settings={"ignore_unknown_options": True},
    short_help="Serve a small site and an S3 endpoint on loopback.",
)
@click.option("--port", type=int, default=8642, show_default=True, help="Of the site; 0: any.")
@click.option("--s3-port", type=int, default=8643, show_default=True, help="Of S3; 0: any.")
@click.option("--site-only", is_flag=True, help="No S3 endpoint.")
@click.option(
    "--write-list",
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Write the example list into a new FILE, or to stdout, and serve nothing.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
def demo(
    port: int, s3_port: int, write_list: str | None, command: tuple[str, ...], *, site_only: bool
) -> int:
    """Serve a small site and an S3 endpoint on loopback.

    Until Ctrl-C, or while COMMAND runs, which finds S3 in its environment (the bucket is
    s3://demo). Without moto (the extra `demo`) there is the site alone.
    """
    from scraper.demo import BUCKET, Site

    if write_list is not None:
        return _write_list(write_list, port, command)
    with ExitStack() as stack:
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        site = stack.enter_context(Site(port))
        environment = {"SCRAPER_DEMO_URL": site.url}
        if not site_only:
            environment |= _serve_bucket(stack, s3_port)
        if command:
            return _run(command, environment)
        _explain(site.url, environment, BUCKET)
        signal.pause()
    return 0


def _write_list(name: str, port: int, command: tuple[str, ...]) -> int:
    """Write the list. A file that is there already is left alone, unless it is the same."""
    from scraper.demo import example_list

    if command:
        raise click.UsageError("--write-list serves nothing, so it runs no command")
    text = example_list(port)
    if name == "-":
        click.echo(text, nl=False)
        return 0
    try:
        with open(name, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if not _has(name, text):
            raise click.UsageError(f"--write-list: {name!r} is there already") from None
    except OSError as error:
        raise click.UsageError(f"--write-list: can't write {name!r}: {error.strerror}") from None
    return 0


def _has(name: str, text: str) -> bool:
    if not os.path.isfile(name):
        return False
    with open(name, encoding="utf-8", errors="replace") as file:
        return file.read(len(text) + 1) == text


def _serve_bucket(stack: ExitStack, port: int) -> dict[str, str]:
    """Serve the bucket, and return the variables of its clients: none if moto is not installed."""
    from scraper.demo import Bucket, NoMoto

    try:
        return stack.enter_context(Bucket(port)).environment
    except NoMoto as missing:
        click.echo(f"scraper demo: the site alone; {missing}", err=True)
        return {}


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _run(command: tuple[str, ...], environment: dict[str, str]) -> int:
    import subprocess

    try:
        ended = subprocess.run(command, env={**os.environ, **environment}, check=False)  # noqa: S603
    except OSError as error:
        raise click.UsageError(f"can't run {command[0]!r}: {error.strerror}") from None
    return ended.returncode if ended.returncode >= 0 else 128 - ended.returncode


def _explain(site: str, environment: dict[str, str], bucket: str) -> None:
    click.echo(f"A site of a few hundred pages is at {site}/ until Ctrl-C. In another shell:\n")
    click.echo(f"    scraper -i {site}/urls.txt --to out")
    if "AWS_ENDPOINT_URL" in environment:
        click.echo("\nAnd into S3:\n")
        settings = " ".join(f"{k}={v}" for k, v in environment.items() if k.startswith("AWS_"))
        click.echo(f"    export {settings}")
        click.echo(f"    scraper -i {site}/urls.txt --to s3://{bucket}/pages")
    sys.stdout.flush()
