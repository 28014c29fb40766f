"""Completion in the real shells, at a terminal: a TAB gets commands, options, choices and files."""

import os
import pty
import re
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.command import WAIT_S, Command, program

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
READY = {
    "bash": "PS1='> '; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'",
    "zsh": "PS1='> '; unsetopt BEEP; autoload -Uz compinit; compinit -u -D",
    "fish": "function fish_prompt; echo -n '> '; end; set -g fish_greeting",
}
LOAD = {
    "bash": 'eval "$(scraper completion bash)"',
    "zsh": 'eval "$(scraper completion zsh)"',
    "fish": "scraper completion fish | source",
}
each_shell = pytest.mark.parametrize("shell", SHELLS)


class Terminal:
    """A shell at a terminal of 80 columns, and what it writes."""

    def __init__(self, end: int) -> None:
        self._end = end
        self.text = ""

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._end, keys.encode())

    def until(self, word: str) -> str:
        """What comes up to `word`, which must come; what follows it stays for later."""
        until = time.monotonic() + WAIT_S
        while word not in self.text:
            left = until - time.monotonic()
            assert left > 0, f"{word!r} did not come, but {self.text!r}"
            if select.select([self._end], [], [], min(left, 1))[0]:
                data = os.read(self._end, 65_536)
                # fish asks which terminal this is, and waits for the answer.
                if b"\x1b[c" in data or b"\x1b[0c" in data:
                    os.write(self._end, b"\x1b[?62;c")
                self.text += data.decode("utf-8", "replace")
        before, _, self.text = self.text.partition(word)
        return before


@contextmanager
def terminal(shell: str, cli: Command) -> Iterator[Terminal]:
    """A terminal of this shell, with the completion of the program loaded."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}: apt-get install {shell}")
    folder = Path(program()[0]).parent
    environment = {
        **cli.environment,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "TERM": "xterm",
        "COLUMNS": "80",
        "LINES": "50",
        "LC_ALL": "C.UTF-8",
        "INPUTRC": "/dev/null",
        "XDG_CONFIG_HOME": str(cli.directory.parent / "config"),
        "XDG_DATA_HOME": str(cli.directory.parent / "data"),
    }
    child, end = pty.fork()
    if child == 0:
        try:
            os.chdir(cli.directory)
            os.execvpe(SHELLS[shell][0], SHELLS[shell], environment)
        finally:
            os._exit(127)
    try:
        found = Terminal(end)
        # The words are in the echo too, so what is waited for is not in the command itself.
        found.type(f"{READY[shell]}; {LOAD[shell]}; echo re''ady\r")
        found.until("ready\r\n")
        yield found
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(end)


@pytest.mark.skipif(not Path(program()[0]).exists(), reason="the program is not installed")
@each_shell
@pytest.mark.parametrize(
    ("typed", "comes"),
    [
        ("scraper ver\t", "verify"),
        ("scraper --max-conc\t", "--max-concurrency"),
        ("scraper --log-format js\t", "json"),
        ("scraper verify --s3-end\t", "--s3-endpoint"),
        ("scraper completion fi\t", "fish"),
        ("scraper url\t", "urls.txt"),
        ("scraper urls.txt --to pag\t", "pages"),
        ("scraper -i lis\t", "listed.csv"),
        ("scraper urls.txt --to=pag\t", "pages"),
        ("scraper urls.txt --to=pages/in\t", "pages/inner"),
        ("scraper --input-file=lis\t", "listed.csv"),
        ("scraper urls.txt --engine=thr\t", "threads"),
    ],
)
def test_a_tab_completes(typed: str, comes: str, shell: str, cli: Command) -> None:
    cli.write("urls.txt", "https://h/")
    cli.write("listed.csv", "url")
    (cli.directory / "pages" / "inner").mkdir(parents=True)
    with terminal(shell, cli) as found:
        found.type(typed)
        found.until(comes.removeprefix(re.split("[ =]", typed.rstrip("\t"))[-1]))


@each_shell
def test_the_first_word_may_be_a_command_or_a_list(shell: str, cli: Command) -> None:
    cli.write("version-list", "https://h/")
    with terminal(shell, cli) as found:
        found.type("scraper ver\t\t")
        found.until("verify")
        found.type("\x15scraper ver\t\t")
        found.until("version-list")


@each_shell
def test_the_script_is_printed(shell: str, cli: Command) -> None:
    ran = cli("completion", shell)
    assert (ran.status, ran.err, cli.wrote) == (0, "", [])
    assert f"_SCRAPER_COMPLETE={shell}_complete" in ran.out
