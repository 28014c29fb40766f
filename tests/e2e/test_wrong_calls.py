"""What people type who know curl, wget, aria2 or rclone, and what fingers make of it.

Each call ends with exit status 2 and one line, then one with the way out. Nothing is written.
The table has the words of the call, without the program's name; LIST and DIR are there.
"""

import shlex
import subprocess

import pytest

from tests.e2e.command import WAIT_S, Command, Ran, program

U = "https://example.com/a.html"
WRONG: list[tuple[str, str]] = [
    # curl
    (f"-O {U}", "--key TEMPLATE"),
    (f"--remote-name {U}", "--to DIR"),
    (f"-L {U}", "redirects are followed: --max-redirects N"),
    (f"-k {U}", "--insecure"),
    (f"-x http://proxy:3128 {U}", "--proxy URL"),
    (f"-s {U}", "--quiet"),
    (f"-sS {U}", "--quiet"),
    (f"-fsSL {U}", "400 or above is a failure already"),
    (f"-I {U}", "only GET is sent"),
    (f"-X POST {U}", "only GET is sent"),
    (f"-d a=b {U}", "only GET is sent"),
    (f"--data a=b {U}", "only GET is sent"),
    (f"-m 5 {U}", "--max-time S"),
    (f"--auth me:pw {U}", "--netrc"),
    (f"-b a=b {U}", "SCRAPER_HEADER"),
    (f"-e https://example.com/ {U}", "-H 'Referer: URL'"),
    (f"-C - {U}", "--resume"),
    (f"-w '%{{http_code}}' {U}", "--results -"),
    ("-V", "--version"),
    (f"-Z {U}", "--max-concurrency N"),
    (f"-K curlrc {U}", "--config FILE"),
    (f"--retry 3 {U}", "--retries N"),
    (f"--bwlimit 1M {U}", "--limit-rate BYTES"),
    (f"--max-filesize 1M {U}", "--max-size BYTES"),
    (f"--compressed {U}", "--raw"),
    (f"--output-dir out {U}", "--to DEST"),
    (f"--http2 {U}", "--http1.1"),
    (f"-o page.html {U}", "--to DIR --key NAME"),
    (f"-o /dev/null {U}", "--dry-run"),
    (f"-o pages.tar.gz {U}", "--to tar:pages.tar.gz makes an archive"),
    ("'https://example.com/[1-9].png'", "seq -f 'https://example.com/%g.png' 1 9 | scraper"),
    # wget
    (f"-P out {U}", "--to DIR"),
    (f"-c {U}", "--resume"),
    (f"-r {U}", "links are not followed"),
    (f"-l 2 {U}", "links are not followed"),
    (f"--mirror {U}", "links are not followed"),
    (f"-nc {U}", "--resume"),
    (f"-N {U}", "--no-refresh"),
    (f"-t 3 {U}", "--retries N"),
    (f"-T 5 {U}", "--max-time S"),
    (f"--timeout=5 {U}", "--connect-timeout S"),
    (f"--wait 1 {U}", "--delay S"),
    (f"-U me {U}", "--user-agent NAME"),
    (f"--no-check-certificate {U}", "--insecure"),
    (f"--load-cookies jar {U}", "SCRAPER_HEADER"),
    (f"--tries 3 {U}", "--retries N"),
    (f"--spider {U}", "--dry-run"),
    (f"-nv {U}", "wget's -nc is --resume"),
    # aria2
    ("-j 16 -i LIST", "-c N"),
    (f"-x16 {U}", "--per-host N"),
    (f"-d out {U}", "--to DIR"),
    (f"--max-concurrent-downloads=9 {U}", "-c N"),
    (f"--max-connection-per-server 4 {U}", "--per-host N"),
    (f"--min-split-size 1M {U}", "--split N"),
    (f"--all-proxy http://p:1 {U}", "--proxy URL"),
    (f"--allow-overwrite {U}", "--no-refresh"),
    ("--input LIST", "-i FILE"),
    # rclone and the aws command
    ("copy LIST s3:bucket/pages", "scraper FILE, and --to DEST"),
    ("sync LIST out", "--to DEST"),
    ("LIST --to s3:bucket/pages", "--to s3://bucket/pages"),
    ("LIST --transfers 8", "-c N"),
    ("LIST --bwlimit 1M", "--limit-rate BYTES"),
    ("LIST --tpslimit 5", "--rate N"),
    ("LIST --max-duration 1h", "--max-run-time S"),
    ("LIST --s3-region eu-west-1", "AWS_REGION"),
    ("LIST --endpoint-url http://e", "--s3-endpoint URL"),
    ("LIST --files-from LIST", "-i FILE"),
    # tools with workers
    ("LIST --threads 8", "-c N"),
    ("LIST --workers=8", "-c N"),
    ("LIST -n 8", "-c N"),
    ("LIST --jobs 8", "-c N"),
    ("LIST --output out", "--to DEST"),
    ("LIST -output out", "--to DEST"),
    ("LIST -to out", "two dashes: --to"),
    ("LIST -resume", "two dashes: --resume"),
    ("LIST --user-agent-string me", "--user-agent NAME"),
    ("LIST --no-clobber", "--skip-existing"),
    ("LIST --no-robots", "only with --robots"),
    ("LIST --dryrun", "--dry-run"),
    # slips
    ("LIST --thread 4", "--threads is here -c N"),
    ("LIST --engine curll", "did you mean curl?"),
    ("LIST -c -1", "-c, --max-concurrency N: Transfers at once"),
    ("LIST --lock never", "--lock wait|skip|fail: "),
    ("LIST --max-size 3x", "--max-size BYTES: "),
    ("failed DIR -v", "--format tsv has the reason"),
    ("failed DIR --format tvs", "did you mean tsv?"),
    ("list DIR --url https://h/a", "DEST URL..."),
    ("completion zhs", "did you mean zsh?"),
    ("LIST --retrys 3", "did you mean --retries?"),
    ("LIST --max_concurrency 3", "did you mean --max-concurrency?"),
    ("LIST --Resume", "did you mean --resume?"),
    ("LIST --verb", "did you mean --verbose?"),
    ("LIST --resume=yes", "--resume alone turns it on"),
    ("LIST --no-resume", "the default without --resume"),
    ("LIST --retries", "--retries N: "),
    ("LIST --delay 5m", "a number of seconds: --delay 300"),
    ("LIST --max-time 1.5h", "a number of seconds: --max-time 5400"),
    ("LIST --rate 5/s", "a number a second: --rate 5"),
    ("LIST --retries inf", "--retries 1000000"),
    ("LIST \u2013to out", "is no '-': --to"),
    ("LIST \u2014resume", "is no '-': --resume"),
    ("verfy out", "did you mean the command verify?"),
    ("help", "-h, or --help"),
    ("version", "--version"),
    ("verify", "scraper verify [OPTIONS] DEST"),
    ("verify out --resume", "--resume is an option of fetch"),
    ("verify a b", "scraper verify [OPTIONS] DEST"),
    ("ulrs.txt", "did you mean urls.txt?"),
    ("example.com/page.html", "https://example.com/page.html"),
    ("www.example.com", "https://www.example.com"),
    ("localhost:8642/a", "http://localhost:8642/a"),
    ("htps://example.com/a", "https://example.com/a"),
    ("https:/example.com/a", "https://example.com/a"),
    ("https//example.com/a", "https://example.com/a"),
    ("//example.com/a", "https://example.com/a"),
    (f"' {U}'", f"without the blanks around it: {U}"),
    (f"'{U} {U}'", "quote each URL by itself"),
    ("'http://a b/'", "%20"),
    ("ftp://example.com/a", "only http and https"),
    ("ftp://example.com/urls.txt", "lists are read from files, http(s), s3, gs, az and sftp URLs"),
    ("-i smb://example.com/share/urls", "lists are read from files, http(s), s3, gs, az and sftp"),
    ("file:///srv/urls", "/srv/urls"),
    ("LIST DIR", "--to DIR"),
    ("LIST DIRS", "--to DIRS"),
    ("LIST pages", "--to pages"),
    ("LIST to=pages", "--to pages"),
    (f"LIST --to {U}", "a URL to fetch is an argument"),
    ("", "scraper URL..., scraper FILE..."),
]


