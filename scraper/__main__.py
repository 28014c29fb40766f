"""The process of the command: `python -m scraper`, and what its script calls.

Owns: what has to be done before anything is imported. Refuses to know: all else.
"""

import gc

# Imports make 40,000 objects, and each 700 Python looks for those that nobody needs: 7 ms,
# in vain. Later it is as good not to look so often: what we drop is seldom in a cycle.
gc.set_threshold(10_000)

from scraper.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
