"""The program with a lease of so many seconds, before its command as `faketime` would be:

    python short_lease.py 4 WORDS scraper urls.txt ...      # WORDS: how many words `scraper` is

It is the whole program, unchanged but for this one number. So a test need not wait for a minute
until a lease has run out.
"""

import sys

from scraper.cli.command import main
from scraper.sinks import lease

if __name__ == "__main__":
    lease_s, words = map(int, sys.argv[1:3])
    del sys.argv[1 : 3 + words]
    lease.LEASE_S = float(lease_s)
    main()
