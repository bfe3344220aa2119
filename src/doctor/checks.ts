import type pg from 'pg';
import type { Settings } from '../config/settings.ts';
import { isLoopback } from '../config/settings.ts';
import { migrationStatus } from '../db/migrate.ts';
import { findPooling } from '../db/pooling.ts';
import { MAX_COUNTED } from '../metrics/queue-counts.sql.ts';

/** The result of a check. */
export interface Finding {
  readonly check: string;
  /** `problem`: something does not work, or will not. `warning`: it works, but you may not want it so. */
  readonly status: 'ok' | 'warning' | 'problem';
  readonly text: string;
  /** What to do; null if all is well. */
  readonly advice: string | null;
}

/** What the checks look at. */
export interface Patient {
  readonly settings: Settings;
  readonly databaseUrl: string;
  readonly client: pg.Client;
}

type Check = (patient: Patient) => Promise<Omit<Finding, 'check'>> | Omit<Finding, 'check'>;

const ok = (text: string) => ({ status: 'ok', text, advice: null }) as const;
const warning = (text: string, advice: string) => ({ status: 'warning', text, advice }) as const;
const problem = (text: string, advice: string) => ({ status: 'problem', text, advice }) as const;

/** Deliveries wait a moment for a worker, and after an outage a little longer. */
const LATE_SECONDS = 60;
/** Signatures carry a time, which receivers accept if it is not five minutes off. */
const CLOCK_MS = 30_000;
const WORKER_SEEN_SECONDS = 30;
/** A key of so many different characters and this length has some 100 bits, if it is random. */
const KEY_LENGTH = 20;
const KEY_CHARACTERS = 10;
/** Partitions are made for a week ahead. With less than this, making them has failed for days. */
const DAYS_AHEAD = 3;
const GIB = 1024 ** 3;

