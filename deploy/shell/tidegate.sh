# shellcheck shell=sh
# Functions for dump scripts, to be sourced by any POSIX shell: `. /opt/tidegate/shell/tidegate.sh`.
# They need no Tidegate on the host: where it is not installed, plain files say the same with less in them.
# Whatever the script says with `set`, each function ends with a status and leaves nothing half said.

# tidegate_mark_running X: X is being made.
tidegate_mark_running() {
    : >"$1.running"
}

# tidegate_mark_done X [OPTION...]: X is whole and will not change. Options as of `tidegate mark`.
tidegate_mark_done() {
    if command -v tidegate >/dev/null 2>&1; then
        tidegate mark "$@"
    else
        : >"$1.done" && rm -f "$1.failed" "$1.running"
    fi
}

# tidegate_mark_failed X [SENTENCE]: the dump of X failed.
tidegate_mark_failed() {
    if command -v tidegate >/dev/null 2>&1; then
        tidegate mark "$1" --failed --error "${2:-its script says no more}"
    else
        : >"$1.failed" && rm -f "$1.done" "$1.running"
    fi
}

# tidegate_dump X COMMAND...: what COMMAND prints becomes X. The status is that of COMMAND, or 1.
tidegate_dump() {
    tidegate_x=$1
    shift
    if [ -e "$tidegate_x" ] || [ -L "$tidegate_x" ]; then
        echo "$tidegate_x: is there already; dump to a new name each time" >&2
        return 1
    fi
    tidegate_started=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    tidegate_mark_running "$tidegate_x" || return 1
    tidegate_status=0
    "$@" >"$tidegate_x.part" || tidegate_status=$?
    if [ "$tidegate_status" -ne 0 ]; then
        rm -f "$tidegate_x.part"
        tidegate_mark_failed "$tidegate_x" "$1 ended with status $tidegate_status"
        return "$tidegate_status"
    fi
    if sync "$tidegate_x.part" && mv "$tidegate_x.part" "$tidegate_x"; then
        tidegate_mark_done "$tidegate_x" --started "$tidegate_started"
    else
        rm -f "$tidegate_x.part"
        tidegate_mark_failed "$tidegate_x" "it cannot be brought to the disk"
        return 1
    fi
}
