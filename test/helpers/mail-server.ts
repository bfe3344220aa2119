import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import type { Test } from 'tap';

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly user: string;
  /** The whole message, with its headers. */
  readonly text: string;
}

export interface MailServer {
  /** The URL with a user and a password, which it requires. */
  readonly url: string;
  readonly mails: ReceivedMail[];
  /** While it is set, mails are refused with this reply. */
  refuseWith: { readonly code: number; readonly message: string } | undefined;
}

/** A mail server on a real socket. */
export async function startMailServer(t: Test): Promise<MailServer> {
  const mails: ReceivedMail[] = [];
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    onAuth({ username, password }, _session, done) {
      if (password !== 'p@ss') return done(new Error('wrong password'));
      done(null, { user: username });
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        if (self.refuseWith !== undefined)
          return done(
            Object.assign(new Error(self.refuseWith.message), {
              responseCode: self.refuseWith.code,
            }),
          );
        mails.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          user: String(session.user),
          text: Buffer.concat(chunks).toString(),
        });
        done(null);
      });
    },
  });
  server.on('error', () => {});
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const { port } = server.server.address() as AddressInfo;
  const self: MailServer = {
    url: `smtp://posthorn:p%40ss@127.0.0.1:${port}`,
    mails,
    refuseWith: undefined,
  };
  return self;
}
