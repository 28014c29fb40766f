"""The Python entry point: `scraper.run`.

Owns: how options in Python become Settings, that messages name them as Python does, and that
the run ends with the iteration. Paths are made absolute, since the program may change its
directory while it iterates. Does not know: how a run goes (`loop.py`).
Rejected: a generator function as `run` itself. It would check nothing before the first `next`,
and has no place for the summary.
"""

import os
import warnings
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, Unpack

from scraper.model.errors import ScraperError, UsageError
from scraper.model.options import Listed, Options, in_python, unknown
from scraper.model.records import Deferred, Failed, NotReached
from scraper.model.settings import Settings
from scraper.report.summary import Summary
from scraper.run.build import caveats
from scraper.run.events import log_event
from scraper.run.loop import Run
from scraper.run.result import Result
from scraper.sinks.base import scheme_of
from scraper.sinks.home import is_stream
from scraper.source.sources import from_iterable

_FORMS = {"tar", "warc", "zip"}  # of archives; a path follows
_FILE = "file://"
_ARCHIVES = ("tar", "warc", "zip")  # a path follows


class Results(Generator[Result, None, None]):
    """The Results of one run: an iterator, and a context manager that ends the run.

    The run begins when the first Result is asked for. It is stopped when the iteration is left:
    by `close()`, by the end of a `with`, or when nobody refers to this object any more. One that is
    dropped before all that warns, as Python does of a coroutine that was never awaited.
    """

    _begun = True  # nothing is said of one that could not be made

    def __init__(self, run: Run) -> None:
        self._run = run
        self._results = results_of(run)
        self._last: Summary | None = None
        self._begun = False

    def __del__(self) -> None:
        """Warn if nothing was asked for: a call alone fetches nothing."""
        if not self._begun:
            text = "scraper.run(...) was never iterated, so nothing was fetched"
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    def __next__(self) -> Result:
        """The next Result. Raises DestinationError, Held, ListError, and what `urls` raises."""
        self._begun = True
        try:
            return next(self._results)
        except BaseException:
            self._last = self.summary
            raise

    def send(self, _: None) -> Result:
        """The same as `next`."""
        return next(self)

    def throw(
        self,
        kind: BaseException | type[BaseException],
        value: object = None,
        trace: TracebackType | None = None,
    ) -> Result:
        """End the run, and raise the error."""
        self._begun = True
        error = value if isinstance(value, BaseException) else kind
        if trace is not None and isinstance(error, BaseException):
            error = error.with_traceback(trace)
        try:
            return self._results.throw(error)
        finally:
            self._last = self.summary

    def close(self) -> None:
        """End the run: break off what is in flight, close the manifest, unlock the destination."""
        self._begun = True
        try:
            self._results.close()
        finally:
            self._last = self.summary

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the run."""
        self.close()

    @property
    def summary(self) -> Summary:
        """The account of the run: of the whole run after its end, until then the account so far."""
        return self._last or self._run.summary()


def run(
    urls: Iterable[Listed],
    *,
    to: str | os.PathLike[str] = "./out",
    **options: Unpack[Options],
) -> Results:
    """Fetch every target of `urls` into `to`, and yield each Result when the manifest has it.

    `urls` are lines of the list's grammar, tuples `(url, key)`, and dicts with a `url`, and
    perhaps a `key` and `headers`; all of them may be mixed. They are taken lazily, on a thread of
    their own. What is no target is yielded as a failed Result of kind `bad_url`.
    `to` is a directory, `s3://bucket/prefix` or a URL of any scheme that a sink serves.
    `options` are those of the command line, with underscores: `per_host=8`,
    `max_size=1_000_000` (bytes), `headers={"X": "y"}`. At most `max_concurrency` transfers are
    in flight. The run stops when the iteration is left early. Relative paths are meant from the
    directory that is current at the call.

    Raises UsageError at once for a bad option, or for a string in the place of `urls`. While
    iterating, it raises DestinationError when the destination can't be used, Held when another
    run holds it, and whatever `urls` raises.
    """
    return Results(make_run(urls, to, options))


def make_run(urls: Iterable[Listed], to: str | os.PathLike[str], options: Options) -> Run:
    """The Run that `scraper.run` means with these arguments. Raises UsageError."""
    if isinstance(urls, str | bytes):  # it could be iterated: over its characters
        raise UsageError("urls is one string: give a list of URLs, [url]")
    if (wrong := unknown(options)) is not None:
        raise UsageError(wrong)
    if isinstance(options.get("headers"), str):
        raise UsageError("headers is one string: give a mapping, {'Name': 'value'}")
    given: dict[str, Any] = {**options, "to": _destination(to)}
    if given.get("manifest") is not None:
        given["manifest"] = _absolute(given["manifest"])
    for name in ("cacert", "cert", "cert_key", "cookies"):
        if given.get(name) is not None:
            given[name] = os.fspath(given[name])
    with named_as_in_python():
        return Run(Settings.of(**given), [from_iterable(urls)], note=log_event)


@contextmanager
def named_as_in_python() -> Iterator[None]:
    """Raise errors of this package with the names that options have in Python."""
    try:
        yield
    except ScraperError as error:
        error.args = tuple(in_python(part) for part in error.args)
        raise


def results_of(run: Run) -> Generator[Result, None, None]:
    """Open `run`, yield its Results as a Python program sees them, and close it."""
    directory = None
    if scheme_of(run.destination) == "file":
        directory = run.destination.removeprefix(_FILE)
    with named_as_in_python(), run:
        log_event("info", "start", {"message": run.describe()})
        for name, text in caveats(run.settings.http):
            log_event("warning", name, {"message": text})
        for target, outcome, attempts, times, _, mirror, archived in run:
            told = outcome
            if (
                isinstance(outcome, Failed | Deferred | NotReached)
                and "--" in outcome.failure.message
            ):
                said = outcome.failure._replace(message=in_python(outcome.failure.message))
                told = outcome._replace(failure=said)
            yield Result(target, told, attempts, times, directory, mirror, archived)


def _destination(to: str | os.PathLike[str]) -> str:
    """`to` from the root on, also the path of an archive."""
    place = os.fspath(to)
    scheme = scheme_of(place)
    if is_stream(place) or scheme not in _ARCHIVES or "://" in place:
        return place if is_stream(place) else _absolute(place)
    return f"{scheme}:{os.path.join(os.getcwd(), place.removeprefix(scheme)[1:])}"


def _absolute(path: str | os.PathLike[str]) -> str:
    """`path` from the root on; a URL of another scheme than `file` as it is."""
    place = os.fspath(path)
    if place.startswith(_FILE):
        return _FILE + os.path.join(os.getcwd(), place.removeprefix(_FILE))
    if "://" in place or not place:
        return place
    form, colon, path = place.partition(":") if scheme_of(place) in _FORMS else ("", "", place)
    return form + colon + os.path.join(os.getcwd(), path)
