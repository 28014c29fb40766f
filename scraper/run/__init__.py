"""One run: the loop, what it opens and closes, what follows a failure, how it stops.

Owns: the order in which the other rooms are asked. Does not know: Click, HTTP, S3.
Others import the modules: `loop` (`run`, `Run`), `build`, `remote`.

`scraper.run` is also the public function. This package stands in for it where it was
imported first, since Python gives the parent's name to the package then.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A package that is called as `scraper.run`."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from scraper.run.loop import run

        return run(*args, **options)


sys.modules[__name__].__class__ = _Callable
