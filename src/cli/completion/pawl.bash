# SPDX-License-Identifier: MIT
# Completion of pawl's command line in bash: "pawl complete" says what may stand where the cursor is.

# readline also ends words at = and :, pawl does not. Makes `words` of COMP_WORDS, the last one up to
# the cursor; `starts` says for each of them where in COMP_WORDS it begins.
_pawl_words() {
    local rest=${COMP_LINE:0:COMP_POINT} i
    words=() starts=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        local word=${COMP_WORDS[i]} blanks=${rest%%[![:blank:]]*}
        rest=${rest#"$blanks"}
        ((i == COMP_CWORD)) && word=$rest
        if [[ $i == 0 || $blanks ]]; then
            words+=("$word") starts+=("$i")
        else
            words[-1]+=$word
        fi
        rest=${rest#"$word"}
    done
}

# What follows word $1 is somebody else's command.
_pawl_command() {
    local at=${starts[$1]}
    if declare -F _comp_command_offset > /dev/null; then
        _comp_command_offset "$at"
    elif declare -F _command_offset > /dev/null; then
        _command_offset "$at"
    elif ((at == COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -c -- "${words[-1]}")
        compopt -o default
    else
        compopt -o default
    fi
}

_pawl() {
    local words starts replies reply
    _pawl_words
    local word=${words[-1]} pawl=${words[0]/#\~\//$HOME/} before=
    # What stands in front of a = that readline ends words at is there already.
    [[ $word == *=* && $COMP_WORDBREAKS == *=* ]] && before=${word%"${word##*=}"}
    mapfile -t replies < <("$pawl" complete -- "${words[@]:1}" 2> /dev/null)
    COMPREPLY=()
    for reply in "${replies[@]}"; do
        case $reply in
        ":command "*) _pawl_command "${reply#:command }" ;;
        ":files") compopt -o default ;;
        *)
            reply=${reply%%$'\t'*}
            COMPREPLY+=("${reply#"$before"}")
            ;;
        esac
    done
}

complete -F _pawl pawl
