import { HostClient, type HostClientConfig } from './host-client.ts';
import { settingsSql } from './session-settings.ts';

type Query = (...args: unknown[]) => Promise<unknown>;
type Callback = (error: unknown, result?: unknown) => void;

const BEGINS = /^\s*(begin|start transaction)\b/i;
const ENDS = /^\s*(commit|rollback)\s*;?\s*$/i;

/**
 * Returns a class of clients for a pooler that gives each transaction another session:
 *
 * - Each transaction sets its own settings, since those of a session would be left to strangers. A statement
 *   outside of a transaction gets one for itself.
 * - Statements are not named, since the next session would not know them. (PgBouncer knows them from 1.21 on, if
 *   it is set so; without names it does not matter.)
 *
 * A statement then takes three round trips to the pooler instead of one.
 */
export function clientInTransactions(
  settings: Readonly<Record<string, string>>,
): typeof HostClient {
  const begin = `begin isolation level read committed; ${settingsSql('transaction', settings)}`;
  return class extends HostClient {
    constructor(config?: string | HostClientConfig) {
      super(config);
      this.query = runInTransactions(super.query.bind(this) as Query, begin) as typeof this.query;
    }
  };
}

/** Wraps a client's `query`. Like that, it takes a callback, or returns a promise. */
function runInTransactions(query: Query, begin: string): (...args: unknown[]) => unknown {
  let isOpen = false;

  /** Begins a transaction with its settings, or none. */
  async function beginWithSettings(): Promise<unknown> {
    try {
      return await query(begin);
    } catch (error) {
      await rollBack();
      throw error;
    }
  }

  // If it fails, so does the connection, and the caller learns the first error.
  const rollBack = () => query('rollback').catch(() => {});

  async function run([asked, ...others]: unknown[]): Promise<unknown> {
    const text = textOf(asked);
    if (BEGINS.test(text)) {
      const begun = await beginWithSettings();
      isOpen = true;
      return begun;
    }
    const statement = typeof asked === 'object' ? { ...asked, name: undefined } : asked;
    if (ENDS.test(text)) isOpen = false;
    else if (!isOpen) return await alone([statement, ...others]);
    return await query(statement, ...others);
  }

  async function alone(args: unknown[]): Promise<unknown> {
    await beginWithSettings();
    let result: unknown;
    try {
      result = await query(...args);
    } catch (error) {
      await rollBack();
      throw error;
    }
    await query('commit');
    return result;
  }

  return (...args) => {
    const callback = args.at(-1);
    if (typeof callback !== 'function') return run(args);
    run(args.slice(0, -1)).then(
      (result) => (callback as Callback)(null, result),
      (error: unknown) => (callback as Callback)(error),
    );
  };
}

function textOf(asked: unknown): string {
  return typeof asked === 'string' ? asked : ((asked as { text?: string }).text ?? '');
}
