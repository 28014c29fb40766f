"""The loop that everybody writes first: `python loop.py LIST DIRECTORY|s3://BUCKET/PREFIX N`.

Threads, a semaphore, a session whose pool is large enough. The S3 endpoint and
credentials come from the environment (AWS_*).
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests


def main(urls: list[str], to: str, concurrency: int) -> None:
    slots = threading.BoundedSemaphore(concurrency)
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(100, concurrency))
    if to.startswith("s3://"):
        import boto3
        import botocore.config

        bucket, _, prefix = to.removeprefix("s3://").partition("/")
        s3 = boto3.client("s3", config=botocore.config.Config(max_pool_connections=concurrency))

    def fetch(url: str) -> None:
        name = url.rpartition("/")[2]
        with slots, session.get(url, timeout=30, stream=True) as response:
            response.raise_for_status()
            if to.startswith("s3://"):
                s3.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=response.content)
                return
            with (Path(to) / name).open("wb") as file:
                for chunk in response.iter_content(65_536):
                    file.write(chunk)

    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(fetch, urls))


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text().split(), sys.argv[2], int(sys.argv[3]))
