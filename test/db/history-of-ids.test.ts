import t from 'tap';
import { historyOf } from '../../src/db/history-of-ids.ts';
import { type IdRange, mergeRanges } from '../../src/db/live-history.ts';
import { floorOf } from '../../src/db/uuidv7.ts';

const DAY_MS = 86_400_000;
const NOW = Date.parse('2026-11-28T20:00:00Z');

const idAt = (ms: number) =>
  `${floorOf(new Date(ms)).slice(0, 14)}7abc-9def-${Math.floor(Math.random() * 2 ** 48)
    .toString(16)
    .padStart(12, '0')}`;

/** The ranges that a condition names, as pairs of ids. */
function rangesOf(condition: string): [from: string, below: string | undefined][] {
  return condition.split(' or ').map((range) => {
    const [from = '', below] = [...range.matchAll(/'([0-9a-f-]{36})'::uuid/g)].map(([, id]) => id);
    return [from, below];
  });
}

const isIn = (id: string, condition: string) =>
  rangesOf(condition).some(([from, below]) => id >= from && (below === undefined || id < below));

/** The days of a condition, each counted. */
const daysIn = (condition: string) =>
  rangesOf(condition).reduce((sum, [from, below]) => {
    const ms = (id: string) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
    return sum + (ms(below as string) - ms(from)) / DAY_MS;
  }, 0);

t.test('each webhook is of the days that its statement names, whatever their ages', async (t) => {
  for (let round = 0; round < 2_000; round++) {
    const oldest = Math.random() ** 3 * 1_000;
    const ids = Array.from({ length: 1 + Math.floor(Math.random() * 30) }, () =>
      idAt(NOW + DAY_MS - Math.random() * oldest * DAY_MS),
    );
    const condition = historyOf(ids, NOW).where('id');
    const outside = ids.filter((id) => !isIn(id, condition));
    if (outside.length > 0) t.fail(`${outside} is not in ${condition}`);
  }
  for (const id of ['ffffffff-ffff-ffff-ffff-ffffffffffff', '00000000-0000-0000-0000-000000000000'])
    t.ok(isIn(id, historyOf([id], NOW).where('id')), id);
});

t.test('recent webhooks share few prepared statements, of few days', async (t) => {
  const names = new Set<string | undefined>();
  const texts = new Map<string | undefined, string>();
  for (let round = 0; round < 5_000; round++) {
    const oldest = Math.random() * 7;
    const ids = Array.from({ length: 1 + Math.floor(Math.random() * 10) }, () =>
      idAt(NOW - Math.random() * oldest * DAY_MS),
    );
    const { where, named } = historyOf(ids, NOW);
    const { name } = named('load');
    names.add(name);
    const text = texts.get(name) ?? where('id');
    texts.set(name, text);
    if (where('id') !== text) t.fail(`${name} has two texts`);
    if (daysIn(text) > 10) t.fail(`${daysIn(text)} days`);
  }
  t.notOk(names.has(undefined));
  t.ok(names.size <= 8, `${names.size} names`);
  t.equal(daysIn(historyOf([idAt(NOW)], NOW).where('id')), 3, 'yesterday, today and tomorrow');
});

t.test(
  'old webhooks are looked for on their own days only, without a kept statement',
  async (t) => {
    for (const ages of [
      [8],
      [900],
      [900, 8, 7.9],
      [0, 400],
      Array.from({ length: 40 }, (_, n) => n * 20),
    ]) {
      const { where, named } = historyOf(
        ages.map((age) => idAt(NOW - age * DAY_MS)),
        NOW,
      );
      t.strictSame(named('load'), {});
      t.ok(daysIn(where('id')) <= ages.length, `${daysIn(where('id'))} days for ${ages.length}`);
    }
  },
);

t.test('the union of ranges has what each of them has, and no two that touch', async (t) => {
  const day = (n: number | null) =>
    n === null ? null : floorOf(new Date(NOW + Math.floor(n) * DAY_MS));
  const has = (ranges: readonly IdRange[], id: string) =>
    ranges.some(({ from, below }) => (from ?? '') <= id && (below === null || id < below));
  for (let round = 0; round < 1_000; round++) {
    const ranges = Array.from({ length: 1 + Math.floor(Math.random() * 8) }, () => {
      const from = Math.random() * 40;
      return {
        from: day(Math.random() < 0.1 ? null : from),
        below: day(Math.random() < 0.1 ? null : from + 1 + Math.random() * 9),
      };
    });
    const merged = mergeRanges(ranges);
    for (let n = -1; n < 60; n++) {
      const id = day(n) as string;
      if (has(merged, id) !== has(ranges, id)) t.fail(`${JSON.stringify({ ranges, merged, id })}`);
    }
    const touching = merged.some(
      ({ from }, n) => n > 0 && !((merged[n - 1]?.below ?? 'z') < (from ?? '')),
    );
    if (touching) t.fail(JSON.stringify({ ranges, merged }));
  }
});
