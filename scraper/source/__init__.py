"""Where targets come from: readers of lists, keys, duplicates, the thread that reads.

Owns: the grammar of a list, the key of a target, which line repeats another. Does not know:
requests, destinations, earlier runs. Others import the modules `sources`, `lists`, `grammar`,
`keys`, `stored_form`, `reader`, `duplicates`, `host_counts`, `shard_list`, `shard_buffers` and
`spooled`. Nothing is re-exported here: a sink needs `keys` and no reader.
"""
