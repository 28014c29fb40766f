"""Hostile lists, names, servers and addresses, against the running program."""
