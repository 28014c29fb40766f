"""Where bodies go: the interface of destinations, a folder for each kind, and their lock.

This room owns storing a body completely or not at all. It does not know HTTP, targets or runs.

Others import `sinks.base` (the interface; public, for plug-ins too), `sinks.object_stat`,
`sinks.home`, `sinks.own_store`, `sinks.voids`, `sinks.lock`, `sinks.beginning`; for shards
`sinks.plans`, `sinks.division`, `sinks.shard_lock`, `sinks.shard_lists`, `sinks.coordinator_lock`,
`sinks.stop_file` and `sinks.pauses_file`;
`sinks.put_request` with `sinks.curl_put`, by which an engine carries puts, and `sinks.exchanges`,
by which a transfer tells a web archive what it exchanged. A sink is found by its URL scheme
(`base.find_sink`), so its folder is imported only when it is used.
"""
