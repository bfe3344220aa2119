import type { Transporter } from 'nodemailer';
import type { MailSettings } from '../config/mail.ts';
import type { HttpAnswer } from '../http/answer-reader.ts';
import { AttemptTimeoutError, type HttpClient, type HttpRequest } from '../http/http-client.ts';
import { MailError } from './classify.ts';

/** Connections to the mail server. There are few mails. */
const CONNECTIONS = 2;
/** SMTP's reply to a message that it has taken (RFC 5321, 4.2.3). It is a success among the codes of HTTP too. */
const TAKEN = 250;
const EXCERPT = 1_024;

/**
 * Sends deliveries whose URL is `mailto:` as e-mail, in the place of an HTTP client. The body is that of a notice:
 * JSON with `subject` and `text` (schema/functions/send_notices.sql). nodemailer is loaded with the first mail.
 *
 * @param settings undefined: there is no mail server, and every attempt fails.
 */
export function createMailer(settings: MailSettings | undefined): HttpClient {
  let transporter: Promise<Transporter> | undefined;

  async function connect({ url }: MailSettings): Promise<Transporter> {
    const { createTransport } = await import('nodemailer');
    return createTransport({
      url,
      pool: true,
      maxConnections: CONNECTIONS,
      // A notice has text alone; nothing in it may name a file or a URL to read.
      disableFileAccess: true,
      disableUrlAccess: true,
    } as object);
  }

  async function send({ url, headers, body }: HttpRequest): Promise<HttpAnswer> {
    if (settings === undefined) throw new MailError('no mail server is set (POSTHORN_SMTP_URL)');
    const { subject, text } = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
    if (typeof subject !== 'string' || typeof text !== 'string')
      throw new MailError('the webhook is not a notice, and only notices are sent as e-mail');
    transporter ??= connect(settings);
    const id = headers[headers.indexOf('webhook-id') + 1];
    try {
      const { response } = (await (
        await transporter
      ).sendMail({
        from: settings.from,
        to: decodeURIComponent(url.pathname),
        subject,
        text,
        // The same for every attempt, so that a mail that comes twice is recognized.
        messageId: `<${id}@posthorn>`,
        // Answering machines do not answer it (RFC 3834).
        headers: { 'Auto-Submitted': 'auto-generated' },
      })) as { response: string };
      return {
        statusCode: TAKEN,
        retryAfter: undefined,
        location: undefined,
        excerpt: response.slice(0, EXCERPT),
        cutOff: null,
      };
    } catch (error) {
      const { response } = error as { response?: unknown };
      if (typeof response === 'string')
        throw new MailError(`the mail server answered: ${response}`, { cause: error });
      throw error;
    }
  }

  return {
    async post(request) {
      const { signal, timeoutMs = 15_000 } = request;
      signal.throwIfAborted();
      let end = () => {};
      const ended = new Promise<never>((_resolve, reject) => {
        const timer = setTimeout(() => reject(new AttemptTimeoutError('response')), timeoutMs);
        const abort = () => reject(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        end = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', abort);
        };
      });
      try {
        return await Promise.race([send(request), ended]);
      } finally {
        end();
      }
    },
    async close() {
      (await transporter)?.close();
    },
  };
}

/** Sends deliveries to `mailto:` by the mailer, and all others by HTTP. */
export function withMailer(http: HttpClient, mailer: HttpClient): HttpClient {
  return {
    post: (request) => (request.url.protocol === 'mailto:' ? mailer : http).post(request),
    async close() {
      await Promise.all([http.close(), mailer.close()]);
    },
  };
}
