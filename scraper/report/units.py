"""Units: sizes and durations, as people read them.

Owns: that wording. Does not know: what is measured.
"""


def human_size(size: float) -> str:
    """Bytes in units of 1000, as `ls --si` shows them."""
    if size < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:  # more would be shown as 1000.0
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds, from two minutes on with minutes and hours."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min {rest:02} s" if hours else f"{minutes} min {rest:02} s"
