"""The words that every room speaks: settings, records, errors, URLs, addresses, dates.

Owns: data and pure functions. Does not know: any other room, files, networks; but for four
modules that several rooms need, `threads`, `happy_eyeballs`, `scratch` and `shared_numbers`.
Others import the modules: `settings`, `headers`, `options`, `records`, `archived`, `errors`,
`urls`, `authorities`, `codings`, `decode`, `expected`, `status_codes`, `proxy_urls`, `resolve`,
`addresses`, `dates`, `process_count`, `threads`, `happy_eyeballs`, `run_id`, `scratch`, `shards`,
`shared_numbers`, `stored_forms`, `version`.
This face re-exports nothing: `scraper --help` needs settings, and no URL parser.
"""
