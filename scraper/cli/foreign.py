"""Words that people bring from other tools, and what they are here.

The names are from the manuals of curl, wget, aria2 and rclone, and from tools that have workers,
threads or jobs. A name that two tools use for two things gets both answers.

Owns: these answers. Does not know: when they are given (`words.py`, after an error only). An
option of ours is never looked up here. Rejected: taking such names as aliases. A script would
then work by chance, and `-x` means three things.
"""

from collections.abc import Mapping

_MANY = "-c N, --max-concurrency N: transfers at once"
_WHERE = "--to DEST: a directory, or s3://bucket/prefix (gs://, az://)"
_LIST = "a list is an argument, or -i FILE"
_NAMES = "each object is named after its URL: --to DIR is where, --key TEMPLATE how"
_TIME = "--connect-timeout S, --read-timeout S, --max-time S (a whole attempt)"
_AGAIN = "--retries N: attempts after the first"
_INSECURE = "--insecure"
_BYTES = "--limit-rate BYTES, of all transfers together"
_GET = "only GET is sent, without a body"
_LINKS = "links are not followed: give every URL, as arguments or in a list"
_RESUME = "--resume skips what is done and goes on"
_THERE = "--skip-existing takes over what lies there; --resume skips what is done"
_NEW = "that is the default: unchanged pages are not sent again; --no-refresh fetches all anew"
_LOGIN = (
    "-u NAME:PASSWORD, --netrc, https://NAME:PASSWORD@host/ in the list, or 'Authorization: ...' in"
    " SCRAPER_HEADER"
)
_COOKIE = "--cookies FILE, or 'Cookie: NAME=VALUE' in SCRAPER_HEADER, where ps does not show it"
_QUIET = "-q, --quiet: failures only"
_LOUD = "-v, --verbose"
_RATE = "--rate N: requests a second, to all hosts together"
_WAIT = "--delay S: seconds between two requests to one host"
_AWS = "the region and the keys are those of the aws command: AWS_REGION, AWS_ACCESS_KEY_ID, ~/.aws"
_PLAN = "--dry-run prints what would be fetched, and under which key"
_CODES = "a response of 400 or above is a failure already"
_JSON = "--results - prints a JSON record of each URL, --log-format json logs in JSON"
_LOG = "--log-file FILE"
_ADDRESS = "the system chooses the address; --public-only refuses private ones"
_CA = "--cacert FILE"
_AGENT = "-A NAME, --user-agent NAME"
_SIZE = "--max-size BYTES: of one body; --max-total-size BYTES: of all"
_PIECES = "--split N: parts of one large body at once; -c N: how many transfers at once"
_HELP = "-h, or --help for every option"

