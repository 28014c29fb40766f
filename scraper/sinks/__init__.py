"""Sinks: where bodies go. One file each; `base.py` is the seam."""
