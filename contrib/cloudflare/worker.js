// SPDX-License-Identifier: BSD-3-Clause
// A Cloudflare Email Worker: posts each mail to recheck-ingest, byte for byte.
//
// Variables: URL, https://lab.example.org/mail; TOKEN, a secret, the token of [token.cloudflare]
// with may = ["mail"]; FALLBACK, a verified address that gets the mails we could not post.
// Without a FALLBACK such a mail is refused, and the sender's server tells the sender.

export default {
  async email(message, env) {
    // The stream can be read once only.
    const raw = await new Response(message.raw).arrayBuffer();
    let trouble;
    try {
      const answer = await fetch(env.URL, {
        method: "POST",
        redirect: "manual",
        headers: {
          "Content-Type": "message/rfc822",
          "Authorization": `Bearer ${env.TOKEN}`,
          "X-Envelope-Sender": message.from,
          "X-Envelope-Recipient": message.to,
        },
        body: raw,
      });
      if (answer.status === 200) return;
      trouble = `status ${answer.status}`;
    } catch (error) {
      trouble = String(error);
    }
    console.error(`recheck-ingest did not take a mail from ${message.from}: ${trouble}`);
    if (env.FALLBACK) {
      await message.forward(env.FALLBACK);
    } else {
      message.setReject("The mail cannot be taken now, send it again later");
    }
  },
};
