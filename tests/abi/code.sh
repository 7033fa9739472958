#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What no program can see of itself: in the objects of the units, no function of the library has a
# name in two of them, and vector instructions that the unit was not compiled for stand only in the
# namespace of an instruction set.
#
#   code.sh NM OBJDUMP UNIT=OBJECT...

set -eu
nm=$1
objdump=$2
shift 2
failed=0
names=$(mktemp)
trap 'rm -f "$names"' EXIT

fail() {
    echo "failed: $*" >&2
    failed=1
}

# The functions of an object that hold AVX instructions (or AVX-512's), one per line.
holders() {
    "$objdump" -d --no-show-raw-insn "$2" | awk -v pattern="$1" '
        /^[0-9a-f]+ </ { name = $2; next }
        $2 ~ /^v[a-z]/ && $0 ~ pattern { found[name] = 1 }
        END { for (name in found) print name }'
}

# How the mangled name of what lies in prefopt::VERSION::detail begins.
detail='^<*_ZZ*NK*7prefopt[0-9]*v[a-z0-9_]*6detail'
avx='%[xyz]mm'
avx512='%zmm|%k[0-7]|%[xy]mm(1[6-9]|2[0-9]|3[01])'

for unit in "$@"; do
    object=${unit#*=}
    unit=${unit%%=*}
    own=$("$nm" --defined-only "$object" | awk '$3 ~ /prefopt/ { print $3 }' | sort -u)
    [ "$(echo "$own" | wc -l)" -gt 20 ] || fail "$unit: hardly a function of the library"
    echo "$own" >>"$names"
    avx2_space=$(echo "$own" | grep -c "${detail}4avx2" || true)
    avx512_space=$(echo "$own" | grep -c "${detail}6avx512" || true)
    generic_space=$(echo "$own" | grep -c "${detail}7generic" || true)
    outside=$(holders "$avx" "$object" | grep -vc "${detail}4avx2\|${detail}6avx512" || true)
    inside=$(holders "$avx512" "$object" | grep -c "${detail}6avx512" || true)
    stray=$(holders "$avx512" "$object" | grep -vc "${detail}6avx512" || true)
    echo "$unit: functions in avx2 $avx2_space, avx512 $avx512_space, generic $generic_space;" \
        "with AVX outside $outside, with AVX-512 inside $inside, outside $stray"
    case $unit in
        wide*) [ "$outside" -gt 0 ] || fail "$unit: compiled for AVX, and has none" ;;
        *) [ "$outside" -eq 0 ] || fail "$unit: AVX outside the kernels" ;;
    esac
    case $unit in
        widest) ;;
        *) [ "$stray" -eq 0 ] || fail "$unit: AVX-512 outside its kernels" ;;
    esac
    case $unit in
        scalar) want='0 0 0' ;;
        widest) want='0 1 0' ;;
        every) want='1 1 1' ;;
        *) want='1 1 0' ;;
    esac
    got="$((avx2_space > 0)) $((avx512_space > 0)) $((generic_space > 0))"
    [ "$got" = "$want" ] || fail "$unit: avx2 avx512 generic are $got, wanted $want"
    [ "$unit" = scalar ] || [ "$inside" -gt 0 ] || fail "$unit: no AVX-512 in its kernels"
done

shared=$(sort "$names" | uniq -d)
if [ -n "$shared" ]; then
    echo "$shared" | head -n 5 >&2
    fail "two units share $(echo "$shared" | wc -l) names"
fi
exit $failed
