# shellcheck shell=sh
# Functions for dump scripts, to be sourced by any POSIX shell: `. /opt/tidegate/shell/tidegate.sh`.
# They work without Tidegate on the host: they then write empty markers.
# They work with any `set` options: each function returns a status and leaves no half-written marker.

# tidegate_mark_running X: X is being written.
tidegate_mark_running() {
    : >"$1.running"
}

# tidegate_mark_done X [OPTION...]: X is complete and will not change. The options are those of `tidegate mark`.
tidegate_mark_done() {
    if command -v tidegate >/dev/null 2>&1; then
        tidegate mark "$@"
    else
        : >"$1.done" && rm -f "$1.failed" "$1.running"
    fi
}

# tidegate_mark_failed X [MESSAGE]: the dump of X failed.
tidegate_mark_failed() {
    if command -v tidegate >/dev/null 2>&1; then
        tidegate mark "$1" --failed --error "${2:-its script reported no reason}"
    else
        : >"$1.failed" && rm -f "$1.done" "$1.running"
    fi
}

# tidegate_dump X COMMAND...: the output of COMMAND becomes X. Returns the status of COMMAND, or 1.
tidegate_dump() {
    tidegate_x=$1
    shift
    if [ -e "$tidegate_x" ] || [ -L "$tidegate_x" ]; then
        echo "$tidegate_x exists already; dump to a new name each time" >&2
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
        tidegate_mark_failed "$tidegate_x" "it could not be synced to disk"
        return 1
    fi
}
