"""The page of `scraper report`: one run, or all shards of a plan, as one HTML file for people.

    facts = RunFacts()
    facts.add(record)                       each record of the run
    html = page(facts, changes, account)

Owns: what is counted for the page (`facts.py`, `bins.py`, `changes.py`), its plots (`charts.py`)
and its looks (`render.py`, `page.html`, `page.css`). Does not know: which records these are
(`cli/report.py`). Memory does not grow with the records. Others import `facts`,
`changes` and `render`; only that one, with `charts.py`, needs the extra `report`.

Plots are made by vl-convert, which has Vega-Lite in one wheel and gives plain SVG: no browser, no
script in the page, and it passes CSS variables through, so that a page has a dark side. Rejected:
pygal (its legends and tooltips need a script), matplotlib (heavy SVG, every colour fixed), plotly
and bokeh (megabytes of script), altair (pandas-like layers to write what is one dict).
"""
