"""The plots of the page, as SVG.

A plot is a dict of Vega-Lite, which vl-convert draws. Colours are CSS variables of the page. No
text of a record gets in: only numbers and words of ours.

Owns: how each plot looks. Does not know: where it stands. Raises UsageError if vl-convert is not
installed.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from scraper.model.errors import UsageError
from scraper.report.page.bins import LogHistogram, Series

NEED = "the report needs vl-convert-python and Jinja2: pip install 'scraper[report]'"
_WIDTH, _HEIGHT = 860, 170
_SCALES = {"done": "var(--good)", "failed": "var(--bad)"}
_CONFIG = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
    },
    "legend": {
        "labelColor": "var(--text)",
        "labelFontSize": 12,
        "orient": "top",
        "title": None,
        "symbolType": "square",
    },
}
_TIME = {
    "field": "t",
    "type": "temporal",
    "axis": {"title": None, "grid": False, "tickCount": 8, "labelOverlap": True},
}

Rows = Sequence[Mapping[str, Any]]


def throughput(series: Series) -> str:
    """Targets a second over time, those that failed apart."""
    width = series.width_s
    rows = [
        {"t": at * 1000, "u": (at + width) * 1000, "n": count / width, "what": what}
        for at, moment in series.moments()
        for what, count in (("done", moment.done), ("failed", moment.failed))
    ]
    y = {"field": "n", "type": "quantitative", "title": "targets / s", "stack": True}
    return _drawn(
        rows,
        {"type": "bar", "binSpacing": 0},
        {
            **_over_time(series),
            "y": {**y, "axis": {"tickCount": 4, "format": "~s"}},
            "color": _colours(_SCALES),
        },
        "Targets done and failed a second, over the time of the run",
    )


def bytes_a_second(series: Series) -> str:
    """Bytes a second over time."""
    width = series.width_s
    rows = [
        {"t": at * 1000, "u": (at + width) * 1000, "n": moment.size / width}
        for at, moment in series.moments()
    ]
    y = {"field": "n", "type": "quantitative", "title": "bytes / s"}
    return _drawn(
        rows,
        {"type": "bar", "binSpacing": 0, "color": "var(--accent)"},
        {**_over_time(series), "y": {**y, "axis": {"tickCount": 4, "format": "~s"}}},
        "Bytes stored a second, over the time of the run",
    )


def latency_over_time(series: Series) -> str:
    """The median of the durations, and the 95th percentile, over time."""
    rows: list[dict[str, Any]] = [
        {"t": (at + series.width_s / 2) * 1000, "n": moment.durations.percentile(q), "what": what}
        for at, moment in series.moments()
        if moment.durations.count
        for what, q in (("median", 50), ("95th percentile", 95))
    ]
    low, high = _rounded([row["n"] for row in rows])
    scale = {"type": "log", "domain": [low, high], "nice": False}
    y = {"field": "n", "type": "quantitative", "title": "seconds", "scale": scale}
    colours = {"median": "var(--accent)", "95th percentile": "var(--warm)"}
    coloured = _colours(colours) | {"legend": {"symbolType": "stroke", "symbolStrokeWidth": 3}}
    return _drawn(
        rows,
        {"type": "line", "strokeWidth": 2, "point": len(rows) < 20},
        {
            "x": _time(series),
            "y": {**y, "axis": {"values": _marks(low, high), "format": "~g"}},
            "color": coloured,
        },
        "How long an attempt took, over the time of the run",
    )


def durations(histogram: LogHistogram) -> str:
    """How many attempts took how long."""
    return _histogram(histogram, 10, "~g", "seconds", "How many attempts took how long")


def sizes(histogram: LogHistogram) -> str:
    """How many bodies are how large."""
    return _histogram(histogram, 6, "~s", "bytes", "How many bodies are how large")


def _histogram(
    histogram: LogHistogram, per_decade: int, form: str, title: str, description: str
) -> str:
    bars = histogram.bars(per_decade)
    rows = [{"t": bar.low, "u": bar.high, "n": bar.number} for bar in bars]
    low, high = (bars[0].low, bars[-1].high) if bars else (1.0, 10.0)
    x = {
        "field": "t",
        "type": "quantitative",
        "scale": {"type": "log", "domain": [low, high], "nice": False},
        "axis": {"title": title, "grid": False, "format": form, "values": _marks(low, high)},
    }
    y = {"field": "n", "type": "quantitative", "title": None}
    over = {"x2": {"field": "u"}, "y2": {"datum": 0}}
    return _drawn(
        rows,
        {"type": "rect", "color": "var(--accent)", "stroke": "var(--card)", "strokeWidth": 1},
        {"x": x, **over, "y": {**y, "axis": {"tickCount": 4, "format": "~s"}}},
        description,
        width=400,
    )


def _rounded(values: Sequence[float]) -> tuple[float, float]:
    """The range of a logarithmic scale, somewhat wider than these values."""
    low, high = min(values, default=1.0), max(values, default=1.0)
    return max(low, 1e-4) / 1.2, max(high, 1e-4) * 1.2


def _marks(low: float, high: float) -> list[float]:
    """Round numbers in this range, for a logarithmic scale: powers of ten, and between few more."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    marks = [step * 10.0**power for power in powers for step in steps]
    return [mark for mark in marks if low <= mark <= high]


def _time(series: Series) -> dict[str, Any]:
    """The axis of time, the same for all plots of a run."""
    begins = [at for at, _ in series.moments()]
    domain = [begins[0] * 1000, (begins[-1] + series.width_s) * 1000] if begins else [0, 1]
    return {**_TIME, "scale": {"type": "utc", "domain": domain, "nice": False}}


def _over_time(series: Series) -> dict[str, Any]:
    return {"x": {**_time(series), "bin": "binned"}, "x2": {"field": "u"}}


def _colours(scale: Mapping[str, str]) -> dict[str, Any]:
    return {
        "field": "what",
        "type": "nominal",
        "scale": {"domain": [*scale], "range": [*scale.values()]},
    }


def _drawn(
    rows: Rows, mark: Mapping[str, Any], encoding: Any, description: str, width: int = _WIDTH
) -> str:
    if not rows:
        return ""
    try:
        import vl_convert
    except ImportError:
        raise UsageError(NEED) from None
    drawn: str = vl_convert.vegalite_to_svg(
        {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "width": width,
            "height": _HEIGHT,
            "data": {"values": [*rows]},
            "mark": mark,
            "encoding": encoding,
            "config": _CONFIG,
        }
    )
    # The axes' own descriptions repeat what the caption says, in English of the locale.
    drawn = re.sub(r' aria-(?:label|roledescription)="[^"]*"', "", drawn)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{description}" ', 1)
