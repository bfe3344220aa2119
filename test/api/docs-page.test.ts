// The page /api/docs/ (Swagger UI) in a browser.
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { testInBrowser } from '../helpers/browser.ts';
import { connect } from '../helpers/database.ts';
import { type OpenApi, type Operation, operationsOf, readDocument } from '../helpers/openapi.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import {
  authorize,
  closeOperation,
  execute,
  openDocs,
  openOperation,
} from '../helpers/swagger-ui.ts';

const KEY = 'an admin key of some length';
/** Sends nothing, so that nothing goes to the URLs of the examples. */
const NO_WORKER = { POSTHORN_ROLE: 'api' };

const posthorn = await startTestService(t, NO_WORKER);
const document = await readDocument(posthorn);
const things = await makeThings(t, posthorn);
const keyed = await startTestService(t, { ...NO_WORKER, POSTHORN_ADMIN_KEY: KEY });

for (const colorScheme of ['light', 'dark'] as const) {
  testInBrowser(
    `the page reports no error and fits a desktop and a phone, ${colorScheme}`,
    { colorScheme },
    async (t, { page }) => {
      await openDocs(page, posthorn.url);
      const form = await openOperation(page, 'createSubscription');
      t.equal((await execute(page, form)).status(), 201);
      for (const width of [1280, 375]) {
        await page.setViewportSize({ width, height: 800 });
        t.equal(await widthOf(page), width, `nothing is wider than ${width} pixels`);
      }
    },
  );
}

/** How wide the content of a page is. */
function widthOf(page: Page): Promise<number> {
  return page.evaluate<number>('document.documentElement.scrollWidth');
}

testInBrowser(
  'a request has the key that was given under Authorize',
  {},
  async (t, { page, problems }) => {
    await showOnly(page, ['listSubscriptions']);
    await openDocs(page, keyed.url);
    const operation = await openOperation(page, 'listSubscriptions');
    const refused = await execute(page, operation);
    t.equal(refused.status(), 401);
    t.strictSame(problems.splice(0), ['401 GET /v1/subscriptions']);

    await authorize(page, KEY);
    const answered = await execute(page, operation);
    t.equal(answered.status(), 200);
    t.equal(await answered.request().headerValue('authorization'), `Bearer ${KEY}`);
  },
);

/** Notes, whenever the page changes while it reads an operation, whether Execute is visible. */
const WATCH_EXECUTE = `window.visibleWhileReading = [];
new MutationObserver(() => {
  if (document.querySelector('.opblock-loading-animation') !== null)
    visibleWhileReading.push(document.querySelector('.execute')?.checkVisibility() ?? false);
}).observe(document, { childList: true, subtree: true });`;

testInBrowser('Execute is shown only when it works', {}, async (t, { page }) => {
  await showOnly(page, ['listSubscriptions']);
  await page.addInitScript(WATCH_EXECUTE);
  await openDocs(page, posthorn.url);
  await openOperation(page, 'listSubscriptions');
  const visible = await page.evaluate<boolean[]>('visibleWhileReading');
  t.ok(visible.length > 0, 'the page read the operation after it was opened');
  t.notOk(visible.includes(true));
});

/** Two of the lists. Their forms are empty, which test/api/openapi-style.test.ts says of all. */
const LISTS = ['listSubscriptions', 'listWebhooks'];

/** Operations that refuse a second, equal request, with the status that they document and the reason. */
const REFUSED_TWICE: Record<string, { status: number; because: string }> = {
  createTenant: { status: 409, because: 'an id is never used twice' },
  createEventType: { status: 409, because: 'the name is the id' },
  deleteSubscriptionLegacy: { status: 404, because: 'it is deleted' },
};

