"""Who is compared: one small record for each tool, read as a table.

A recipe says which program it is, how a line of its list looks, and its
arguments. Options are those that make a tool fast without making it do
something else (no progress display, keep-alive, one connection a file), found by
trying. Owns: recipes, and finding programs. Refuses to know: measuring.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from tests.bench.report import CEILING
from tests.bench.workloads import Case

_HERE = Path(__file__).parent
OURS = "scraper"
_PYTHON_TOOL = "{python}"


@dataclass(frozen=True, slots=True)
class Opponent:
    """One tool. `line` and `arguments` have fields: {url} {name}; {list} {to} {n} {per_host}.

    `program` is the beginning of its command line, found. `share`: it gets one
    part of so many of the list. `stores` is False for what keeps no bodies. `trust` is the option
    that names {authorities}, for who reads no variable. `split`: the options for {parts} of a body.
    """

    name: str
    program: tuple[str, ...]
    line: str
    arguments: str
    share: int = 1
    stores: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    trust: str = ""
    split: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether it is an engine of `scraper`."""
        return self.name.startswith(OURS)

    @property
    def template(self) -> str:
        """Its command line for a reader, fields and all."""
        return " ".join([*map(os.path.basename, self.program), self.arguments])

    def listed(self, case: Case, to: str) -> str:
        """The text of its list."""
        return "".join(self.line.format(url=page.url, name=page.name, to=to) for page in case.pages)

    def command(self, case: Case, list_: Path, to: str) -> list[str]:
        """Its command line. Without a cap, `per_host` is the concurrency."""
        n = case.concurrency
        fields = {"list": list_, "to": to, "n": n, "per_host": case.per_host or n}
        words = self.arguments.split()
        if case.authorities is not None:
            words += self.trust.split()
            fields["authorities"] = case.authorities
        if case.parts > 1:
            words += self.split.split()
            fields["parts"] = case.parts
        return [*self.program, *(word.format(**fields) for word in words)]


URLS = "{url}\n"

FILE_TOOLS = (
    Opponent(CEILING, (_PYTHON_TOOL, "ceiling.py"), URLS, "{list} {n}", stores=False),
    Opponent(
        "curl -Z",
        ("curl",),
        'url = "{url}"\noutput = "{to}/{name}"\n',
        "-q -Z --parallel-immediate --parallel-max {n} --no-progress-meter -f -K {list}",
    ),
    Opponent(
        "wget2",
        ("wget2",),
        URLS,
        "--no-config -q -i {list} -P {to} --max-threads={n} --tries=1",
        trust="--ca-certificate={authorities}",
    ),
    Opponent(
        "aria2c",
        ("aria2c",),
        "{url}\n  out={name}\n",
        "--no-conf -q -i {list} -d {to} -j {n} -x 1 -s 1 --file-allocation=none"
        " --deferred-input --max-tries=1",
        trust="--ca-certificate={authorities}",
        split="-x {parts} -s {parts}",
    ),
    Opponent(
        "rclone copyurl",
        ("rclone",),
        "{url},{name}\n",
        "copyurl --config= --urls {list} {to} --transfers {n} --retries 1",
    ),
    Opponent(
        "xargs curl",
        ("xargs",),
        "{to}/{name} {url}\n",
        "-a {list} -P {n} -n 2 curl -q -s -f -o",
        share=10,
    ),
    Opponent("requests loop", (_PYTHON_TOOL, "loop.py"), URLS, "{list} {to} {n}"),
)
"""The tools that store into a directory."""

SCRAPY = Opponent("Scrapy", (), URLS, "{list} {to} {n} {per_host}")


def _of_files(name: str) -> Opponent:
    return next(tool for tool in FILE_TOOLS if tool.name == name)


S3_TOOLS = (
    replace(
        _of_files("rclone copyurl"),
        arguments="copyurl --config= --urls {list} bench:{to} --transfers {n} --retries 1"
        " --s3-no-check-bucket --s3-no-head",
    ),
    replace(_of_files("requests loop"), arguments="{list} s3://{to} {n}"),
)
"""The tools that store into S3: the remote `bench:`, or the AWS_* of the environment."""


