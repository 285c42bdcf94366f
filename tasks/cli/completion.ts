/** Scripts that complete `aft`: they ask `aft complete WORDS…` what could stand in place of the last word. */

/** Shells that there is a script for. */
export const shells = ["bash", "zsh", "fish"] as const;

// Lines that name no word (files are the shell's own business) are left out.
const bash = `_aft() {
  local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=()
  while IFS= read -r word; do
    COMPREPLY+=("$word")
  done < <(aft complete "\${words[@]}" 2>/dev/null | tr -d '\\0' | grep -v '^$\\|^__FILE__')
}
complete -o default -F _aft aft
`;

const zsh = `#compdef aft
_aft() {
  local -a found
  found=(\${(f)"$(aft complete \${words[2,CURRENT]} 2>/dev/null | tr -d '\\0' | grep -v '^$\\|^__FILE__')"})
  if (( \${#found} )); then compadd -- $found; else _files; fi
}
compdef _aft aft
`;

const fish = `function __aft_complete
  set -l words (commandline -opc) (commandline -ct)
  aft complete $words[2..-1] 2>/dev/null | tr -d '\\0' | grep -v '^$\\|^__FILE__'
end
complete -c aft -a '(__aft_complete)'
`;

const scripts: Readonly<Record<string, string>> = { bash, zsh, fish };

/** The script for a shell; undefined for another word. */
export function completionScript(shell: string): string | undefined {
  return Object.hasOwn(scripts, shell) ? scripts[shell] : undefined;
}
