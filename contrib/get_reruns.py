#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
#
# In the place of tools/get_reruns.py of dpdk-ci, for jobs that call that script by its path: it
# runs "recheck-ingest reruns" with the same arguments, which writes the same file and ends with
# the same exit codes, from the ledger instead of from Patchwork. See "Instead of get_reruns.py"
# in the README.
# Test it with:  ./get_reruns.py -ts 2024-01-01 --contexts iol-unit-amd64-testing -o - ; echo $?
#
# recheck-ingest is the program that $RECHECK_INGEST names, else the one beside the Python that
# runs this script, else the one on the PATH. Where the ledger is not where that user's would be,
# set RECHECK_INGEST_STATE_DIR or RECHECK_INGEST_CONFIG. The user must be able to write the
# ledger.

import os
import shutil
import sys


def main():
    named = os.environ.get("RECHECK_INGEST")
    beside = os.path.join(os.path.dirname(sys.executable), "recheck-ingest")
    found = shutil.which(named or beside) or (not named and shutil.which("recheck-ingest"))
    if not found:
        if named:
            sys.exit(f"get_reruns.py: $RECHECK_INGEST names {named}, which is no program")
        sys.exit(f"get_reruns.py: recheck-ingest is neither {beside} nor on the PATH")
    try:
        os.execv(found, [found, "reruns", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"get_reruns.py: {found} cannot be run: {error.strerror}")


if __name__ == "__main__":
    main()
