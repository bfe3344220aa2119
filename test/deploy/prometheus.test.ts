import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { createTestDatabase } from '../helpers/database.ts';
import { hasPrometheus, promtool, startPrometheus } from '../helpers/prometheus.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const DEPLOY = join(dirname(import.meta.dirname), '..', 'deploy');
const RULES = join(DEPLOY, 'prometheus', 'alerts.yml');
const skip = hasPrometheus() ? false : 'Prometheus is not here, and cannot be installed';

interface Rules {
  readonly groups: readonly { rules: readonly { alert: string; expr: string }[] }[];
}

interface Board {
  readonly panels: readonly { title: string; targets?: readonly { expr: string }[] }[];
}

/** The expressions of the alerts and of the board, by where they are. */
function expressions(): Map<string, string> {
  const { groups } = parse(readFileSync(RULES, 'utf8')) as Rules;
  const { panels } = JSON.parse(
    readFileSync(join(DEPLOY, 'grafana', 'posthorn.json'), 'utf8'),
  ) as Board;
  const alerts = groups.flatMap(({ rules }) =>
    rules.map(({ alert, expr }) => [alert, expr] as const),
  );
  const queries = panels.flatMap(({ title, targets = [] }) =>
    targets.map(
      ({ expr }, n) =>
        // What Grafana puts in.
        [
          `${title} (${n + 1})`,
          expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', '.*'),
        ] as const,
    ),
  );
  return new Map([...alerts, ...queries]);
}

t.test(
  'the alerts are as Prometheus wants them, and tell what they promise',
  { skip },
  async (t) => {
    t.match(await promtool(['check', 'rules', RULES]), /SUCCESS/);
    t.match(
      await promtool(['test', 'rules', join(DEPLOY, 'prometheus', 'alerts.test.yml')]),
      /SUCCESS/,
    );
  },
);

t.test('the metrics follow the conventions of Prometheus', { skip }, async (t) => {
  const receiver = await startReceiver(t);
  const databaseUrl = await createTestDatabase(t);
  const posthorn = await startTestService(t, {
    DATABASE_URL: databaseUrl,
    POSTHORN_REPORTING_URL: databaseUrl,
  });
  await posthorn.ingest(await posthorn.subscribe(`${receiver.url}/hook`));
  const { text } = await posthorn.request('GET', '/metrics');
  t.equal(await promtool(['check', 'metrics'], text), '');
});

t.test('every alert and panel asks for series that the service has', { skip }, async (t) => {
  const receiver = await startReceiver(t);
  const databaseUrl = await createTestDatabase(t);
  // Its own database is as fresh as any replica.
  const posthorn = await startTestService(t, {
    DATABASE_URL: databaseUrl,
    POSTHORN_REPORTING_URL: databaseUrl,
  });
  const id = await posthorn.subscribe(`${receiver.url}/hook`);
  const prometheus = await startPrometheus(t, [posthorn.url]);
  await until('attempts are scraped twice, and so have a rate', async () => {
    await posthorn.ingest(id);
    const [rate] = await prometheus.query('sum(rate(posthorn_attempts_total[1m])) > 0');
    return rate !== undefined;
  });
  const asked = expressions();
  t.ok(asked.size > 30);
  for (const [where, expression] of asked) {
    await prometheus.query(expression);
    const metrics = expression.match(/\b(?:posthorn_|process_|nodejs_)\w+|\bup(?=\{)/g) ?? [];
    t.ok(metrics.length > 0, `${where} asks for a metric`);
    for (const metric of metrics)
      t.ok((await prometheus.query(metric)).length > 0, `${where}: there is ${metric}`);
  }
});
