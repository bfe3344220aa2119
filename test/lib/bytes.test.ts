import fc from 'fast-check';
import t from 'tap';
import { formatBytes, parseBytes } from '../../src/lib/bytes.ts';

t.test('sizes are read as people write them', async (t) => {
  const cases: [text: string, bytes: number][] = [
    ['0', 0],
    ['512', 512],
    ['512B', 512],
    ['512KiB', 524_288],
    ['1MiB', 1_048_576],
    ['2MB', 2_000_000],
    ['2kB', 2_000],
    ['1GB', 1_000_000_000],
    ['1GiB', 1_073_741_824],
    ['1.5KiB', 1_536],
    ['0.5MB', 500_000],
    ['1mib', 1_048_576],
    ['1 MiB', 1_048_576],
    [' 1MiB\n', 1_048_576],
  ];
  for (const [text, bytes] of cases) t.equal(parseBytes(text), bytes, text);
});

t.test('an invalid size is refused with an example', async (t) => {
  for (const text of [
    '',
    ' ',
    'MiB',
    '-1MiB',
    '+1',
    '.5MiB',
    '1.MiB',
    '1,5MiB',
    '1e6',
    '0x100',
    '1M',
    '1Mb/s',
    '1TiB',
    '1 048 576',
    '１MiB',
    'Infinity',
  ]) {
    const message = `"${text}" is not a size; write 512KiB, 1MiB or a number of bytes`;
    t.throws(() => parseBytes(text), { message }, text);
  }
});

t.test('sizes are written in the largest unit that keeps them whole', async (t) => {
  const cases: [bytes: number, text: string][] = [
    [0, '0 bytes'],
    [1000, '1000 bytes'],
    [1024, '1KiB'],
    [1025, '1025 bytes'],
    [1536 * 1024, '1536KiB'],
    [1024 ** 2, '1MiB'],
    [1024 ** 3, '1GiB'],
    [3 * 1024 ** 3, '3GiB'],
  ];
  for (const [bytes, text] of cases) t.equal(formatBytes(bytes), text);
});

t.test('a size that was written is read as what it was', async () => {
  const bytes = fc
    .tuple(fc.nat(100_000), fc.constantFrom(1, 1024, 1024 ** 2, 1024 ** 3))
    .map(([n, unit]) => n * unit);
  fc.assert(
    fc.property(bytes, (bytes) => parseBytes(formatBytes(bytes).replace(' bytes', '')) === bytes),
  );
});
