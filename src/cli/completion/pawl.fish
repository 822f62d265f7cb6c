# SPDX-License-Identifier: MIT
# Completion of pawl's command line in fish: "pawl complete" says what may stand where the cursor is.

function __pawl_complete
    set -l before (commandline -opc)
    set -l word (commandline -ct)
    set -l pawl $before[1]
    for reply in (command $pawl complete -- $before[2..-1] "$word" 2>/dev/null)
        switch $reply
            case ':command *'
                # The words from there on, the last one as it was typed.
                set -l from (math (string replace ':command ' '' -- $reply) + 1)
                set -l words (string escape -- $before) "$word"
                complete -C (string join ' ' -- $words[$from..-1])
            case ':files'
                __fish_complete_path "$word"
            case '*'
                echo $reply
        end
    end
end

complete -c pawl -f -a '(__pawl_complete)'
