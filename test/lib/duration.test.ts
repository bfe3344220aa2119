import fc from 'fast-check';
import t from 'tap';
import { formatDuration, parseDuration } from '../../src/lib/duration.ts';

t.test('durations are read as people write them', async (t) => {
  const cases: [text: string, ms: number][] = [
    ['0s', 0],
    ['1ms', 1],
    ['250ms', 250],
    ['15s', 15_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['30d', 2_592_000_000],
    ['1.5h', 5_400_000],
    ['0.25s', 250],
    ['1.0005s', 1001],
    ['007s', 7_000],
    [' 15s\n', 15_000],
  ];
  for (const [text, ms] of cases) t.equal(parseDuration(text), ms, text);
});

t.test('an invalid duration is refused with an example', async (t) => {
  for (const text of [
    '',
    ' ',
    '5',
    's',
    '5 s',
    '-5s',
    '+5s',
    '.5s',
    '5.s',
    '5,5s',
    '1e3s',
    '0x5s',
    '5S',
    '5sec',
    '5 minutes',
    '1h30m',
    '5w',
    '５s',
    'Infinitys',
    'NaNs',
  ]) {
    const message = `"${text}" is not a duration; write a number and a unit, such as 15s, 5m or 2h`;
    t.throws(() => parseDuration(text), { message }, text);
  }
});

t.test('durations are written in the largest unit that keeps them whole', async (t) => {
  const cases: [ms: number, text: string][] = [
    [0, '0ms'],
    [1, '1ms'],
    [999, '999ms'],
    [1_000, '1s'],
    [1_500, '1500ms'],
    [60_000, '1m'],
    [90_000, '90s'],
    [3_600_000, '1h'],
    [5_400_000, '90m'],
    [86_400_000, '1d'],
    [90_000_000, '25h'],
  ];
  for (const [ms, text] of cases) t.equal(formatDuration(ms), text);
});

t.test('a duration that was written is read as what it was', async () => {
  const ms = fc.oneof(
    fc.nat(10_000),
    fc.maxSafeNat(),
    fc
      .tuple(fc.nat(1000), fc.constantFrom(1_000, 60_000, 3_600_000, 86_400_000))
      .map(([n, unit]) => n * unit),
  );
  fc.assert(fc.property(ms, (ms) => parseDuration(formatDuration(ms)) === ms));
});

t.test('durations are whole milliseconds', async () => {
  const text = fc.stringMatching(/^[0-9]{1,6}(\.[0-9]{1,6})?(ms|s|m|h|d)$/);
  fc.assert(fc.property(text, (text) => Number.isSafeInteger(parseDuration(text))));
});
