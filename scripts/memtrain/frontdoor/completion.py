"""Scripts by which bash and zsh complete the commands of `memtrain`, their options and values.

Both do the same: they find which command is typed, and offer what can follow. Names of splits are
looked up when they are asked for, in config.yaml and below results/.
"""

from collections.abc import Iterable, Iterator
from shlex import quote

from memtrain.frontdoor.completion_words import Argument, Command

#: Prints the names of the splits of a project: those of config.yaml, and those with results.
_NAMES_OF_SPLITS = """\
_memtrain_splits() {
    awk '/^[^ #]/ { inside = /^splits:/ }
        inside && /^  [A-Za-z0-9_-]+:/ { sub(/:.*/, ""); print $1 }' config.yaml 2>/dev/null
    local folder
    for folder in $(command ls -d results/*/splits/*/ 2>/dev/null); do
        folder=${folder%/}
        echo "${folder##*/}"
    done
}
"""

#: The first line of a script, which needs no command to be known.
FIRST_LINES = {
    "bash": "# Completion of memtrain for bash, by `memtrain completion bash`. To have it always:",
    "zsh": "#compdef memtrain",
}

_BASH = """\
#   memtrain completion bash > ~/.local/share/bash-completion/completions/memtrain
%(splits)s
_memtrain() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local command= word words=
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$command $word" in
            %(paths)s) command=${command:+$command }$word ;;
        esac
    done
    case "$command:$prev" in
%(values)s
        *)
            case "$cur:$command" in
%(options)s
%(places)s
            esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
# Where nothing is offered, files are.
complete -o default -F _memtrain memtrain
"""

_ZSH = """\
# Completion of memtrain for zsh, by `memtrain completion zsh`. To have it in every shell, write it
# to a file _memtrain in a folder of $fpath; or, after compinit: source <(memtrain completion zsh)
%(splits)s
_memtrain() {
    local cur=$words[CURRENT] prev=$words[CURRENT-1] command="" word
    local -a found
    for word in "${(@)words[2,CURRENT-1]}"; do
        case "$command $word" in
            (%(paths)s) command=${command:+$command }$word ;;
        esac
    done
    case "$command:$prev" in
%(values)s
        (*)
            case "$cur:$command" in
%(options)s
%(places)s
            esac ;;
    esac
    if (( $#found )); then
        _describe -V "memtrain $command" found
    else
        _files
    fi
}
if [[ $funcstack[1] == _memtrain ]]; then
    _memtrain "$@"
else
    compdef _memtrain memtrain
fi
"""


def completion(shell: str, commands: Iterable[Command]) -> str:
    """Return the script of a shell, but for its first line.

    Args:
        shell: "bash" or "zsh".
        commands: all commands, from ``completion_words``.
    """
    commands = list(commands)
    is_zsh = shell == "zsh"
    template = _ZSH if is_zsh else _BASH
    paths = [f"{' '.join(one.words[:-1])} {one.words[-1]}" for one in commands if one.words]
    return template % {
        "splits": _NAMES_OF_SPLITS,
        "paths": "|".join(map(quote, paths)),
        "values": "\n".join(_values(commands, is_zsh)),
        "options": "\n".join(_options(commands, is_zsh)),
        "places": "\n".join(_places(commands, is_zsh)),
    }


def _values(commands: Iterable[Command], is_zsh: bool) -> Iterator[str]:
    """Yield what follows an option that takes a value, options of the same values together."""
    for command in commands:
        patterns: dict[str, list[str]] = {}
        for option in command.options:
            if option.takes_value:
                flags = [f"{command.name}:{flag}" for flag in option.flags]
                patterns.setdefault(_offer(option, is_zsh), []).extend(flags)
        for offer, flags in patterns.items():
            yield _case(flags, offer, is_zsh)


def _options(commands: Iterable[Command], is_zsh: bool) -> Iterator[str]:
    """Yield the options of each command, for a word that begins with a dash."""
    for command in commands:
        words = [(flag, option.help) for option in command.options for flag in option.flags]
        yield _case([command.name], _list(words, is_zsh), is_zsh, before="-*:")


def _places(commands: Iterable[Command], is_zsh: bool) -> Iterator[str]:
    """Yield what each command takes that is no option: commands of its own, or values."""
    for command in commands:
        if command.below:
            yield _case([command.name], _list(command.below, is_zsh), is_zsh, before="*:")
        elif command.values is not None and command.values.kind != "path":
            yield _case([command.name], _offer(command.values, is_zsh), is_zsh, before="*:")


def _case(patterns: Iterable[str], offer: str, is_zsh: bool, before: str = "") -> str:
    pattern = "|".join(before + quote(one) for one in patterns)
    indent = " " * (16 if before else 8)
    return f"{indent}{'(' if is_zsh else ''}{pattern}) {offer} ;;"


def _offer(argument: Argument, is_zsh: bool) -> str:
    """Return the command that offers the values of an argument; files are offered for nothing."""
    if argument.kind == "split":
        return "found=($(_memtrain_splits))" if is_zsh else "words=$(_memtrain_splits)"
    return _list([(word, "") for word in argument.choices], is_zsh)


def _list(words: Iterable[tuple[str, str]], is_zsh: bool) -> str:
    if not is_zsh:
        return f"words={quote(' '.join(word for word, _ in words))}"
    shown = (f"{word}:{text}" if text else word for word, text in words)
    return f"found=({' '.join(map(quote, shown))})"
