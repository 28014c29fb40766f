"""The words that every room speaks: settings, records, errors, URLs, addresses, dates.

Owns: data and pure functions. Does not know: any other room, files, networks; but for three
modules that several rooms need, `threads`, `happy_eyeballs` and `scratch`.
Others import the modules: `settings`, `headers`, `options`, `records`, `errors`, `urls`,
`authorities`, `codings`, `expected`, `status_codes`, `proxy_urls`, `resolve`, `addresses`,
`dates`, `threads`, `happy_eyeballs`, `run_id`, `scratch`, `shards`, `version`.
This face re-exports nothing: `scraper --help` needs settings, and no URL parser.
"""
