import fc from 'fast-check';
import t from 'tap';
import { loadSettings } from '../../src/config/settings.ts';
import {
  JITTER,
  nextDelayMs,
  parseRetryAfter,
  parseRetrySchedule,
  type RetrySchedule,
} from '../../src/deliveries/retry-schedule.ts';
import { formatDuration } from '../../src/lib/duration.ts';

const DAY_MS = 86_400_000;

const delayMs = fc.oneof(fc.nat(10_000), fc.nat(365 * DAY_MS));
const schedule: fc.Arbitrary<RetrySchedule> = fc.array(delayMs, { minLength: 1, maxLength: 20 });
/** What `Math.random` gives: from 0 to just under 1. */
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const retryAfterMs = fc.oneof(
  fc.constant(undefined),
  fc.nat(400 * DAY_MS),
  fc.constant(Number.POSITIVE_INFINITY),
);

t.test('a retry comes within 20 % of the delay that the schedule gives', async () => {
  fc.assert(
    fc.property(schedule, fc.nat(), random, (schedule, nth, random) => {
      const attempt = (nth % schedule.length) + 1;
      const delay = schedule[attempt - 1] as number;
      const next = nextDelayMs(schedule, attempt, random) as number;
      // Half a millisecond is for the rounding.
      return Math.abs(next - delay) <= JITTER * delay + 0.5;
    }),
  );
});

t.test('retries spread over the whole of that range', async (t) => {
  t.equal(nextDelayMs([10_000], 1, 0), 8_000);
  t.equal(nextDelayMs([10_000], 1, 0.5), 10_000);
  t.equal(nextDelayMs([10_000], 1, 1 - Number.EPSILON), 12_000);
});

t.test('there are as many retries as the schedule has delays, and not one more', async () => {
  fc.assert(
    fc.property(
      fc.oneof(schedule, fc.constant([])),
      fc.integer({ min: 1, max: 100 }),
      random,
      retryAfterMs,
      (schedule, attempt, random, retryAfter) =>
        (nextDelayMs(schedule, attempt, random, retryAfter) === null) === attempt > schedule.length,
    ),
  );
});

t.test('Retry-After lengthens a wait, never shortens it', async () => {
  fc.assert(
    fc.property(schedule, fc.nat(), random, retryAfterMs, (schedule, nth, random, retryAfter) => {
      const attempt = (nth % schedule.length) + 1;
      const without = nextDelayMs(schedule, attempt, random) as number;
      return (nextDelayMs(schedule, attempt, random, retryAfter) as number) >= without;
    }),
  );
});

t.test("Retry-After is obeyed as far as the schedule's longest delay", async () => {
  fc.assert(
    fc.property(schedule, fc.nat(), random, retryAfterMs, (schedule, nth, random, retryAfter) => {
      const attempt = (nth % schedule.length) + 1;
      const without = nextDelayMs(schedule, attempt, random) as number;
      const next = nextDelayMs(schedule, attempt, random, retryAfter) as number;
      const obeyed = Math.min(retryAfter ?? 0, Math.max(...schedule));
      return next === Math.max(without, obeyed);
    }),
  );
});

t.test('delays are whole milliseconds, not negative', async () => {
  fc.assert(
    fc.property(schedule, fc.nat(), random, retryAfterMs, (schedule, nth, random, retryAfter) => {
      const next = nextDelayMs(schedule, (nth % schedule.length) + 1, random, retryAfter);
      return Number.isSafeInteger(next) && (next as number) >= 0;
    }),
  );
});

t.test('a schedule is read', async (t) => {
  const cases: [text: string, delays: number[]][] = [
    ['5s', [5_000]],
    ['5s,5m,30m', [5_000, 300_000, 1_800_000]],
    [' 5s , 5m ', [5_000, 300_000]],
    ['100ms,1.5h,1d', [100, 5_400_000, DAY_MS]],
    ['0s', [0]],
    ['365d', [365 * DAY_MS]],
    ['exponential(base=10s,factor=2,max=1m,attempts=6)', [10e3, 20e3, 40e3, 60e3, 60e3]],
    ['exponential( base = 1s , attempts = 3 )', [1_000, 2_000]],
    ['exponential(factor=1.5,base=1s,attempts=4)', [1_000, 1_500, 2_250]],
    ['exponential(base=1s,factor=1,attempts=4)', [1_000, 1_000, 1_000]],
    ['exponential(base=2h,max=1h,attempts=3)', [3_600_000, 3_600_000]],
    ['exponential(attempts=1)', []],
    ['exponential(attempts=3)', [10_000, 20_000]],
  ];
  for (const [text, delays] of cases) t.strictSame(parseRetrySchedule(text), delays, text);
});

