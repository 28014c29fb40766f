"""Variables `SCRAPER_*` that no option has: told in one line, so that a slip is seen.

Owns: which names are no mistake. Does not know: how a variable is read (`options.py`).
"""

import os
from collections.abc import Mapping

import click

# The password of a file server is no option, so that `ps` does not show it. `scraper demo` sets its
# own. Kubernetes sets the others in each container beside a Service that is called `scraper`
# (kubernetes.io, "Discovering services").
_OTHERS = r"SCRAPER_(TO_PASSWORD|DEMO_URL|SERVICE_HOST|(SERVICE_)?PORT(_.*)?)"


def unknown(context: click.Context, environment: Mapping[str, str] | None = None) -> str:
    """The line about variables with a value that no option of this command reads, or ""."""
    given = os.environ if environment is None else environment
    names = sorted(name for name in given if name.startswith("SCRAPER_") and given[name])
    known = {str(param.envvar) for param in context.command.params if param.envvar}
    odd = [name for name in names if name not in known]
    if not odd:
        return ""
    import re

    odd = [name for name in odd if not re.fullmatch(_OTHERS, name)]
    if not odd:
        return ""
    from scraper.cli.words import for_variable

    told = []
    for name in odd:
        hint = for_variable(name, known)
        told.append(f"{name} ({hint})" if hint else name)
    return f"no option has the variable {', '.join(told)}"
