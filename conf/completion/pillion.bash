# Completion of pillion(8) for bash. The server's binary knows what may follow (core/cmd/complete.c);
# it asks the server that would be called for methods and params, for a second at most.
_pillion()
{
    local IFS=$'\n' cur=${COMP_WORDS[COMP_CWORD]} kind pattern keep lines
    [[ $cur == [=:@] ]] && cur=
    mapfile -t lines < <("${1/#\~/$HOME}" complete bash "${COMP_LINE:0:COMP_POINT}" \
        "${COMP_WORDBREAKS//@/}" 2>/dev/null) # readline keeps an @ with what follows
    IFS=$'\t' read -r kind pattern keep <<<"${lines[0]}"
    case $kind in
    words) COMPREPLY=("${lines[@]:1}") && COMPREPLY=("${COMPREPLY[@]%%$'\t'*}") ;;
    files)
        compopt -o filenames +o nospace 2>/dev/null
        COMPREPLY=($(compgen -f -X "!$pattern" -P "$keep" -- "${cur#"$keep"}"
            [[ $pattern == '*' ]] || compgen -d -P "$keep" -- "${cur#"$keep"}"))
        ;;
    directories)
        compopt -o filenames +o nospace 2>/dev/null
        COMPREPLY=($(compgen -d -P "$keep" -- "${cur#"$keep"}"))
        ;;
    esac
} && complete -o nospace -F _pillion pillion