_ANSWERS: tuple[tuple[str, str], ...] = (
    (("--threads --workers --jobs --transfers --concurrency --concurrent --parallel-max"
     " --max-concurrent-downloads --max-concurrent --connections --num-workers --num-threads"
     " --max-workers --pool-size --simultaneous --multi --checkers -j"), _MANY),
    ("-Z --parallel", f"many at once is the default; {_MANY}"),
    ("-n", f"{_MANY}; rclone's -n is --dry-run, wget's -nc is --resume"),
    ("-P", f"{_MANY}; wget's -P is --to DIR, rclone's -P is --progress"),
    ("-x", "curl's -x is --proxy URL, aria2's -x is --per-host N"),
    ("--max-connection-per-server --per-domain --max-per-host --host-concurrency",
     "--per-host N: transfers at once to one host"),
    (("--output --out --output-dir --outdir --out-dir --dir --directory --directory-prefix --dest"
     " --destination --target --prefix --download-dir --save-to --save"), _WHERE),
    ("-d", "aria2's -d is --to DIR; curl's -d has no counterpart: only GET is sent"),
    (("-O --remote-name --remote-name-all --output-document --no-directories -J"
     " --remote-header-name --content-disposition --auto-filename --force-directories"
     " --create-dirs --auto-file-renaming"), _NAMES),
    (("--input --list --file --urls --url-file --urls-file --input-list --files-from --from"
     " --url-list --batch-file"), _LIST),
    ("-f", f"{_LIST}; curl's -f: {_CODES}"),
    ("--url", "a URL is an argument: scraper URL --to DIR"),
    ("--fail --fail-with-body --fail-early", f"{_CODES}; --fail-fast stops at the first"),
    ("-T --timeout --time-out --contimeout --dns-timeout", _TIME),
    ("-m", "curl's -m is --max-time S, aria2's -m is --retries N; links are not followed (wget)"),
    (("-t --tries --retry --max-tries --max-retries --attempts --low-level-retries"
     " --retry-connrefused --retry-all-errors --retry-on-http-error"), _AGAIN),
    ("--retry-delay --retry-wait --waitretry --retries-sleep",
     "waits grow by themselves; --retry-max-time S ends them, --retries N counts them"),
    (("-k --no-check-certificate --check-certificate --no-verify --no-verify-ssl --no-ssl-verify"
     " --skip-verify --allow-insecure"), _INSECURE),
    ("--ca-certificate --ca --ca-bundle --cafile --ca-cert --capath", _CA),
    ("--certificate --client-cert --key-file", "--cert FILE, --cert-key FILE"),
    ("--private-key --client-key", "--cert-key FILE"),
    ("--bwlimit --max-download-limit --max-overall-download-limit --bandwidth --max-speed", _BYTES),
    ("-y --lowest-speed-limit --min-speed", "--speed-limit BYTES, --speed-time S"),
    ("-Y", "--speed-limit BYTES"),
    ("--rps --qps --tpslimit --requests-per-second --max-rate --rate-limit --ratelimit", _RATE),
    ("-w", "wget's -w is --delay S; curl's -w: --results - prints a JSON record of each URL"),
    ("--wait --sleep --interval --throttle --random-wait --download-delay --crawl-delay", _WAIT),
    (("-X --request -F --form --data --data-raw --data-binary --json --post-data --post-file"
     " --method --upload-file --get -G"), _GET),
    ("-I --head --spider", f"only GET is sent; {_PLAN}"),
    (("-r --recursive -l --level --mirror -p --page-requisites --no-parent --span-hosts -D"
     " --domains --accept --reject --accept-regex --depth --max-depth --convert-links -E"
     " --follow-links --crawl"), _LINKS),
    ("-L --location --follow --follow-redirects --location-trusted --max-redirect --max-redirs",
     "redirects are followed: --max-redirects N, 10 by default"),
    ("-C --continue --continue-at --skip --restart --checkpoint --save-session", _RESUME),
    ("--no-clobber --ignore-existing --skip-downloaded --keep-existing", _THERE),
    (("-N --timestamping --time-cond -z --conditional-get --update --newer --remote-time -R"
     " --size-only"), _NEW),
    ("--force --overwrite --allow-overwrite --no-cache --force-download", ("--no-refresh fetches"
     " everything anew; without --resume nothing is skipped unseen")),
    (("--auth --basic --digest --token --bearer --oauth2-bearer --http-user --http-password"
     " --http-passwd --password --username --login"), _LOGIN),
    ("-b --cookie --cookie-jar --load-cookies --save-cookies", _COOKIE),
    ("-e --referer --referrer", "-H 'Referer: URL'"),
    ("-U --user-agent-string --useragent --agent --ua", _AGENT),
    ("-s", "curl's -s is -q, --quiet; aria2's -s: " + _PIECES),
    ("--silent -S --show-error --no-verbose --no-progress-meter --no-progress-bar", _QUIET),
    (("--debug --trace --trace-ascii --server-response --include --dump --dump-header"
     " --log-level --loglevel --show-headers"), f"{_LOUD}: retries too; {_JSON}"),
    ("-# --progress-bar --show-progress --bar", "--progress; a terminal shows it by itself"),
    ("--write-out --format --output-format --use-json-log --json-log --report", _JSON),
    ("-a --append-output --output-file --log --logfile --logs", _LOG),
    ("-K --conf --conf-path --config-file --settings", "--config FILE, in TOML"),
    ("--all-proxy --http-proxy --https-proxy --proxy-url --preproxy --no-proxy --noproxy",
     "--proxy URL; no_proxy names exceptions"),
    ("--socks4 --socks4a --socks5 --socks5-hostname",
     "--proxy socks5h://HOST:PORT (also socks4, socks4a, socks5)"),
    ("--inet4-only --inet6-only", "-4, --ipv4 and -6, --ipv6"),
    ("--connect-to", "--resolve HOST:PORT:ADDRESS"),
    ("--interface --bind-address --dns-servers", _ADDRESS),
    ("--http1.0 --http2 --http3 --http2-prior-knowledge",
     "HTTP/2 is used where a server offers it (--engine curl), unless --http1.1 is given"),
    ("--compressed --compression --tr-encoding",
     "that is the default: compressed pages are stored as plain; --raw keeps what was sent"),
    ("--max-filesize --maxsize --limit-size --filesize-limit --quota -Q", _SIZE),
    ("--max-transfer --total-size", "--max-total-size BYTES"),
    ("--max-duration --stop --time-limit --deadline", "--max-run-time S"),
    ("--min-split-size --multi-thread-streams --chunk-size --continue-chunk", _PIECES),
    (("--region --s3-region --s3-access-key-id --s3-secret-access-key --access-key --secret-key"
     " --aws-region --s3-provider"), _AWS),
    ("--endpoint --endpoint-url --s3-url", "--s3-endpoint URL"),
    ("--profile --aws-profile", "--s3-profile NAME"),
    ("--bucket --s3", "--to s3://BUCKET/PREFIX"),
    ("--storage-class", "--s3-storage-class CLASS"),
    ("--sse --server-side-encryption", "--s3-sse SSE"),
    ("--dryrun --simulate --test --plan --just-print", _PLAN),
    ("--obey-robots --respect-robots --robots-txt --robotstxt", "--robots"),
    ("--ignore-robots --no-robots", "robots.txt is read only with --robots"),
    ("-V --ver", "--version"),
    ("-? --? --usage --man --h", _HELP),
    ("--background --daemon", "run it with '&', or as a service; --log-file FILE keeps its log"),
    ("--on-download-complete --exec --hook", "--results - prints a record as each URL is done"),
    ("-B", "--base URL"),
    ("--force-html", "--list-format html, and --base URL if its links are relative"),
    ("--checksum --hash --sha256", "a list may have digests: URL in a column, sha256 in another"),
    ("--globoff -g", "no URL is a pattern here: brackets and braces stay as they are"),
    ("--next --restrict-file-names --trust-server-names --unordered --no-buffer",
     "nothing here needs it; " + _HELP),
    ("--retry-failed-only --failed --only-failed", "--retry-failed"),
    ("--check --verify", "scraper verify DEST"),
)  # fmt: skip

