"""Engines: what carries transfers. One file each; `base.py` is the seam."""
