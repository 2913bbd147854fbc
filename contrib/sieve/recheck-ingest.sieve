# SPDX-License-Identifier: BSD-3-Clause
#
# For a user's Sieve script (Dovecot's Pigeonhole, ~/.dovecot.sieve), before the other rules.
# Test it with:  sieve-test recheck-ingest.sieve mail
#
# List mail is put into a mailbox "recheck" that recheck-ingest watches; with mail_location =
# maildir:~/Maildir that is
#
#     recheck-ingest serve --maildir ~/Maildir/.recheck
#
# Not the pipe extension: when a program fails, Sieve keeps the mail in the inbox and tells the
# mail server that all is well, so that nobody tries again.

require ["fileinto", "mailbox"];

if header :contains "List-Id" ["<ci.dpdk.org>", "<dev.dpdk.org>"] {
    fileinto :create "recheck";
    stop;
}
