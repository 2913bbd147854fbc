#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# Fetches with lei(1) the mails of public-inbox archives that hold a request, into the Maildir that
# "recheck-ingest serve" watches ([maildir] path). For /usr/local/bin; run it with
# recheck-ingest-lei.timer or from cron, as the user of recheck-ingest. Its settings come from the
# environment. Test it with:  WATCHED=/tmp/recheck sh recheck-ingest-lei.sh; ls /tmp/recheck/new
set -eu

# The archives to search, each with --only, and the Maildir that is watched.
archives=${ARCHIVES:-"--only https://inbox.dpdk.org/dev/"}
watched=${WATCHED:-/var/spool/recheck}
# The first day to search, when this is run for the first time.
since=${SINCE:-1.day.ago}

# lei keeps what it finds here, and knows by the name of this folder what it found before. The
# folder must be on the file system of the Maildir, and its name must not begin with a dot.
results=$watched/results

mkdir -p "$watched/tmp" "$watched/new" "$watched/cur"
if lei ls-search | grep -qF "$results"; then
    lei up -q "$results"
else
    # shellcheck disable=SC2086  # several options
    lei q -q --no-import-remote $archives -o "maildir:$results" \
        "b:\"Recheck-request\" AND d:$since.."
fi

# lei puts what it finds into cur/, where mails are that somebody has seen already.
for mail in "$results"/cur/* "$results"/new/*; do
    [ ! -f "$mail" ] || mv "$mail" "$watched/new/lei.$(basename "${mail%:*}")"
done
