"""The state of a run in a few lines, for who asks once (SIGUSR1).

    state: 459 of 1,561, 5 failed, 108/s, 12.8 MB, 2.3 MB/s, 16 in flight, 10 s left
      waiting 31 s for example.com (429 Retry-After), 40 URLs
      12.3 MB of 40.0 MB   31%    2.1 MB/s  example.com/big.iso

Owns: these lines. Rates are those since the run began: nobody has looked before. Does not know:
where the lines go. The words are those of the display (`figures.py`).
"""

from scraper.report import figures
from scraper.report.snapshot import Watch, Watched


def state(watched: Watched | None, begun: float) -> list[str]:
    """The lines. None: nothing is to be seen yet. `begun`: monotonic seconds."""
    if watched is None:
        return ["state: about to begin"]
    told = Watch(begun).see(watched.snapshot())
    counts = ", ".join(one.text for one in figures.counts(told))
    lines = [f"state: {counts}" if told.seen.has_begun else "state: about to begin"]
    lines += [f"  {text}" for text in figures.waits(told)]
    for shown in told.shown:
        url, text = figures.transfer(shown, short=False)
        lines.append(f"  {text.strip()}  {url}")
    return lines
