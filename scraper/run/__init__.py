"""One run: the loop, what it opens and closes, what follows a failure, how it stops.

Owns: the order in which the other rooms are asked. Does not know: Click, HTTP, S3.
Others import the modules: `loop` (`Run`), `not_done`, `build`, `events`, `planning`, `prefilter`,
`remote`, `settling`, `stopping`, `timeout`, `waits`.
`api`, `aio` and `result` are for `scraper` itself.

`scraper.run` is also the public function. Python gives the name `run` in `scraper` to this
package when the package is imported before anyone asks for the function. So the package can
be called too, and means the same. Rejected: another name for this package. It would only
hide that the function is one run.
"""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package that can be called, as `scraper.run`."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Do what `scraper.run.api.run` says."""
        from scraper.run.api import run

        return run(*args, **options)


sys.modules[__name__].__class__ = _CallablePackage
