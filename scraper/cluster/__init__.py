"""A run on many machines: a coordinator, and the shards that workers of a Dask cluster run.

Owns: which shard is run when, what follows the loss of a worker, one account of all of them. Does
not know: how a shard is run (`scraper.run`), what keeps two runs of it apart (its lock), how hosts
are divided. Dask only starts shards; nothing that it says counts for the account.
Others import the module `coordinator` (`ClusterRun`) and `refused`. `dask_client` and `dask_worker`
alone import dask and distributed, when there is a `--cluster`.
"""