/** The checks by name, in the order in which they are run. A check is not run after one that it builds on. */
const CHECKS: Readonly<Record<string, Check>> = {
  async 'Postgres version'({ client }) {
    const version = await one<string>(client, 'show server_version');
    const number = Number(await one<string>(client, 'show server_version_num'));
    if (number < 150_000)
      return problem(`Postgres ${version} is too old.`, 'Upgrade to Postgres 15 or newer.');
    return ok(`Postgres ${version}`);
  },

  async pooler({ databaseUrl, settings }) {
    const pooling = await findPooling(databaseUrl);
    if (pooling === 'session') return ok('Each connection has a session of its own.');
    if (pooling === 'transaction' && settings.role === 'api')
      return warning(
        'A pooler shares the sessions of Postgres.',
        'It works for POSTHORN_ROLE=api; changes by other processes take effect within a second.',
      );
    return problem(
      `A pooler gives out sessions for a ${pooling} each.`,
      'Give workers a DATABASE_URL that leads to Postgres itself, or to a pool with pool_mode=session.',
    );
  },

  async durability({ client }) {
    const off: string[] = [];
    for (const setting of ['fsync', 'full_page_writes'])
      if ((await one<string>(client, `show ${setting}`)) !== 'on') off.push(setting);
    if (off.length > 0)
      return problem(
        `A crash of the machine may destroy the database: ${off.join(' = off, ')} = off.`,
        'Turn it on in postgresql.conf.',
      );
    return ok('A committed webhook survives a crash.');
  },

  async clock({ client }) {
    const before = Date.now();
    const there = Number(
      await one<string>(client, 'select extract(epoch from clock_timestamp()) * 1000'),
    );
    const apartMs = Math.abs(there - (before + Date.now()) / 2);
    if (apartMs > CLOCK_MS)
      return problem(
        `The clocks of this machine and of Postgres are ${Math.round(apartMs / 1000)} s apart.`,
        'Run an NTP client on both: receivers refuse signatures with a wrong time.',
      );
    return ok(`The clocks are less than ${Math.max(1, Math.ceil(apartMs / 1000))} s apart.`);
  },

  async migrations({ databaseUrl }) {
    const { migrations, changed } = await migrationStatus(databaseUrl);
    const missing = migrations.filter(({ appliedAt }) => appliedAt === null);
    if (missing.length + changed.length > 0)
      return problem(
        `The database is not of this version: ${missing.length} migrations and ${changed.length} functions or views are not applied.`,
        'Run posthorn migrate, or start the service.',
      );
    return ok('The database is of this version.');
  },

  async partitions({ client }) {
    const days = Number(
      await one<string>(
        client,
        `select coalesce(extract(epoch from max(until_at) - now()) / 86400, 0)
         from posthorn.list_partitions() where parent = 'deliveries'`,
      ),
    );
    if (days < DAYS_AHEAD)
      return problem(
        `There are partitions for ${Math.max(0, days).toFixed(1)} more days; without one, no webhook is accepted.`,
        'Start a worker, and look at posthorn_loop_failing{loop="make_partitions"}.',
      );
    return ok(`There are partitions for the next ${Math.floor(days)} days.`);
  },

  async workers({ client }) {
    const workers = Number(
      await one<string>(
        client,
        `select count(*) from posthorn.workers
         where seen_at > clock_timestamp() - interval '${WORKER_SEEN_SECONDS} seconds'`,
      ),
    );
    if (workers === 0)
      return problem('No worker is alive, so nothing is delivered.', 'Run posthorn start.');
    return ok('Workers are alive.');
  },

  async queue({ client }) {
    const late = Number(
      await one<string>(
        client,
        `select count(*) from (
           select from posthorn.deliveries
           where state = 'pending' and next_attempt_at < now() - interval '${LATE_SECONDS} seconds'
           limit ${MAX_COUNTED}) late`,
      ),
    );
    if (late > 0)
      return problem(
        `${late} deliveries have been due for more than ${LATE_SECONDS} s.`,
        'Add workers, or look at GET /readyz and the log of those that run.',
      );
    return ok('No delivery is late.');
  },

  async receivers({ client }) {
    const disabled = Number(
      await one<string>(
        client,
        `select count(*) from posthorn.subscriptions where status = 'disabled' and deleted_at is null`,
      ),
    );
    const open = Number(
      await one<string>(
        client,
        'select count(*) from posthorn.circuits where opened_at is not null',
      ),
    );
    if (disabled + open > 0)
      return warning(
        `${open} subscriptions get only probes, and ${disabled} are disabled, because their receivers fail.`,
        'posthorn subscriptions list, and GET /v1/subscriptions/{id}/health say which and why.',
      );
    return ok('No circuit is open, and no subscription is disabled.');
  },

  async disk({ client }) {
    const bytes = Number(await one<string>(client, 'select pg_database_size(current_database())'));
    return ok(`The database takes ${(bytes / GIB).toFixed(2)} GiB.`);
  },

  'replication identity': async ({ client }) => {
    // Updates of a table in a publication fail if Postgres cannot tell its rows apart.
    const tables = await one<string | null>(
      client,
      `select string_agg(distinct c.relname, ', ')
       from pg_publication_tables p
       join pg_class c on c.relname = p.tablename and c.relnamespace = p.schemaname::regnamespace
       where p.schemaname = 'posthorn' and c.relreplident in ('d', 'n')
         and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)`,
    );
    if (tables !== null)
      return problem(
        `A publication has tables without a replica identity: ${tables}. Their updates fail.`,
        'Take them out of the publication, or run alter table … replica identity full.',
      );
    return ok('No publication hinders updates.');
  },

  access({ settings }) {
    const { adminKey, host } = settings;
    if (adminKey === undefined)
      return isLoopback(host)
        ? warning('The API is open to all programs of this machine.', SET_A_KEY)
        : problem('The API is open to everybody who reaches it.', SET_A_KEY);
    if (adminKey.length < KEY_LENGTH || new Set(adminKey).size < KEY_CHARACTERS)
      return problem('POSTHORN_ADMIN_KEY can be guessed.', SET_A_KEY);
    return ok('The API asks for keys.');
  },

  secrets({ settings }) {
    if (settings.encryptionKeys.length === 0)
      return warning(
        'Secrets of subscriptions are stored in plain text.',
        'Set POSTHORN_ENCRYPTION_KEY (openssl rand -base64 32), then run posthorn keys rotate-encryption.',
      );
    return ok('Secrets of subscriptions are encrypted.');
  },

  'address guard'({ settings }) {
    if (settings.inForce.some(({ name, value }) => name === 'POSTHORN_ALLOW_NETWORKS' && value))
      return warning(
        'POSTHORN_ALLOW_NETWORKS lets webhooks reach private addresses.',
        'Whoever may create a subscription can send requests there. Unset it, unless it is meant so.',
      );
    return ok('Webhooks cannot reach private addresses.');
  },
};

const SET_A_KEY = 'Set POSTHORN_ADMIN_KEY to a random text: openssl rand -base64 32.';

/** Runs all checks. A check that fails itself is a problem, with the error as its text. */
export async function examine(patient: Patient): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [check, run] of Object.entries(CHECKS)) {
    try {
      findings.push({ check, ...(await run(patient)) });
    } catch (error) {
      findings.push({
        check,
        ...problem(
          `It cannot be found out: ${(error as Error).message}`,
          'See the problems above.',
        ),
      });
    }
  }
  return findings;
}

async function one<T>(client: pg.Client, sql: string): Promise<T> {
  const { rows } = await client.query<Record<string, T>>(sql);
  return Object.values(rows[0] as Record<string, T>)[0] as T;
}
