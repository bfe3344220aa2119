/** How e-mail is sent. */
export interface MailSettings {
  /** `smtp:` or `smtps:`, with a user and a password if the server needs them. */
  readonly url: string;
  /** The sender's address, such as `Posthorn <posthorn@example.com>`. */
  readonly from: string;
}

/** Returns how e-mail is sent; undefined: it is not. `problems` gets what is wrong. */
export function mailSettings(
  url: string | undefined,
  from: string | undefined,
  problems: string[],
): MailSettings | undefined {
  if (url === undefined && from === undefined) return undefined;
  if (url !== undefined && from !== undefined) return { url, from };
  problems.push(
    url === undefined
      ? 'POSTHORN_MAIL_FROM is set without POSTHORN_SMTP_URL; set the mail server too, or remove it'
      : 'POSTHORN_SMTP_URL needs POSTHORN_MAIL_FROM, the address that e-mails come from, such as posthorn@example.com',
  );
  return undefined;
}
