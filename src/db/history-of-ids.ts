import { historyIn } from './live-history.ts';
import { bounds } from './planner.ts';
import { floorOf, msOfId } from './uuidv7.ts';

const DAY_MS = 86_400_000;
/** Most webhooks that are sent are of these days, and retries end within them. */
const RECENT_DAYS = 7;
/** Kept results for recent days: each group of deliveries needs one two or three times, nearly always for the same days. */
const recent = new Map<string, HistoryOfIds>();
/** The last day whose end a UUIDv7 can say. */
const LAST_DAY = Math.floor((2 ** 48 - 1) / DAY_MS) - 1;

/** The days of webhooks, for statements that find rows by the ids of webhooks. */
export interface HistoryOfIds {
  /** SQL condition: a column with the id of a webhook is of these days. */
  where(column: string): string;
  /**
   * The name of a prepared statement with the condition, as a part of its description. None if it is about days that are
   * long past: these are many, a connection would keep a plan for each, and few statements ask for the same ones. Such a
   * statement is planned each time, for a partition or two.
   */
  named(name: string): { readonly name?: string };
}

/**
 * Returns the days of these webhooks, to be named as constants: Postgres locks every partition that a plan names,
 * whatever its parameters are, and so plans and locks only these. *Measured* with a thousand partitions: a group of
 * deliveries costs as much as with ten, where a plan for any ids took 1 to 3 ms more each time, and seconds to make.
 *
 * The recent days are extended up to tomorrow, so that few statements are prepared: at most one for each of them.
 *
 * @param ids of webhooks, at least one; they must compare as their text does.
 */
export function historyOf(ids: readonly string[], now = Date.now()): HistoryOfIds {
  const today = dayOf(now);
  const [least, greatest] = bounds(ids).map((id) => dayOf(msOfId(id))) as [number, number];
  if (least >= today - RECENT_DAYS && greatest <= today + 1)
    return recentDays(Math.min(least, today - 1), today);
  const days = [...new Set(ids.map((id) => dayOf(msOfId(id))))].sort((a, b) => a - b);
  const { where } = historyIn(
    days.map((day) => ({ from: startOf(day), below: day > LAST_DAY ? null : startOf(day + 1) })),
    days.length,
  );
  return { where, named: () => ({}) };
}

function recentDays(first: number, today: number): HistoryOfIds {
  const key = `${first} ${today}`;
  const known = recent.get(key);
  if (known !== undefined) return known;
  if (recent.size > RECENT_DAYS) recent.clear();
  const { where } = historyIn([{ from: startOf(first), below: startOf(today + 2) }]);
  const days: HistoryOfIds = { where, named: (name) => ({ name: `${name} ${key}` }) };
  recent.set(key, days);
  return days;
}

const dayOf = (ms: number) => Math.floor(ms / DAY_MS);
const startOf = (day: number) => floorOf(new Date(day * DAY_MS));