@dataclass(frozen=True, slots=True)
class Field:
    """Who takes part, and who is missing."""

    file_tools: tuple[Opponent, ...]
    s3_tools: tuple[Opponent, ...]
    missing: tuple[str, ...]

    def of(self, case: Case) -> Iterator[Opponent]:
        """The tools for this case."""
        for tool in self.s3_tools if case.s3 else self.file_tools:
            if tool.name == CEILING and not case.bounded:
                continue
            if case.workload == "hosts" and tool.share > 1:
                continue  # a part of the list is another list
            if tool.is_ours and case.per_host:
                yield replace(
                    tool,
                    name=f"{tool.name} --per-host {case.per_host}",
                    arguments=f"{tool.arguments} --per-host {{per_host}}",
                )
            yield tool

    def reference(self, case: Case) -> str | None:
        """The name of the tool of ours that the others are compared with: the newest engine."""
        ours = [tool for tool in self.of(case) if tool.is_ours]
        capped = [tool for tool in ours if "--per-host" in tool.name]
        return (capped or ours)[-1].name if ours else None


def find(scrapy_python: str | None = None, only: Sequence[str] = ()) -> Field:
    """Look for every tool; `only` are words of which a tool's name must have one."""
    missing = []
    found: dict[str, Opponent] = {}
    for tool in FILE_TOOLS:
        program = _find_program(tool.program)
        if program is None:
            missing.append(tool.name)
        else:
            found[tool.name] = replace(tool, program=program)
    if scrapy_python or find_spec("scrapy"):
        program = (scrapy_python or sys.executable, str(_HERE / "scrapy_spider.py"))
        found[SCRAPY.name] = replace(SCRAPY, program=program)
    else:
        missing.append(f"{SCRAPY.name} (--scrapy PYTHON names an interpreter that has it)")
    in_s3 = [
        replace(tool, program=found[tool.name].program) for tool in S3_TOOLS if tool.name in found
    ]
    engines, clients = ours()
    return Field(
        tuple(tool for tool in (*engines, *found.values()) if _is_among(only, tool)),
        tuple(tool for tool in (*clients, *in_s3) if _is_among(only, tool)),
        tuple(missing),
    )


def _is_among(words: Sequence[str], tool: Opponent) -> bool:
    return not words or any(word.lower() in tool.name.lower() for word in words)


def _find_program(program: tuple[str, ...]) -> tuple[str, ...] | None:
    if program[0] == _PYTHON_TOOL:
        return sys.executable, str(_HERE / program[1])
    path = f"{sysconfig.get_path('scripts')}:{os.environ.get('PATH', os.defpath)}"
    found = shutil.which(program[0], path=path)
    return None if found is None else (found,)


def ours(tree: Path | None = None) -> tuple[list[Opponent], list[Opponent]]:
    """`scraper` with each of its engines, and with each of its S3 clients, the newest last.

    `tree` is a checkout whose code runs instead of what is installed.
    """
    env = {} if tree is None else {"PYTHONPATH": str(tree)}
    base = Opponent(
        OURS,
        (sys.executable, "-m", "scraper"),
        URLS,
        "{list} --to {to} -c {n} -q",
        env=env,
        split="--split {parts}",
    )
    said = subprocess.run(
        [*base.program, "--help"],
        env={**os.environ, **env, "COLUMNS": "200"},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    engines, clients = _choices(said, "engine"), _choices(said, "s3-client")
    to_s3 = replace(base, arguments=base.arguments.replace("{to}", "s3://{to}"))
    return (
        [_variant(base, "engine", name) for name in engines] or [base],
        [_variant(to_s3, "s3-client", name) for name in clients] or [to_s3],
    )


_NEEDS = {"curl": "pycurl"}


def _choices(help_text: str, option: str) -> list[str]:
    """What `--option [auto|a|b]` offers and this interpreter can do; none for one choice alone."""
    offered = re.search(rf"--{option} \[([\w|]+)\]", help_text)
    names = offered[1].split("|") if offered else []
    names = [name for name in names if name != "auto"]
    if len(names) < 2:
        return []
    return [name for name in names if find_spec(_NEEDS.get(name, "sys"))]


def _variant(base: Opponent, option: str, choice: str) -> Opponent:
    return replace(
        base,
        name=f"{base.name} {choice}",
        arguments=f"{base.arguments} --{option} {choice}",
    )