t.test('the default schedule ends after three days', async (t) => {
  const { retrySchedule } = loadSettings({}, t.testdir());
  t.equal(retrySchedule.length + 1, 10, 'attempts');
  t.equal(formatDuration(retrySchedule.reduce((sum, delay) => sum + delay, 0)), '272105s');
});

t.test('a schedule has the durations of its text', async () => {
  fc.assert(
    fc.property(schedule, (delays) => {
      const read = parseRetrySchedule(delays.map(formatDuration).join(','));
      return delays.length === read.length && delays.every((delay, n) => delay === read[n]);
    }),
  );
});

t.test('an exponential schedule grows from base to max and never past it', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3_600_000 }),
      fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.constant('1e300')),
      fc.integer({ min: 1, max: 365 * 24 }),
      fc.integer({ min: 1, max: 100 }),
      (baseMs, factor, maxHours, attempts) => {
        const delays = parseRetrySchedule(
          `exponential(base=${baseMs}ms,factor=${factor},max=${maxHours}h,attempts=${attempts})`,
        );
        const maxMs = maxHours * 3_600_000;
        return (
          delays.length === attempts - 1 &&
          delays.every(
            (delay, n) =>
              Number.isSafeInteger(delay) &&
              delay <= maxMs &&
              delay >= (n === 0 ? Math.min(baseMs, maxMs) : (delays[n - 1] as number)),
          )
        );
      },
    ),
  );
});

