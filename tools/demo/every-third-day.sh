#!/bin/sh
# Another schedule, for three small VMs that change a lot: dumps them into the folder $1.
set -u
cd "$1" || exit 2

# Stands for `vzdump` or a database's own dump: $1 bytes that no compression makes smaller, on stdout.
dump() {
    head -c "$1" /dev/urandom
}

errors=0
for job in vm10:3400000 vm11:1900000 vm12:4600000; do
    X=${job%:*}
    if dump "${job#*:}" >"$X.part" && mv "$X.part" "$X" && touch "$X.done"; then
        continue
    fi
    rm -f "$X.part"
    touch "$X.failed"
    errors=1
done
exit $errors
