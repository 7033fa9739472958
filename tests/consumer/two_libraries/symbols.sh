#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# symbols.sh NM PLAIN FAST: no function or object of prefopt has one name in both shared libraries,
# so that the loader cannot give one library the other's.

set -eu
names() { "$1" --dynamic --defined-only --format=posix "$2" | cut -d' ' -f1 | grep prefopt | sort; }
names "$1" "$2" >plain.txt
names "$1" "$3" >fast.txt
echo "$(wc -l <plain.txt) names of prefopt in one, $(wc -l <fast.txt) in the other"
[ -s plain.txt ] && [ -s fast.txt ]
both=$(comm -12 plain.txt fast.txt)
[ -z "$both" ] || { echo "in both: $both"; exit 1; }
