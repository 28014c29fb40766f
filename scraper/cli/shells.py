"""What a TAB gets in bash, zsh and fish, and our script for bash.

Owns: that script, how its line becomes words, and values after `=`. Does not know: what is
completed; Click asks the commands, their options and types. It is imported when a shell asks.
Rejected: Click's own script for bash. It gives either words or files, but the first argument may
be a command or a list; and it splits at colons.
"""

import os
from typing import TYPE_CHECKING, Any

from click.shell_completion import (
    BashComplete,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' completion type value files=
    COMPREPLY=()
    for completion in $(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" \\
            %(complete_var)s=bash_complete "$1"); do
        type=${completion%%%%,*} value=${completion#*,}
        case $type in
            file|dir) files=yes ;;
            *) COMPREPLY+=("$value") ;;
        esac
    done
    if [[ $files && ${#COMPREPLY[@]} -eq 0 ]]; then
        compopt -o default
    elif [[ $files ]]; then
        compopt -o filenames
        COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
    fi
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""
_FISH_PATHS = """\
set -l option (string match --regex -- '^--[^=]*=' $metadata[2]);
            for path in (__fish_complete_path (string replace -- "$option" '' $metadata[2]));
                echo -- "$option$path";
            end;"""


class _WithValues(ShellComplete):
    """Completes the value in `--option=value`. bash takes the value alone for the word."""

    takes_value_alone = False

    def get_completions(self, args: list[str], incomplete: str) -> "list[CompletionItem[Any]]":
        """What may stand for the word `incomplete` after the words `args`."""
        name, equals, value = incomplete.partition("=")
        if not equals or not name.startswith("--"):
            return super().get_completions(args, incomplete)
        found = super().get_completions([*args, name], value)
        if not self.takes_value_alone:
            for item in found:
                item.value = f"{name}={item.value}"
        return found


class Zsh(_WithValues, ZshComplete):
    """Completion for zsh, with Click's script. Of `--to=pa` the shell completes `pa` as a path."""

    source_template = ZshComplete.source_template.replace(
        "_path_files", "compset -P '--[^=]#='; _path_files"
    ).replace(
        "local -a completions\n", "setopt localoptions extendedglob\n    local -a completions\n"
    )


class Fish(_WithValues, FishComplete):
    """Completion for fish, with Click's script. Of `--to=pa` the shell completes `pa` as a path."""

    source_template = FishComplete.source_template.replace(
        "__fish_complete_path $metadata[2];", _FISH_PATHS
    )


class Bash(_WithValues, BashComplete):
    """Completion for bash, of the line up to the cursor."""

    takes_value_alone = True

    source_template = _BASH

    @staticmethod
    def _check_version() -> None:
        """Nothing is checked: bash 4.4 is from 2016."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The whole words before the cursor, and the part of one at it."""
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)[1:]
        return (words, "") if not words or line[-1:].isspace() else (words[:-1], words[-1])


def register() -> None:
    """Let Click use what is here. It is called before Click looks at the variable."""
    for one in (Bash, Zsh, Fish):
        add_completion_class(one)
