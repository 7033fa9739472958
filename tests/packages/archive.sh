#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# archive.sh TREE ARCHIVE: what git knows of the tree, as it lies there, below one folder as in the
# archive of a release.

set -eu
cd "$1"
git ls-files -z --cached --others --exclude-standard |
    tar --null --files-from=- --transform='s,^,prefopt/,' -czf "$2"
