"""Where bodies go: a folder for each destination, the seam to them, the lock of one.

Owns: storing a body whole or not at all. Does not know: HTTP, targets, runs.
Others import `sinks.base` (the seam; public, for plug-ins too) and `sinks.lock`. A sink is
found by its URL scheme (`base.find_sink`), so its folder is imported when it is used.
"""
