#compdef airtight
# zsh completion for airtight, as `airtight completion zsh` prints it.

_airtight() {
    local line files=''
    local -a candidates
    for line in "${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ $line == :files ]]; then
            files=yes
        elif [[ -n $line ]]; then
            candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        fi
    done
    if (( ${#candidates} )); then
        _describe airtight candidates
    fi
    if [[ -n $files ]]; then
        _files
    fi
}

if [[ ${funcstack[1]} == _airtight ]]; then
    _airtight "$@"
else
    compdef _airtight airtight
fi
