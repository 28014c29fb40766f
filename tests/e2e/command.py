"""The installed program, run as people run it: a process, with nothing of ours inside it.

    ran = cli("-c", 4, "list.txt", stdin=b"...")      # cli: the fixture, a Command
    assert (ran.status, ran.out) == (0, "")
    assert cli.files() == {"host/page": b"..."}       # stored in ./out
    with cli.start("-", stdin=PIPE) as process:       # pipes, signals, terminals
        process.send_signal(SIGINT)

A Command has a directory, which is where the program runs and `./out` comes to
be, and an environment with nothing in it but PATH, HOME (the same directory)
and what keeps boto3 and Python honest.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WAIT_S = 120.0  # how long a program may take that should be done at once
MANIFEST = ".scraper/manifest.jsonl"
SUMMARY = ".scraper/summary.json"
_OWN = {
    *(MANIFEST, f"{MANIFEST}.index", f"{MANIFEST}.key", SUMMARY),
    *(".scraper/lock", ".scraper/tmp/lock"),
}
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "PYTHONWARNINGS": "error",
    "AWS_EC2_METADATA_DISABLED": "true",  # else boto3 asks 169.254.169.254
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def program() -> list[str]:
    """The script that was installed beside this interpreter, or the module."""
    script = Path(sys.executable).with_name("scraper")
    return [str(script)] if script.exists() else [sys.executable, "-m", "scraper"]


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run said, and how it ended (minus the number of the signal that killed it)."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Of stdout."""
        return self.out.splitlines()

    @property
    def errors(self) -> list[str]:
        """The lines of stderr."""
        return self.err.splitlines()

    @property
    def complaints(self) -> list[str]:
        """The lines of stderr without the hint, of which there may be one, at the end."""
        lines = self.errors
        return lines[:-1] if lines and lines[-1].startswith("hint: ") else lines

    @property
    def records(self) -> list[dict[str, Any]]:
        """The JSON Lines on stdout, as `--results -` writes them."""
        return parsed(self.out)


def folder(url: str) -> str:
    """Where the key rule `url` puts the site at `url` (`http://127.0.0.1:port`)."""
    scheme, _, netloc = url.partition("://")
    return netloc.replace(":", f"_{scheme}_")


def lines(*urls: str) -> str:
    """A list, as it comes through a pipe."""
    return "".join(f"{url}\n" for url in urls)


def parsed(text: str | bytes) -> list[dict[str, Any]]:
    """JSON Lines; every line is one, the last one ended too."""
    if isinstance(text, bytes):
        text = text.decode()
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def without_reader(cli: "Command", *arguments: object, env: Mapping[str, str] | None = None) -> Ran:
    """Run it with a stdout that nobody reads any more, as after `| head`."""
    reads, writes = os.pipe()
    os.close(reads)
    with cli.start(*arguments, env=env, stdout=writes) as process:
        os.close(writes)
        return cli.ended(process)


class Command:
    """Runs the program in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**_ENVIRONMENT, "HOME": str(directory)}
        self.prefix: list[str] = []  # of a program that runs it

    def __call__(
        self,
        *arguments: object,
        stdin: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run it to its end. `stdin` comes through a pipe; without it there is /dev/null."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        source = subprocess.DEVNULL if data is None else subprocess.PIPE
        with self.start(*arguments, env=env, stdin=source) as process:
            return self.ended(process, data)

    @contextmanager
    def start(
        self, *arguments: object, env: Mapping[str, str] | None = None, **popen: Any
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start it: stdin is /dev/null, stdout and stderr are pipes, unless `popen` says otherwise.

        Whatever still runs when the block is left is killed.
        """
        streams = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        with subprocess.Popen(
            self.words(*arguments),
            cwd=self.directory,
            env={**self.environment, **(env or {})},
            **{**streams, **popen},
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def words(self, *arguments: object) -> list[str]:
        """The whole command. A list that is named `list`, as a command is, follows `fetch`."""
        given = [str(argument) for argument in arguments]
        if given[:1] == ["list"] and (self.directory / "list").exists():
            given.insert(0, "fetch")
        return [*self.prefix, *program(), *given]

    @staticmethod
    def ended(process: subprocess.Popen[bytes], stdin: bytes | None = None) -> Ran:
        """Feed and read a started program to its end, which must come by itself."""
        out, err = process.communicate(stdin, timeout=WAIT_S)
        return Ran(process.returncode, _text(out or b""), _text(err or b""))

    def write(self, name: str, *content: str) -> Path:
        """A file of these lines in the directory."""
        path = self.directory / name
        path.write_text("".join(f"{line}\n" for line in content))
        return path

    def records(self, to: str | Path = "out") -> list[dict[str, Any]]:
        """The manifest in the destination `to`; every line is whole."""
        return parsed((self.directory / to / MANIFEST).read_bytes())

    def files(self, to: str | Path = "out") -> dict[str, bytes]:
        """What is stored in `to`, by key, temporary files too; not the manifest and locks."""
        root = self.directory / to
        found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
        return {key: path.read_bytes() for key, path in found.items() if key not in _OWN}

    @property
    def wrote(self) -> list[str]:
        """The names of everything in the directory."""
        return sorted(os.listdir(self.directory))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
