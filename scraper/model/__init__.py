"""The words that every room speaks: settings, records, errors, URLs, addresses, dates.

Owns: data and pure functions. Does not know: any other room, files, networks; but for two modules
that everybody needs, `threads` and `happy_eyeballs`.
Others import the modules: `settings`, `headers`, `options`, `records`, `errors`, `urls`,
`authorities`, `codings`, `status_codes`, `proxy_urls`, `resolve`, `addresses`, `dates`, `threads`,
`happy_eyeballs`, `run_id`, `version`.
This face re-exports nothing: `scraper --help` needs settings, and no URL parser.
"""
