"""`python -m scraper`: the command where its script is not on the path."""

from scraper.cli import main

main()