for (const [part, operations] of partsOf(document)) {
  testInBrowser(
    `what is filled in for ${part} works, and works twice`,
    {},
    async (t, { page, problems }) => {
      await showOnly(
        page,
        operations.map(({ operationId }) => operationId),
      );
      await openDocs(page, posthorn.url);
      for (const { operationId, parameters, responses } of operations) {
        const form = await openOperation(page, operationId);
        for (const { name } of parameters.filter(({ required }) => required === true)) {
          const field = form.locator(`[data-param-name="${name}"] input`);
          t.equal(await field.inputValue(), '', `${operationId} has no ${name} filled in`);
          const ofOperation = things[`${operationId} ${name}`];
          await field.fill(ofOperation ?? things[name] ?? `no ${name} was made`);
        }
        const first = await execute(page, form);
        t.ok(first.ok(), `${operationId}: ${first.status()} ${await first.text()}`);
        const second = await execute(page, form);
        const refused = REFUSED_TWICE[operationId];
        if (refused === undefined)
          t.ok(second.ok(), `${operationId} again: ${second.status()} ${await second.text()}`);
        else {
          t.equal(second.status(), refused.status, `${operationId} again: ${refused.because}`);
          t.ok(responses[refused.status], `${operationId} documents ${refused.status}`);
          t.match(problems.pop(), new RegExp(`^${refused.status} `));
        }
        await closeOperation(form);
      }
    },
  );
}

/**
 * The operations whose forms are filled in, which have a body, and some lists: by their tags, with those that delete
 * at the end, because the others need what they delete.
 */
function partsOf(document: OpenApi): Map<string, Operation[]> {
  const operations = operationsOf(document).filter(
    ({ requestBody, operationId }) =>
      // Nothing can be filled in for a key or a token.
      !/^create(Portal)?Session$/.test(operationId) &&
      (requestBody !== undefined || LISTS.includes(operationId)),
  );
  const isDelete = ({ method }: Operation) => method === 'delete';
  return Map.groupBy(
    [...operations.filter((one) => !isDelete(one)), ...operations.filter(isDelete)],
    (one) => (isDelete(one) ? 'deletion' : (one.tags[0] ?? '')),
  );
}

/**
 * Leaves only these operations in the document of the page, without their errors. Swagger UI reads the whole
 * document whenever an operation is opened, which takes half a second of CPU.
 */
async function showOnly(page: Page, operationIds: readonly string[]): Promise<void> {
  await page.route('**/api/docs/json', async (route) => {
    const response = await route.fetch();
    const whole = (await response.json()) as OpenApi;
    const paths: OpenApi['paths'] = {};
    const kept = operationsOf(whole).filter(({ operationId }) =>
      operationIds.includes(operationId),
    );
    for (const { method, path, ...operation } of kept) {
      const answers = Object.entries(operation.responses).filter(([status]) => status < '400');
      const responses = Object.fromEntries(answers);
      paths[path] = { ...paths[path], [method]: { ...operation, responses } };
    }
    await route.fulfill({ response, json: { ...whole, paths } });
  });
}

/** Makes what operations need, and returns the values of the parameters that name it. */
async function makeThings(t: Test, posthorn: TestService): Promise<Record<string, string>> {
  const receiver = await startReceiver(t);
  const make = async (path: string, body: unknown) => {
    const reply = await posthorn.request('POST', path, body);
    if (reply.status >= 300) throw new Error(`${path}: ${reply.status} ${reply.text}`);
    return reply.json;
  };
  // The examples of bodies name the first.
  await make('/v1/subscriptions', { url: receiver.url });
  // A new secret of a key pair does not make /ingest require signatures, as one of HMAC does.
  const subscription = await make('/v1/subscriptions', {
    url: receiver.url,
    signature_scheme: 'ed25519',
  });
  const pulled = await make('/v1/subscriptions', { url: null });
  const eventType = await make('/v1/event-types', { name: 'invoice.paid' });
  const tenant = await make('/v1/tenants', { id: 'globex' });
  const application = await connect(t, posthorn.databaseUrl);
  await application.query('create table public.orders (id integer primary key)');
  const watch = await make('/v1/watches', { table: 'orders' });
  return {
    subscription_id: `${subscription.id}`,
    'acknowledgeDeliveries subscription_id': `${pulled.id}`,
    event_type: eventType.name,
    tenant_id: tenant.id,
    watch_id: `${watch.id}`,
  };
}
