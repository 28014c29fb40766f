"""Scrapy, asked for the same: `python scrapy_spider.py LIST DIRECTORY N PER_HOST`.

Run by an interpreter that has Scrapy (`--scrapy PYTHON`), never by ours.
"""

import sys
from pathlib import Path

import scrapy
from scrapy.crawler import CrawlerProcess

LIST, TO, N, PER_HOST = sys.argv[1:]
SETTINGS = {
    "CONCURRENT_REQUESTS": int(N),
    "CONCURRENT_REQUESTS_PER_DOMAIN": int(PER_HOST),
    "DOWNLOAD_DELAY": 0,
    "DOWNLOAD_MAXSIZE": 0,
    "DOWNLOAD_WARNSIZE": 0,
    "ROBOTSTXT_OBEY": False,
    "COOKIES_ENABLED": False,
    "TELNETCONSOLE_ENABLED": False,
    "LOG_ENABLED": False,
}


class Pages(scrapy.Spider):  # type: ignore[misc]
    name = "pages"
    start_urls = Path(LIST).read_text().split()

    def parse(self, response: scrapy.http.Response) -> None:
        (Path(TO) / response.url.rpartition("/")[2]).write_bytes(response.body)


if __name__ == "__main__":
    process = CrawlerProcess(SETTINGS)
    process.crawl(Pages)
    process.start()
