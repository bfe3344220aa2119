// The tables of docs/scaling.md, rendered from the model.
import { type Results, summarise } from '../report/results.ts';
import { type Cost, type Costs, FITTED, findSummary, fitCosts } from './costs.ts';
import { usesOf } from './limits.ts';
import { planFor } from './plan.ts';
import { ASSUMPTIONS, DISK, MACHINE, ORDINARY, PRICES } from './reference.ts';
import { table, whole } from './table.ts';

const RATES = [10, 100, 1_000, 5_000, 11_574, 34_722];
/** Scenarios that the fit does not use, of webhooks with one delivery each. */
const HELD_OUT = [
  ['whole path', 'posthorn'],
  ['sending', 'ingest'],
  ['sending', 'with keys, idempotency and filters'],
  ['many subscriptions', '20,000 subscriptions'],
  ['retries waiting', '2,000,000 retries'],
  ['long history', '10,000,000 attempts'],
  ['long transaction', 'with a long transaction'],
] as const;

export type Tables = Readonly<Record<'costs' | 'checks' | 'plans' | 'limits', string>>;

export function renderTables(results: Results): Tables {
  const costs = fitCosts(results);
  return {
    costs: costsTable(costs),
    checks: checksTable(results, costs),
    plans: plansTable(costs),
    limits: limitsTable(costs),
  };
}

/** A cost that was predicted for a scenario, and what was measured there. */
export interface Check {
  readonly name: string;
  readonly what: string;
  readonly predicted: number;
  readonly measured: number;
}

/** Compares the model with the scenarios that it was fitted to, and with others. */
export function checksOf(
  { measurements }: Results,
  costs: Costs,
): { readonly fitted: readonly Check[]; readonly heldOut: readonly Check[] } {
  const summaries = summarise(measurements);
  const checkSide = (scenario: string, side: string, deliveries: number): Check[] => {
    const { serviceCpu, postgresCpu, walBytes } = findSummary(summaries, scenario, side);
    const name = side === 'posthorn' ? scenario : `${scenario}: ${side}`;
    const check = (what: string, cost: Cost, unit: number, measured: number | null) => {
      const predicted = unit * (cost.perWebhook / deliveries + cost.perDelivery);
      return measured === null ? [] : [{ name, what, predicted, measured }];
    };
    return [
      ...check('CPU of the service, ms', costs.serviceCpu, 1_000, serviceCpu),
      ...check('CPU of Postgres, ms', costs.postgresCpu, 1_000, postgresCpu),
      ...check('WAL, bytes', costs.walBytes, 1, walBytes),
    ];
  };
  return {
    fitted: FITTED.flatMap((side) => checkSide(...side)),
    heldOut: HELD_OUT.flatMap(([scenario, side]) => checkSide(scenario, side, 1)),
  };
}

function costsTable({ serviceCpu, postgresCpu, walBytes, bodyByteCpu }: Costs): string {
  const ms = (seconds: number) => (1_000 * seconds).toFixed(3);
  const mb = (1_000 * bodyByteCpu * 1e6) / 2;
  return table(
    ['', 'a webhook', 'each delivery', 'each further MB of a body, each way'],
    [
      [
        'CPU of the service, ms',
        ms(serviceCpu.perWebhook),
        ms(serviceCpu.perDelivery),
        mb.toFixed(1),
      ],
      [
        'CPU of Postgres, ms',
        ms(postgresCpu.perWebhook),
        ms(postgresCpu.perDelivery),
        mb.toFixed(1),
      ],
      ['WAL, bytes', whole(walBytes.perWebhook), whole(walBytes.perDelivery), '1,000,000'],
      [
        'disk, bytes',
        whole(DISK.perWebhook),
        whole(DISK.perDelivery + DISK.perAttempt),
        '1,000,000',
      ],
    ],
  );
}

function checksTable(results: Results, costs: Costs): string {
  const row = ({ name, what, predicted, measured }: Check) => {
    const digits = what.startsWith('WAL') ? whole : (value: number) => value.toFixed(3);
    return [name, what, digits(predicted), digits(measured), (predicted / measured).toFixed(2)];
  };
  const { fitted, heldOut } = checksOf(results, costs);
  return table(
    ['scenario', 'for each delivery', 'model', 'measured', 'model / measured'],
    [
      ...fitted.map((check) => row({ ...check, name: `fitted: ${check.name}` })),
      ...heldOut.map(row),
    ],
  );
}

function plansTable(costs: Costs): string {
  return table(
    [
      'webhooks a second, at the busiest time',
      'a day',
      'cores: service',
      'Postgres',
      'API + worker processes',
      'connections',
      'WAL MB/s',
      'disk for 30 days, TB',
      'dollars a month: cores',
      'disk',
      'WAL archive',
    ],
    RATES.map((webhooksPerSecond) => {
      const plan = planOf(webhooksPerSecond, costs);
      const cores = (value: number) => (value / ASSUMPTIONS.utilisation).toFixed(2);
      return [
        whole(webhooksPerSecond),
        `${((webhooksPerSecond * 0.0864) / ASSUMPTIONS.peakToAverage).toFixed(1)} million`,
        cores(plan.serviceCores),
        cores(plan.postgresCores),
        `${plan.apiProcesses} + ${plan.workerProcesses}`,
        whole(plan.connections),
        (plan.walBytesPerSecond / 1e6).toFixed(2),
        (plan.diskBytes / 1e12).toFixed(3),
        whole(plan.dollars.cores),
        whole(plan.dollars.disk),
        whole(plan.dollars.walArchive),
      ];
    }),
  );
}

function limitsTable(costs: Costs): string {
  return table(
    ['webhooks a second', 'the primary uses most of', 'then'],
    RATES.map((rate) => {
      const [first, second] = usesOf(planOf(rate, costs), MACHINE, ASSUMPTIONS);
      const say = (use = first) =>
        use === undefined ? '' : `${use.resource} (${Math.round(100 * use.share)} %)`;
      return [whole(rate), say(first), say(second)];
    }),
  );
}

function planOf(webhooksPerSecond: number, costs: Costs) {
  return planFor({ ...ORDINARY, webhooksPerSecond }, costs, DISK, ASSUMPTIONS, PRICES);
}
