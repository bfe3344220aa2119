import t from 'tap';
import { listOperations } from '../helpers/operations.ts';
import { startTestService } from '../helpers/service.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };

/** What is in it is no secret, and who asks may have no key: load balancers, Prometheus, a person who signs in. */
const OPEN = [
  ...['/healthz', '/metrics', '/ping', '/readyz'],
  ...['/v1/catalogue', '/v1/session', '/v1/session/portal'],
];
/** All that a key can have without having that one. */
const WITHOUT: Record<string, string[]> = {
  read: ['send', 'pull'],
  send: ['manage', 'read'],
  pull: ['send', 'read'],
  manage: ['send', 'read', 'pull'],
  admin: ['manage', 'send', 'pull', 'read'],
};

t.test('every operation needs a scope, and refuses a key without that scope', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY });
  const keys = new Map<string, string>();
  for (const [lacking, scopes] of Object.entries(WITHOUT)) {
    const { json } = await posthorn.request('POST', '/v1/keys', { scopes }, admin);
    keys.set(lacking, json.key);
  }
  const operations = await listOperations(posthorn);
  t.ok(operations.length >= 20);
  for (const { method, path, scope, example } of operations) {
    // Of which there are none, so that nothing is lost by asking.
    const at = path.replaceAll(/\{\w+\}/g, '77001');
    const name = `${method} ${path}`;
    if (scope === null) {
      t.ok(OPEN.includes(path), `${name} may be called by anybody`);
      continue;
    }
    t.ok(scope in WITHOUT, `${name} needs the scope ${scope}`);
    t.equal((await posthorn.request(method, at, example)).status, 401, `${name} without a key`);
    const lacking = await posthorn.request(method, at, example, {
      authorization: `Bearer ${keys.get(scope)}`,
    });
    t.equal(lacking.status, 403, `${name} with any key but one for ${scope}: ${lacking.text}`);
    t.match(lacking.json, {
      type: 'urn:posthorn:problem:forbidden',
      detail: `the scope "${scope}"`,
    });
    const { status } = await posthorn.request(method, at, example, admin);
    t.notOk([401, 403].includes(status), `${name} with the admin key`);
  }
});
