"""Who hears of results: the log, the live display, the summary, streams of records.

Owns: words and pictures for people and scripts. Does not know: how a result came about.
Others import the modules: `log`, `progress`, `summary`, `streams`. Nothing is re-exported
here, since `progress` needs rich, which only a terminal is worth.
"""
