"""Who hears of results: the log, the live display, the summary, streams of records.

Owns: what a run tells people and programs. Does not know: how a result came about.
Others import the modules: `closing`, `log`, `metrics`, `metrics_outputs`, `progress`, `snapshot`,
`summary`, `summary_file`, `state`, `tally`, `failures`, `outputs`, `page`, `streams`, `terminal`,
`totals`, `units`, `waiting`, `export_bag`, `export_csv`, `export_parquet`, `export_sums`,
`export_wacz`. Nothing is re-exported here, because `progress` imports rich, which only a run on a
terminal needs.
"""