t.test('an invalid schedule is refused with the reason', async (t) => {
  const cases: [text: string, why: RegExp][] = [
    ['', /"" is not a duration; write a number and a unit, such as 15s, 5m or 2h/],
    ['5s,', /"" is not a duration/],
    ['5s,,5m', /"" is not a duration/],
    ['5', /"5" is not a duration/],
    ['5s;5m', /"5s;5m" is not a duration/],
    ['5s 5m', /"5s 5m" is not a duration/],
    ['-5s', /"-5s" is not a duration/],
    ['5 s', /"5 s" is not a duration/],
    ['5sec', /"5sec" is not a duration/],
    ['5S', /"5S" is not a duration/],
    ['soon', /"soon" is not a duration/],
    ['5s,366d', /a delay is longer than 365d/],
    [`${'9'.repeat(400)}d`, /a delay is longer than 365d/],
    [Array.from({ length: 101 }, () => '1s').join(), /101 delays; at most 100/],
    ['exponential', /write exponential\(base=10s,factor=2,max=1h,attempts=8\)/],
    ['exponentially', /write exponential\(/],
    ['exponential(base=1s', /write exponential\(/],
    ['exponential(base=1s),5m', /write exponential\(/],
    ['exponential()', /takes base, factor, max and attempts, not ""/],
    ['exponential(start=1s)', /takes base, factor, max and attempts, not "start"/],
    ['exponential(base)', /"" is not a duration/],
    ['exponential(base=10)', /"10" is not a duration/],
    ['exponential(base=0s)', /base must be longer than 0s/],
    ['exponential(max=often)', /"often" is not a duration/],
    ['exponential(max=10000d,base=400d)', /a delay is longer than 365d/],
    ['exponential(factor=0.5)', /factor must be a number of at least 1/],
    ['exponential(factor=two)', /factor must be a number of at least 1/],
    ['exponential(factor=)', /factor must be a number of at least 1/],
    ['exponential(attempts=0)', /attempts must be a whole number from 1 to 100/],
    ['exponential(attempts=2.5)', /attempts must be a whole number/],
    ['exponential(attempts=101)', /attempts must be a whole number/],
    ['exponential(attempts=many)', /attempts must be a whole number/],
  ];
  for (const [text, message] of cases)
    t.throws(() => parseRetrySchedule(text), { message }, text.slice(0, 60));
});

/** The moment of RFC 9110's examples. */
const EXAMPLE_MS = Date.UTC(1994, 10, 6, 8, 49, 37);

t.test('Retry-After is understood in every form of RFC 9110', async (t) => {
  const minuteBefore = EXAMPLE_MS - 60_000;
  const cases: [value: string, ms: number][] = [
    ['0', 0],
    ['120', 120_000],
    ['0120', 120_000],
    [' 120\t', 120_000],
    ['9999999999', 9_999_999_999_000],
    ['9'.repeat(400), Number.POSITIVE_INFINITY],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 60_000],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 60_000],
    ['Sun Nov  6 08:49:37 1994', 60_000],
    ['Wed, 09 Nov 1994 08:49:37 GMT', 3 * DAY_MS + 60_000],
    ['Wednesday, 09-Nov-94 08:49:37 GMT', 3 * DAY_MS + 60_000],
    ['Wed Nov  9 08:49:37 1994', 3 * DAY_MS + 60_000],
    ['Wed Nov 16 08:49:37 1994', 10 * DAY_MS + 60_000],
  ];
  for (const [value, ms] of cases)
    t.equal(parseRetryAfter(value, minuteBefore), ms, value.slice(0, 60));
});

t.test('a moment means the same in each of the three forms of a date', async () => {
  const nowMs = Date.UTC(2026, 0, 1);
  const seconds = fc.integer({ min: 0, max: Date.UTC(2049, 11, 31) / 1000 - nowMs / 1000 });
  fc.assert(
    fc.property(seconds, (afterSeconds) => {
      const date = new Date(nowMs + afterSeconds * 1000);
      const imf = date.toUTCString();
      const [, day = '', month = '', year = '', time = ''] = imf.split(' ');
      const long = new Intl.DateTimeFormat('en', { weekday: 'long', timeZone: 'UTC' }).format(date);
      return [
        imf,
        `${long}, ${day}-${month}-${year.slice(2)} ${time} GMT`,
        `${imf.slice(0, 3)} ${month} ${day.replace(/^0/, ' ')} ${time} ${year}`,
      ].every((value) => parseRetryAfter(value, nowMs) === afterSeconds * 1000);
    }),
  );
});

t.test('a Retry-After in the past asks for nothing', async (t) => {
  t.equal(parseRetryAfter('Sun, 06 Nov 1994 08:49:37 GMT', EXAMPLE_MS), 0);
  t.equal(parseRetryAfter('Sun, 06 Nov 1994 08:49:37 GMT', EXAMPLE_MS + 1), 0);
});

t.test('an invalid Retry-After counts as absent', async (t) => {
  for (const value of [
    undefined,
    '',
    ' ',
    '-1',
    '+5',
    '1.5',
    '1e3',
    '0x10',
    '5s',
    '5, 6',
    'soon',
    '１２０',
    'Sun',
    'Sunday',
    'Monday 2099',
    'Sun, 06 Nov 2094',
    'Sun, 06 Nov 2094 08:49:37',
    'Sun, 06 Nov 2094 08:49:37 PST',
    'Sun, 06 Nov 2094 08:49:37 +0100',
    'Sun, 06 Nov 2094 8:49:37 GMT',
    'Sun, 99 Nov 2094 08:49:37 GMT',
    'Sun, 06 Foo 2094 08:49:37 GMT',
    'Sun, 06 Nov 2094 25:00:00 GMT',
    'Someday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov  6 08:49:37 2094 GMT',
    '2094-11-06T08:49:37Z',
    '06 Nov 2094 08:49:37 GMT',
  ]) {
    t.equal(parseRetryAfter(value, EXAMPLE_MS), undefined, String(value));
  }
});

t.test('no Retry-After header causes an error or a wait that is not a number', async () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^Sun.{0,30}$/)),
      (text) => {
        const ms = parseRetryAfter(text, EXAMPLE_MS);
        return ms === undefined || ms >= 0;
      },
    ),
  );
});
