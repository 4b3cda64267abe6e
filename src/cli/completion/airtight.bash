# bash completion for airtight, as `airtight completion bash` prints it.

_airtight() {
    local word previous='' typed files='' candidate words=()
    # bash splits words at : and =, airtight does not.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ ${#words[@]} -gt 0 && ( $word == [:=]* || $previous == *[:=] ) ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        previous=$word
    done
    typed=${words[-1]}
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        if [[ $candidate == :files ]]; then
            files=yes
        else
            # What bash takes for earlier words is there already.
            COMPREPLY+=("${candidate#"${typed%"${typed##*[:=]}"}"}")
        fi
    done < <("${COMP_WORDS[0]}" __complete -- "${words[@]}" 2>/dev/null)
    if [[ -n $files ]]; then
        compopt -o default 2>/dev/null
    fi
}

complete -F _airtight airtight
