#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tests/bad_input.sh PROGRAM: everything a user can get wrong gives exit status 2, one sentence that
# names what was expected, and no output directory. A good run with a signal in the middle gives
# whole files and 130 or 143.

set -u
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

complain() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# refuse WORDS ARGUMENT...: the sentence must contain WORDS.
refuse() {
    words=$1
    shift
    "$program" --out "$work/out" "$@" >"$work/stdout" 2>"$work/stderr"
    status=$?
    [ "$status" -eq 2 ] || complain "$*: exit status $status, expected 2"
    [ -s "$work/stdout" ] && complain "$*: wrote to standard output"
    [ "$(wc -l <"$work/stderr")" -eq 1 ] || complain "$*: not one line: $(cat "$work/stderr")"
    grep -q -e "$words" "$work/stderr" || complain "$*: no '$words' in: $(cat "$work/stderr")"
    grep -q -e expected "$work/stderr" || complain "$*: nothing expected: $(cat "$work/stderr")"
    [ -e "$work/out" ] && complain "$*: left an output directory"
    return 0
}

good='{"prompt": "What is 2 + 2?", "chosen": "It is 4, with pleasure.", "rejected": "4."}'
lines() {
    i=0
    while [ "$i" -lt "$1" ]; do
        echo "$good"
        i=$((i + 1))
    done
}

refuse 'no such file' --data "$work/missing.json"
refuse 'no such file' --data "$work"
: >"$work/empty.json"
refuse 'empty' --data "$work/empty.json"
printf ' \n\t\n' >"$work/blank.json"
refuse 'empty' --data "$work/blank.json"
{ lines 2; echo '{"prompt": "unfinished'; lines 9; } >"$work/bad_line.jsonl"
refuse 'line 3' --data "$work/bad_line.jsonl"
{ lines 9; echo '{"prompt": "p", "chosen": "c"}'; } >"$work/key.jsonl"
refuse 'line 10.*"rejected" is missing' --data "$work/key.jsonl"
{ lines 1; echo '{"prompt": "p", "chosen": 3, "rejected": "r"}'; } >"$work/type.jsonl"
refuse 'line 2.*not a string' --data "$work/type.jsonl"
{ lines 1; echo '{"prompt": "p", "chosen": "", "rejected": "r"}'; } >"$work/nothing.jsonl"
refuse 'line 2.*chosen text is empty' --data "$work/nothing.jsonl"
{ lines 4; printf '{"prompt": "caf\351", "chosen": "c", "rejected": "r"}\n'; } >"$work/latin1.jsonl"
refuse 'line 5: byte 0xE9 at column 16 is not UTF-8' --data "$work/latin1.jsonl"
lines 3 >"$work/few.jsonl"
refuse '3 pairs' --data "$work/few.jsonl"
printf '[\n%s,\n%s\n' "$good" "$good" >"$work/open.json"
refuse 'line 4.*expected' --data "$work/open.json"
printf '[\n%s,\n{"prompt": "p",\n "chosen": oops}]\n' "$good" >"$work/array.json"
refuse 'line 4' --data "$work/array.json"
printf '[]\n' >"$work/array_empty.json"
refuse '0 pairs' --data "$work/array_empty.json"
echo '"just a string"' >"$work/string.json"
refuse 'line 1: not an object' --data "$work/string.json"

refuse '--beta: 0 ' --beta 0
refuse '--beta: -1 ' --beta=-1
refuse '--beta' --beta 0.1,zero
refuse '--beta' --beta 0.1,,0.3
refuse '--beta' --beta nan
refuse '--loss: "dop" is unknown' --loss dop
refuse '--reference' --reference moving
refuse '--alpha' --alpha 1.5
refuse '--every' --every 0
refuse '--epochs' --epochs=-3
refuse '--dropout' --dropout 1
refuse '--seed' --seed one
refuse '--threads' --threads=-1
refuse '--nonsense' --nonsense

# An output directory that cannot be one.
lines 9 >"$work/good.jsonl"
: >"$work/a_file"
"$program" --data "$work/good.jsonl" --out "$work/a_file/out" >/dev/null 2>"$work/stderr"
status=$?
[ "$status" -eq 2 ] || complain "--out under a file: exit status $status, expected 2"

# Interrupted: whole files, no temporary ones.
for signal in INT TERM; do
    [ "$signal" = INT ] && expected=130 || expected=143
    rm -rf "$work/cut"
    # A background job of sh ignores SIGINT for good; env puts the default back.
    env --default-signal="$signal" "$program" --out "$work/cut" --no-plots --epochs 1000 \
        --tuning-epochs 1 --hidden 16 >"$work/stdout" 2>/dev/null &
    child=$!
    sleep 2
    kill -s "$signal" "$child"
    wait "$child"
    status=$?
    [ "$status" -eq "$expected" ] || complain "SIG$signal: exit status $status, not $expected"
    for file in summary.csv curves.csv answers.txt; do
        [ -s "$work/cut/$file" ] || complain "SIG$signal: no $file"
    done
    [ -z "$(find "$work/cut" -name '*.part')" ] || complain "SIG$signal: a temporary file is left"
done

[ "$failures" -eq 0 ] && echo "all refused as they should be"
exit "$((failures > 0))"
