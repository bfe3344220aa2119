import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { complaintsOfTypes, generateClient } from '../client/generate.ts';
import type { CustomerReceiver, Place, Received } from '../client/place.ts';
import { readDocument } from '../helpers/openapi.ts';
import { type ReceivedRequest, startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';

t.test('a program with a client that is generated from the document works', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY });
  const program = await generateClient(t, await readDocument(posthorn), 'customer.ts');
  t.equal(await complaintsOfTypes(program), '', 'its types fit the program');
  const { day }: { day(place: Place): Promise<void> } = await import(pathToFileURL(program).href);
  const receiver = await startCustomerReceiver(t);
  // Generating and compiling the client holds up this process, so statements of the service may have timed out.
  await until(
    'the service is ready',
    async () => (await posthorn.request('GET', '/readyz')).status === 200,
  );
  await t.resolves(day({ baseUrl: posthorn.url, adminKey: ADMIN_KEY, receiver, until }));
});

async function startCustomerReceiver(t: Test): Promise<CustomerReceiver> {
  let status = 200;
  const { url, received } = await startReceiver(t, (response) => {
    response.statusCode = status;
    response.end('answer');
  });
  const wait = async (what: string, count: number, fits: (one: ReceivedRequest) => boolean) => {
    const found = () => received.filter(fits);
    await until(`${what} was received ${count} times`, () => found().length >= count);
    return found().map(({ headers, body }) => ({
      headers: headers as Record<string, string>,
      body: body.toString(),
    }));
  };
  return {
    url,
    answer(next) {
      status = next;
    },
    waitFor: (path, count) => wait(path, count, (one) => one.path === path),
    async waitForWebhook(id, times = 1) {
      const all = await wait(id, times, (one) => one.headers['webhook-id'] === id);
      return all.at(-1) as Received;
    },
  };
}
