import assert from 'node:assert/strict';
import fc from 'fast-check';
import pg from 'pg';
import t from 'tap';
import {
  type CircuitRow,
  type Circuits,
  reportAnswer,
  reportFailure,
  reportSuccess,
} from '../../bench/simulation/circuit-rules.ts';
import {
  type CircuitTimes,
  type FailureReport,
  reportAnswers,
  reportFailures,
  reportSuccesses,
} from '../../src/health/circuits.sql.ts';
import { createTestDatabase } from '../helpers/database.ts';

const TIMES: CircuitTimes = {
  openFailures: 10,
  openOverMs: 5_000,
  firstProbeMs: 5_000,
  maxProbeMs: 300_000,
  disableAfterMs: null,
};

type Event =
  | { readonly kind: 'failure'; readonly report: Omit<FailureReport, 'subscriptionId'> }
  | { readonly kind: 'success' | 'answer' }
  | { readonly kind: 'wait'; readonly ms: number };

const report = fc
  .record({
    failures: fc.integer({ min: 1, max: 8 }),
    downShare: fc.constantFrom(0, 0.5, 1, 1, 1),
    downMs: fc.integer({ min: 0, max: 20_000 }),
    moreMs: fc.integer({ min: 0, max: 20_000 }),
    open: fc.constantFrom(false, false, true),
    pauseMs: fc.option(fc.integer({ min: 1, max: 600_000 }), { freq: 4 }),
    probe: fc.boolean(),
  })
  .map(({ downShare, moreMs, ...rest }) => ({
    ...rest,
    down: Math.floor(rest.failures * downShare),
    sinceMs: rest.downMs + moreMs,
    gone: false,
    errorCode: 'refused',
    error: null,
  }));

const history: fc.Arbitrary<Event[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: report.map((report): Event => ({ kind: 'failure', report })) },
    { weight: 1, arbitrary: fc.constantFrom<Event>({ kind: 'success' }, { kind: 'answer' }) },
    {
      weight: 4,
      arbitrary: fc.integer({ min: 1, max: 400_000 }).map((ms): Event => ({ kind: 'wait', ms })),
    },
  ),
  { minLength: 1, maxLength: 15 },
);

t.test('the simulation opens and closes circuits as the SQL functions do', async (t) => {
  const url = await createTestDatabase(t);
  // One connection in one transaction, in which now() stands still: waiting moves the row's times back.
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  t.teardown(() => pool.end());
  const { rows } = await pool.query(
    "insert into posthorn.subscriptions (url) values ('https://a.example') returning id",
  );
  const subscriptionId: number = rows[0].id;

  const readRow = async (): Promise<(CircuitRow & { circuitOpen: boolean }) | null> => {
    const { rows } = await pool.query(
      `select s.circuit_open, c.*,
        ${['failing_since', 'down_since', 'opened_at', 'probe_at']
          .map(
            (column) =>
              `round(extract(epoch from c.${column} - now()) * 1000)::float8 as ${column}_ms`,
          )
          .join(', ')}
      from posthorn.subscriptions s left join posthorn.circuits c on c.subscription_id = s.id
      where s.id = $1`,
      [subscriptionId],
    );
    const [row] = rows;
    if (row.subscription_id === null) {
      assert.ok(!row.circuit_open);
      return null;
    }
    return {
      failures: row.failures,
      down: row.down,
      failingSince: row.failing_since_ms,
      downSince: row.down_since_ms,
      openedAt: row.opened_at_ms,
      probeAt: row.probe_at_ms,
      probeIntervalMs: row.probe_interval_ms,
      circuitOpen: row.circuit_open,
    };
  };

  /** Both do the same; the jitter of the function is found by what it did. */
  async function follow(events: Event[]): Promise<void> {
    const circuits: Circuits = new Map();
    let now = 0;
    for (const event of events) {
      if (event.kind === 'wait') {
        now += event.ms;
        const back = ['failing_since', 'down_since', 'opened_at', 'probe_at']
          .map((column) => `${column} = ${column} - $2 * interval '1 millisecond'`)
          .join(', ');
        await pool.query(`update posthorn.circuits set ${back} where subscription_id = $1`, [
          subscriptionId,
          event.ms,
        ]);
        continue;
      }
      const before = structuredClone(circuits);
      if (event.kind === 'failure') {
        const given = { ...event.report, subscriptionId };
        const { opened } = await reportFailures(pool, [given], TIMES);
        const row = await readRow();
        const attempts = [0, 0.5, 1].map((random) => {
          const circuits = structuredClone(before);
          const modelOpened = reportFailure(circuits, given, TIMES, now, random);
          return { modelOpened, row: circuits.get(subscriptionId) as CircuitRow };
        });
        const [least, , most] = attempts.map(({ row }) => row.probeAt);
        const model = attempts[0] as (typeof attempts)[number];
        assert.equal(opened.length === 1, model.modelOpened);
        const probeAt = row?.probeAt == null ? null : row.probeAt + now;
        if (probeAt !== null)
          assert.ok(
            probeAt >= (least ?? 0) - 1 && probeAt <= (most ?? 0) + 1,
            `${least} <= ${probeAt} <= ${most}`,
          );
        circuits.set(subscriptionId, { ...model.row, probeAt });
      } else {
        const [ask, model] =
          event.kind === 'success'
            ? [reportSuccesses, reportSuccess]
            : [reportAnswers, reportAnswer];
        assert.equal(
          (await ask(pool, [subscriptionId])).length === 1,
          model(circuits, subscriptionId),
        );
      }
      const row = await readRow();
      const model = circuits.get(subscriptionId);
      assert.equal(row === null, model === undefined);
      if (row === null || model === undefined) continue;
      assert.equal(row.circuitOpen, model.openedAt !== null);
      for (const name of ['failures', 'down', 'probeIntervalMs'] as const)
        assert.equal(row[name], model[name], name);
      for (const name of ['failingSince', 'downSince', 'openedAt', 'probeAt'] as const) {
        const its: number | null = row[name];
        const ours: number | null = model[name];
        assert.equal(its === null, ours === null, name);
        assert.ok(
          its === null || Math.abs(its + now - (ours ?? 0)) <= 1,
          `${name}: ${its} + ${now}, ${ours}`,
        );
      }
    }
  }

  await fc.assert(
    fc.asyncProperty(history, async (events) => {
      await pool.query('begin');
      try {
        await follow(events);
      } finally {
        await pool.query('rollback');
      }
    }),
    { numRuns: 60 },
  );
});
