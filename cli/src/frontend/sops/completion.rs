//! The completion scripts: they call the program with the words typed so far and `--generate-bash-completion` (S144).

/// For bash.
pub(super) const BASH: &str = r#"#! /bin/bash

_sops_complete() {
  local current="${COMP_WORDS[COMP_CWORD]}" words=("${COMP_WORDS[@]:0:COMP_CWORD}") offered
  [[ "${words[0]}" == "source" ]] && return 0
  [[ "$current" == -* ]] && words+=("$current")
  offered=$("${words[@]}" --generate-bash-completion 2>/dev/null)
  COMPREPLY=($(compgen -W "$offered" -- "$current"))
}
complete -o bashdefault -o default -o nospace -F _sops_complete sops
"#;

/// For zsh.
pub(super) const ZSH: &str = r#"#compdef sops

_sops_complete() {
  local -a offered called
  called=(${words[1,CURRENT-1]})
  [[ "${words[CURRENT]}" == -* ]] && called+=("${words[CURRENT]}")
  offered=("${(@f)$(_CLI_ZSH_AUTOCOMPLETE_HACK=1 ${called} --generate-bash-completion 2>/dev/null)}")
  if [[ -n "${offered[1]}" ]]; then
    _describe 'values' offered
  else
    _files
  fi
}
compdef _sops_complete sops
"#;
