import type { Test } from 'tap';
import { connect } from './database.ts';
import { until } from './until.ts';

const LOCK = 4711;

/** Keeps the statements that accept webhooks from committing, as a disk that hangs does. */
export interface AcceptGate {
  close(): Promise<void>;
  open(): Promise<void>;
  /** Waits until so many statements have done everything but commit. */
  untilWaiting(statements: number): Promise<void>;
}

/** Creates a gate in a database. It is open until it is closed. */
export async function createAcceptGate(t: Test, databaseUrl: string): Promise<AcceptGate> {
  const holding = await connect(t, databaseUrl);
  const looking = await connect(t, databaseUrl);
  await holding.query(`
    create function public.wait_at_gate() returns trigger language plpgsql as $$
      begin
        perform pg_catalog.pg_advisory_xact_lock_shared(${LOCK});
        return null;
      end $$;
    create trigger wait_at_gate after insert on posthorn.deliveries
      for each statement execute function public.wait_at_gate();`);
  return {
    close: async () => void (await holding.query(`select pg_advisory_lock(${LOCK})`)),
    open: async () => void (await holding.query(`select pg_advisory_unlock(${LOCK})`)),
    async untilWaiting(statements) {
      await until(`${statements} statements wait`, async () => {
        const { rowCount } = await looking.query(
          `select from pg_stat_activity
           where datname = current_database() and wait_event = 'advisory' and query like '%posthorn.accept%'`,
        );
        return rowCount === statements;
      });
    },
  };
}
