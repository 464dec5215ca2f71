#!/bin/sh
# Rejects programs that index JSON mutably: `value["key"] = …` on a serde_json::Value of another
# type than expected panics. Clippy does not see through the operator, so this looks at what was
# compiled: without optimization each use is a call of `index_mut` in the program's symbols.
# Usage: .ci/json-index.sh PROGRAM...    each built without optimization and with symbols
set -eu

status=0
for program; do
    symbols=$(nm -C "$program")
    # A program that only reads JSON by index has the other operator: without it the names of the
    # symbols have changed, and this check would see nothing.
    case $symbols in
        *'serde_json::value::index::'*) ;;
        *)
            echo "$program: no symbols of serde_json's index" >&2
            exit 1
            ;;
    esac
    found=$(printf '%s\n' "$symbols" | grep 'serde_json.*::index_mut$\|serde_json.*::IndexMut<.*>::index_mut$' || true)
    if [ -n "$found" ]; then
        echo "$program: JSON is indexed mutably; use the functions of swarm/src/json.rs:" >&2
        printf '%s\n' "$found" >&2
        status=1
    fi
done
exit $status
