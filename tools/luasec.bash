#!/bin/bash
# Completion for bash of the command luasec: its options are those that --help lists.

_luasec() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=
  case ${COMP_WORDS[1]} in
    serve | bench) command=${COMP_WORDS[1]} ;;
  esac
  case $before in
    --ca | --cert | --crl | --key | --save) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
    --dir) mapfile -t COMPREPLY < <(compgen -d -- "$word") && return ;;
    --starttls) mapfile -t COMPREPLY < <(compgen -W "smtp imap pop3 xmpp" -- "$word") && return ;;
    --protocol) mapfile -t COMPREPLY < <(compgen -W "any tlsv1_2 tlsv1_3 tlsv1_2+" -- "$word") && return ;;
    --color) mapfile -t COMPREPLY < <(compgen -W "auto always never" -- "$word") && return ;;
  esac
  case $word in
    -*) # shellcheck disable=SC2086
      mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" $command --help 2>/dev/null |
        sed -n 's/^  \(--[a-z-]*\).*/\1/p')" -- "$word") ;;
    *) [ "$COMP_CWORD" -gt 1 ] || mapfile -t COMPREPLY < <(compgen -W "serve bench" -A hostname -- "$word") ;;
  esac
}

complete -F _luasec luasec
