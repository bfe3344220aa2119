import t from 'tap';
import {
  AT_MOST,
  attempt,
  createClient,
  LATEST_MS,
  LONG_MS,
  SHORT_MS,
  startHostile,
} from '../helpers/hostile.ts';
import { CASES, type Case } from './answer-table/cases.ts';
import { createTableServer } from './answer-table/serve.ts';
import { type Recorded, rawHash, readVerdicts } from './answer-table/verdicts.ts';

const { cases: verdicts } = readVerdicts();
const verdictsOf = ({ name }: Case) => verdicts[name] as Recorded;
const AT_ONCE = 16;

/** Where we read something else than a judge does, and why. */
const DEVIATIONS: Readonly<Record<string, { readonly status: number; readonly why: string }>> = {
  'status line: a status with an underscore': {
    status: 0,
    why: "2_00 is a number in Python's own spelling of numbers, and in nobody else's",
  },
  'status line: a status of 99': {
    status: 0,
    why: 'Go takes any three characters that are a number; statuses begin with 100 (RFC 9110, 15)',
  },
};

/** The status that most of the judges read who read any, and 0 where none does. */
function statusOf(one: Case): number {
  const deviation = DEVIATIONS[one.name];
  if (deviation !== undefined) return deviation.status;
  const { curl, go, python } = verdictsOf(one);
  if (curl === go || curl === python) return curl || go || python;
  return go === python ? go || curl : curl || go || python;
}

/** Regular answers that leave the connection to the request that follows. All others end it. */
const KEPT = new Set([
  ...CASES.map(({ name }) => name).filter((name) => name.startsWith('regular: ')),
  'status line: no reason',
  'status line: no reason, but its space',
  'status line: two spaces after the status',
  'status line: a space at the end of the status line',
  'status line: a reason in latin1',
  'status line: a reason of 5,000 characters',
  'status line: a reason of 70,000 characters',
  'status line: a reason with a colon',
  'status line: a status of 600',
  'status line: a status of 999',
  'lines: a header twice',
  'size: 60 cookies, 20 KiB',
  'size: a header of 20 KiB',
  'size: a header of 63 KiB',
  'size: a header of 80 KiB',
  'size: a name of 20 KiB',
  'size: a head of 200 KiB',
  'size: 99 headers',
  'size: 600 headers',
  'size: 5,000 headers',
  'size: 60 cookies of 4 KiB',
  'framing: a length with spaces around it',
  'framing: a length with zeros before it',
  'framing: Transfer-Encoding: Chunked',
  'body: a chunk with zeros before its size',
  'body: a chunk with spaces after its size',
  'body: a chunk with an extension',
]);
for (const name of [
  'no length, until the connection ends',
  'HTTP/1.0',
  'HTTP/1.0 without a length',
  'Connection: close',
])
  KEPT.delete(`regular: ${name}`);

t.test('the recorded verdicts belong to these answers', async (t) => {
  t.strictSame(
    Object.entries(verdicts).map(([name, { raw }]) => [name, raw]),
    CASES.map((one) => [one.name, rawHash(one)]),
    'record them again: npx node test/http/answer-table/judges/record.ts',
  );
  t.ok(CASES.length >= 150, `${CASES.length} answers`);
  const disagreed = CASES.filter((one) => {
    const { curl, go, python } = verdictsOf(one);
    return new Set([curl, go, python]).size > 1;
  });
  t.ok(disagreed.length > 50, `the judges disagree about ${disagreed.length}`);
});

t.test('an answer has the status that curl, Go or Python reads', AT_MOST, async (t) => {
  const kept: string[] = [];
  const read = async (one: Case) => {
    const receiver = await startHostile(t, () => {}, { server: createTableServer() });
    const silent = one.then === 'fall silent';
    const client = createClient(t, silent ? SHORT_MS : LONG_MS);
    const url = `http://${receiver.authority}/`;
    const { answer, verdict, tookMs } = await attempt(client, `${url}${CASES.indexOf(one)}`);
    const expected = statusOf(one);
    if (expected !== 0 || DEVIATIONS[one.name] !== undefined)
      t.equal(answer?.statusCode ?? 0, expected, `${one.name} (${verdict.error})`);
    t.ok(tookMs < (silent ? LATEST_MS : LONG_MS / 3), `${one.name}: ${tookMs} ms`);
    const before = receiver.sockets.length;
    const next = await attempt(client, `${url}0`);
    t.match(next.answer, { statusCode: 200, excerpt: 'ok', cutOff: null }, `after ${one.name}`);
    if (receiver.sockets.length === before) kept.push(one.name);
  };
  const waiting = [...CASES];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) await read(one);
    }),
  );
  t.strictSame(new Set(kept), KEPT, 'and only a regular one leaves its connection to the next');
});
