#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the bill of materials of a release as SPDX 2.3 in JSON: the archive, every file in it with
its licence and digests, and no dependency, since there is none.

    cmake/sbom.py --tree FOLDER --archive FILE --created SECONDS --output FILE

What REUSE.toml says of the files is said here again: all are the authors', under one licence.
`tests/release` has the result validated.
"""

import argparse
import datetime
import hashlib
import json
import pathlib

LICENCE = "Apache-2.0"
OWNERS = "Copyright The prefopt authors"


def digests(data):
    return [{"algorithm": name.upper(), "checksumValue": hashlib.new(name, data).hexdigest()}
            for name in ("sha1", "sha256")]


def document(tree, archive, created):
    files = []
    for path in sorted(p for p in tree.rglob("*") if p.is_file()):
        name = path.relative_to(tree).as_posix()
        files.append({
            "SPDXID": f"SPDXRef-File-{hashlib.sha256(name.encode()).hexdigest()[:16]}",
            "fileName": f"./{name}",
            "checksums": digests(path.read_bytes()),
            "licenseConcluded": LICENCE,
            "licenseInfoInFiles": [LICENCE],
            "copyrightText": OWNERS,
        })
    # As SPDX 2.3 asks in 7.9: of the sorted SHA-1 digests, put together.
    code = hashlib.sha1("".join(sorted(f["checksums"][0]["checksumValue"] for f in files)).encode())
    package = {
        "SPDXID": "SPDXRef-Package-prefopt",
        "name": "prefopt",
        "versionInfo": archive.name.removeprefix("prefopt-").removesuffix(".tar.gz"),
        "packageFileName": archive.name,
        "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": True,
        "packageVerificationCode": {"packageVerificationCodeValue": code.hexdigest()},
        "checksums": digests(archive.read_bytes())[1:],
        "licenseConcluded": LICENCE,
        "licenseDeclared": LICENCE,
        "licenseInfoFromFiles": [LICENCE],
        "copyrightText": OWNERS,
        "primaryPackagePurpose": "LIBRARY",
        "summary": "Preference-optimization losses for C++20 trainers, header-only",
    }
    date = datetime.datetime.fromtimestamp(created, datetime.timezone.utc)
    digest = package["checksums"][0]["checksumValue"]
    contains = [{"spdxElementId": package["SPDXID"], "relationshipType": "CONTAINS",
                 "relatedSpdxElement": f["SPDXID"]} for f in files]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": archive.name.removesuffix(".tar.gz"),
        "documentNamespace": f"https://spdx.org/spdxdocs/{archive.name}-{digest}",
        "creationInfo": {"created": date.strftime("%Y-%m-%dT%H:%M:%SZ"),
                         "creators": ["Tool: prefopt-sbom", "Organization: The prefopt authors"]},
        "packages": [package],
        "files": files,
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                           "relatedSpdxElement": package["SPDXID"]}] + contains,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", type=pathlib.Path, required=True)
    parser.add_argument("--archive", type=pathlib.Path, required=True)
    parser.add_argument("--created", type=int, required=True, help="seconds since 1970")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    options = parser.parse_args()
    text = json.dumps(document(options.tree, options.archive, options.created), indent=1)
    options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