OPTIONS: Mapping[str, str] = {name: answer for names, answer in _ANSWERS for name in names.split()}

_WHY = "--format tsv has the reason of each; --format json the whole record"
# Options that a command of ours may be asked for, by the command.
OF_COMMANDS: Mapping[str, Mapping[str, str]] = {
    "failed": dict.fromkeys(
        ("-v", "--verbose", "--why", "--reason", "--reasons", "-l", "--long"), _WHY
    ),
    "list": dict.fromkeys(("--url", "--find", "--grep"), "a URL stands behind DEST: DEST URL..."),
}

_FETCH = "fetching needs no command: scraper URL... or scraper FILE, and --to DEST"

COMMANDS: Mapping[str, str] = {
    "help": _HELP,
    "version": "--version",
    **dict.fromkeys(
        ("get", "download", "run", "start", "crawl", "scrape", "url", "urls", "go", "copy", "cp"),
        _FETCH,
    ),
    **dict.fromkeys(("copyurl", "sync", "mirror", "move", "mv"), _FETCH),
    "check": "scraper verify DEST",
    "resume": "scraper LIST --to DEST --resume",
    "retry": "scraper LIST --to DEST --retry-failed",
    "config": "--config FILE reads TOML; --show-config prints what is in force",
    "man": _HELP,
}
