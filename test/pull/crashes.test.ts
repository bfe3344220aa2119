// Several pullers of one subscription with strict order that acknowledge, report failures, give back, or vanish with
// what they have: whatever they do, every webhook is delivered, each key in order, and attempts have no gaps.
import fc from 'fast-check';
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { subscribeAs } from '../helpers/health.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const KEYS = 6;
const WEBHOOKS = 60;
const PULLERS = 4;
/** What a puller does with a delivery. To vanish is to keep it until its lease ends. */
const DEEDS = ['delivered', 'delivered', 'failed', 'released', 'vanish'] as const;

t.test('pullers that crash lose nothing, and keep the order of each key', async (t) => {
  // More attempts than bad luck takes, so that no delivery fails for good.
  const posthorn = await startTestService(t, {
    POSTHORN_RETRY_SCHEDULE: 'exponential(base=20ms,factor=1,max=20ms,attempts=60)',
  });
  const client = await connect(t, posthorn.databaseUrl);
  await fc.assert(
    fc.asyncProperty(
      fc.infiniteStream(fc.constantFrom(...DEEDS)),
      fc.nat(),
      async (deeds, seed) => {
        const type = `order.s${seed}`;
        const id = await subscribeAs(posthorn, {
          url: null,
          ordering: 'strict',
          event_types: [type],
          max_in_flight: 5,
        });
        for (let n = 0; n < WEBHOOKS; n++) {
          const { status } = await posthorn.request('POST', '/v1/webhooks', {
            event_type: type,
            data: { n },
            ...(n % KEYS === 0 ? {} : { ordering_key: `key ${n % KEYS}` }),
          });
          t.equal(status, 202);
        }
        /** The numbers that were acknowledged as delivered, by key, in the order of the acknowledgements. */
        const delivered = new Map<number, number[]>();
        const atOnce = new Map<number, number>();
        let recorded = 0;

        async function puller(): Promise<void> {
          while (recorded < WEBHOOKS) {
            const { json } = await posthorn.request(
              'GET',
              `/v1/subscriptions/${id}/pull?batch=3&wait=500ms&lease=1s`,
            );
            for (const { body, token } of json.deliveries) {
              const { n } = JSON.parse(body).data;
              const key = n % KEYS;
              const deed = deeds.next().value ?? 'delivered';
              if (deed === 'vanish') continue;
              const before = atOnce.get(key);
              const reply = await posthorn.request('POST', `/v1/subscriptions/${id}/acknowledge`, {
                results: [{ token, result: deed }],
              });
              // On a busy machine its lease may have ended, and then another puller has it.
              if (deed !== 'delivered' || reply.json.recorded === 0) continue;
              if (before !== undefined && before >= n) throw new Error(`${n} came after ${before}`);
              atOnce.set(key, n);
              delivered.set(key, [...(delivered.get(key) ?? []), n]);
              recorded += 1;
            }
          }
        }
        await Promise.all(Array.from({ length: PULLERS }, puller));

        for (const [key, numbers] of delivered)
          t.strictSame(
            numbers,
            Array.from({ length: WEBHOOKS / KEYS }, (_, nth) => key + nth * KEYS),
            `key ${key} in order, each once`,
          );
        const { rows } = await client.query(
          `select count(*)::integer as gaps from (
           select d.attempt_count, count(a.attempt_number) as recorded, max(a.attempt_number) as last,
             count(*) filter (where a.status = 'success') as successes, d.state
           from posthorn.deliveries d
           join posthorn.delivery_attempts a using (webhook_id, subscription_id)
           where d.subscription_id = $1
           group by d.webhook_id, d.subscription_id
         ) as each
         where attempt_count <> recorded or attempt_count <> last or successes <> 1 or state <> 'succeeded'`,
          [id],
        );
        t.equal(rows[0].gaps, 0, 'attempts have no gaps');
        const left = await until('no lease is left', async () => {
          const { rowCount } = await client.query(
            'select from posthorn.leases where subscription_id = $1',
            [id],
          );
          return rowCount === 0;
        });
        t.ok(left);
      },
    ),
    { numRuns: 2, endOnFailure: true },
  );
});
