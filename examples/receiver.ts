// A receiver for trying out Posthorn: it verifies both signatures of each webhook and prints the webhook.
//
//   npm run receiver                        listens on http://127.0.0.1:9000/
//   PORT=9001 SECRET=… npm run receiver     another port, another secret
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const port = Number(process.env.PORT || 9000);
// The same secret as in send.sh. It is public, so use it only to try out Posthorn.
const secret = process.env.SECRET || 'whsec_dHJ5LW91dC1vbmx5LW5vdC1hLXJlYWwtc2VjcmV0';
// The key of a whsec_ secret is the base64 after the prefix; of any other secret, its characters.
const standard = new Webhook(secret, secret.startsWith('whsec_') ? {} : { format: 'raw' });

function verify(body: Buffer, headers: Record<string, string>): void {
  // Throws unless the signature fits the webhook-id, the body and a webhook-timestamp of the last five minutes.
  standard.verify(body, headers, { jsonParse: false });
  const expected = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
  const given = headers['x-hub-signature-256'] ?? '';
  if (
    given.length !== expected.length ||
    !timingSafeEqual(Buffer.from(given), Buffer.from(expected))
  )
    throw new Error('x-hub-signature-256 does not match');
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks);
    try {
      verify(body, request.headers as Record<string, string>);
    } catch (error) {
      console.log(`refused    ${(error as Error).message}`);
      response.writeHead(401).end('The signature is wrong.\n');
      return;
    }
    console.log(`received   ${request.headers['webhook-id']}  ${body}`);
    response.end('Thank you.\n');
  });
});
server.on('error', (error) => {
  console.error(
    `The receiver cannot listen on port ${port}: ${error.message}. Set PORT to another port.`,
  );
  process.exit(1);
});
server.listen(port, '127.0.0.1', () => {
  console.log(`Waiting for webhooks at http://127.0.0.1:${port}/ (Ctrl-C stops the receiver)`);
});