def test_the_table_is_long_enough() -> None:
    assert len({call for call, _ in WRONG}) >= 60


@pytest.mark.parametrize(("call", "way_out"), WRONG, ids=[call for call, _ in WRONG])
def test_a_wrong_call_ends_in_two_lines_and_the_second_is_the_way_out(
    call: str, way_out: str, cli: Command
) -> None:
    cli.write("urls.txt", "https://example.com/b")
    (cli.directory / "DIR").mkdir()
    words = ["urls.txt" if word == "LIST" else word for word in shlex.split(call)]
    import pty

    ours, theirs = pty.openpty()  # a terminal: no list comes from it
    with cli.start(*words, stdin=theirs) as process:
        ran = cli.ended(process)
    import os

    os.close(ours)
    os.close(theirs)
    assert (ran.status, ran.out) == (2, "")
    assert [line.partition(": ")[0] for line in ran.errors] == ["scraper", "hint"]
    assert way_out in ran.errors[1]
    assert cli.wrote == ["DIR", "urls.txt"]
    assert not list((cli.directory / "DIR").iterdir())


NAMED_SO = [
    *("list", "list --to new", "status new", "status urls.txt -c 4", "failed --resume"),
    *("verify https://example.com/a", "failed --retry-failed new"),
]


def plainly(cli: Command, *words: str) -> Ran:
    """A run with exactly these words; `cli` itself puts `fetch` before a list called `list`."""
    ran = subprocess.run(
        [*program(), *words],
        cwd=cli.directory,
        env=cli.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.mark.parametrize("call", NAMED_SO)
def test_a_list_named_as_a_command_is_told_how_to_be_meant(call: str, cli: Command) -> None:
    name, *others = call.split()
    cli.write("urls.txt", "https://example.com/b")
    cli.write(name, "https://example.com/b.html")
    ran = plainly(cli, name, *others)
    assert (ran.status, ran.out) == (2, "")
    assert ran.errors[1:] == [f"hint: for the list of this name: scraper ./{name}"]
    ran = plainly(cli, "--dry-run", f"./{name}")
    assert ran.lines == ["https://example.com/b.html\texample.com/b.html"]


def test_with_a_destination_behind_it_the_command_is_meant(cli: Command) -> None:
    cli.write("status", "https://example.com/b")
    (cli.directory / "out").mkdir()
    assert "of this name" not in plainly(cli, "status", "out").err
    assert "of this name" not in plainly(cli, "failed", "new").err


def test_every_option_that_an_answer_names_is_one() -> None:
    import re

    from scraper.cli.foreign import COMMANDS, OPTIONS
    from tests.commands import every_command

    known = {
        opt
        for command in every_command().values()
        for param in command.params
        for opt in (*param.opts, *param.secondary_opts)
    }
    for answer in (*OPTIONS.values(), *COMMANDS.values()):
        own = re.sub(r"(curl|wget|aria2|rclone)'s -\w+", "", answer)
        named = set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*(?:\.\d)?", own, re.IGNORECASE))
        assert named <= known | {"-h", "--help"}, answer


# ---------------------------------------------------------------- variables and files


def test_an_unknown_variable_is_told_in_one_line_with_what_was_meant(cli: Command) -> None:
    env = {"SCRAPER_RETRYS": "1", "SCRAPER_THREADS": "8", "SCRAPER_HOME": "/srv"}
    ran = cli("--dry-run", stdin="https://h/a\n", env=env)
    (line,) = [line for line in ran.errors if "variable" in line]
    assert "SCRAPER_RETRYS (did you mean SCRAPER_RETRIES?)" in line
    assert "SCRAPER_THREADS (that is -c N" in line
    assert "SCRAPER_HOME" in line
    assert ran.status == 0


def test_variables_of_kubernetes_and_of_the_demo_and_empty_ones_are_none_of_ours(
    cli: Command,
) -> None:
    env = {
        "SCRAPER_SERVICE_HOST": "10.0.0.1",
        "SCRAPER_SERVICE_PORT_HTTP": "80",
        "SCRAPER_PORT": "tcp://10.0.0.1:80",
        "SCRAPER_PORT_80_TCP_ADDR": "10.0.0.1",
        "SCRAPER_DEMO_URL": "http://h",
        "SCRAPER_RETRYS": "",
    }
    assert "variable" not in cli("--dry-run", stdin="https://h/a\n", env=env).err


@pytest.mark.parametrize(
    ("toml", "hint"),
    [
        ("retrys = 3", "did you mean retries?"),
        ("max_concurency = 3", "did you mean max-concurrency?"),
        ("threads = 3", "-c N"),
        ("[fetch]\nretries = 3", "in no table"),
    ],
)
def test_an_unknown_key_of_the_file_gets_what_was_meant(toml: str, hint: str, cli: Command) -> None:
    cli.write("config.toml", toml)
    ran = cli("--config", "config.toml", stdin="")
    assert (ran.status, len(ran.errors)) == (2, 2)
    assert hint in ran.errors[1]


@pytest.mark.parametrize(
    ("words", "env", "toml", "said"),
    [
        (["-c", "0"], {}, "", "--max-concurrency must be"),
        ([], {"SCRAPER_MAX_CONCURRENCY": "0"}, "", "SCRAPER_MAX_CONCURRENCY must be"),
        ([], {}, "max-concurrency = 0", "'max-concurrency' in 'config.toml' must be"),
        (["--cacert", "x"], {"SCRAPER_INSECURE": "1"}, "", "--cacert and SCRAPER_INSECURE"),
        ([], {"SCRAPER_DELAY": "soon"}, "", "Invalid value for 'SCRAPER_DELAY': 'soon'"),
        (["--delay", "soon"], {}, "", "Invalid value for '--delay': 'soon'"),
        ([], {}, "delay = 'soon'", "--config 'config.toml': 'delay': 'soon'"),
        ([], {"SCRAPER_CONFIG": "none"}, "", "SCRAPER_CONFIG: can't read 'none'"),
        ([], {"SCRAPER_TO": "gopher://h/"}, "", "SCRAPER_TO 'gopher://h/'"),
    ],
)
def test_a_wrong_value_names_where_it_came_from(
    words: list[str], env: dict[str, str], toml: str, said: str, cli: Command
) -> None:
    cli.write("config.toml", toml)
    file = ["--config", "config.toml"] if toml else []
    ran = cli(*file, *words, stdin="", env=env)
    assert (ran.status, ran.out, len(ran.complaints)) == (2, "", 1)
    assert ran.errors[0].startswith(f"scraper: {said}")


def test_a_tilde_is_the_home_directory_in_options_variables_and_files(cli: Command) -> None:
    home = cli.directory / "home"
    home.mkdir()
    (home / "urls.txt").write_text("https://h/a\n")
    env = {"HOME": str(home)}
    cli.write("config.toml", 'input-file = "~/urls.txt"\nlog-file = "~/log"')
    for words, more in (
        (["--input-file=~/urls.txt", "--log-file=~/log"], {}),
        ([], {"SCRAPER_INPUT_FILE": "~/urls.txt", "SCRAPER_LOG_FILE": "~/log"}),
        (["--config=config.toml"], {}),
    ):
        ran = cli("--dry-run", *words, env={**env, **more})
        assert (ran.status, len(ran.lines)) == (0, 1)
        assert (home / "log").read_text()
        (home / "log").unlink()
    assert cli.wrote == ["config.toml", "home"]


def test_a_file_in_the_directory_is_not_read_by_itself(cli: Command) -> None:
    for name in ("scraper.toml", "config.toml", ".scraper.toml"):
        cli.write(name, 'key = "hash"', "nonsense = 1")
    cli.write("urls.txt", "https://h/a.b")
    assert cli("--dry-run", "urls.txt").out == "https://h/a.b\th/a.b\n"


def test_a_table_without_a_column_url_says_which_it_has(cli: Command) -> None:
    cli.write("list.csv", "name,address", "x,https://h/")
    ran = cli("list.csv")
    assert ran.status == 2
    assert (
        ran.errors[1]
        == "hint: it has 'name', 'address': name the one with the URLs by --url-column"
    )
