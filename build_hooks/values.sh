# What a tab offers besides words that are always the same. Nothing here starts Python.
# Whoever wrote a repository chose these names, and bash would run `$(…)` in one: what a shell makes something of is left
# out, as is what would pass for an option.
_orchgate_values() {
  command sh -c '
    top=$(git rev-parse --show-toplevel 2>/dev/null) || exit 0
    {
      case $1 in
      revisions) git for-each-ref --format="%(refname:short)" refs/heads refs/tags refs/remotes ;;
      remotes) git remote ;;
      esac
      cd "$top" || exit 0
      case $1 in
      pipelines)
        echo implementation-gate
        sed -n "s/^[[:space:]]*\[\[*\(tool\.orchgate\.\)\{0,1\}pipelines\.\"\{0,1\}\([A-Za-z0-9_-]*\).*/\2/p" \
          orchgate.toml pyproject.toml 2>/dev/null | sort -u ;;
      tasks)
        for one in .runs/*/ tasks/tasks-[0-9]*.md; do
          [ -e "$one" ] || continue
          one=${one%/} one=${one##*/} one=${one#tasks-}
          case $one in local-mcp | .*) ;; *) echo "${one%.md}" ;; esac
        done | sort -u ;;
      runs)
        for one in .runs/*/*/*/; do
          [ -e "$one" ] && one=${one%/} && echo "${one##*/}"
        done | sort -r | head -n 200 ;;
      esac
    } | LC_ALL=C sed "/^-/d; /[[:space:][:cntrl:]!-\$&-*;-?[-^\`{-~]/d"
  ' sh "$1" 2>/dev/null
}
