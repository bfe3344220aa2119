// What `npm test` says of a failure, where it stands among thousands of assertions and CI keeps only the tail.
import { once } from 'node:events';
import t from 'tap';
import Reporter from './helpers/reporter.ts';

/** As tap's runner writes it, without the keys that are left out anyway. */
const FAILING = `\
TAP version 14
1..5
# Subtest: test/good.test.ts
    ok 1 - fine
    # Subtest: needs a tool
    ok 2 - needs a tool # SKIP go is not here
    not ok 3 - not yet # TODO later
    1..3
ok 1 - test/good.test.ts # time=12.5ms

# Subtest: test/bad.test.ts
    # Subtest: a webhook
        # Subtest: is delivered
            ok 1 - accepted
            not ok 2 - the body of \\#7
              ---
              diff: |
                --- expected
                +++ actual
                @@ -1,1 +1,1 @@
                -ok 1 - é
                +not ok 1 - é
              at:
                fileName: test/bad.test.ts
                lineNumber: 2
              stack: |
                Test.<anonymous> (test/bad.test.ts:2:100)
              source: |
                t.equal(body, 'ok 1 - é');
              ...
            
            1..2
        not ok 1 - is delivered # time=2ms
          ---
          source: >
            t.test('is delivered')
          
            ...
          ...
        
        1..1
    not ok 1 - a webhook # time=3ms
    
    1..1
not ok 2 - test/bad.test.ts # time=4ms
  ---
  jobId: 2
  exitCode: 1
  signal: null
  ...

# Subtest: test/killed.test.ts
    # Subtest: hangs
        not ok 1 - before that
        ok 2 - then
    1..0 # no tests found
not ok 3 - test/killed.test.ts # time=1200000ms
  ---
  exitCode: null
  signal: SIGTERM
  ...

# Subtest: test/exit.test.ts
    1..0 # no tests found
not ok 4 - test/exit.test.ts # time=5ms
  ---
  exitCode: 3
  signal: null
  ...

# Subtest: test/endless.test.ts
    not ok 1 - a long diff
      ---
      diff: |
${'        +x\n'.repeat(1_000)}\
      ...
    
    1..1
not ok 5 - test/endless.test.ts # time=5ms

# { total: 9, pass: 4, fail: 5 }
`;

async function reportOf(tap: string, pieces: number): Promise<string> {
  const reporter = new Reporter();
  let said = '';
  reporter.on('data', (chunk) => {
    said += chunk;
  });
  const bytes = Buffer.from(tap);
  const size = Math.ceil(bytes.length / pieces);
  for (let at = 0; at < bytes.length; at += size) reporter.write(bytes.subarray(at, at + size));
  reporter.end();
  await once(reporter, 'end');
  return said;
}

t.test('all failures stand at the end: file, subtests, difference, how a file ended', async (t) => {
  const long = ['    diff: |', ...Array<string>(39).fill('      +x'), '    …'].join('\n');
  const said = await reportOf(FAILING, 1);
  const [during, atTheEnd] = said.split('\n5 failed:\n\n');
  t.equal(
    atTheEnd,
    `\
not ok test/bad.test.ts > a webhook > is delivered > the body of #7
    diff: |
      --- expected
      +++ actual
      @@ -1,1 +1,1 @@
      -ok 1 - é
      +not ok 1 - é
    stack: |
      Test.<anonymous> (test/bad.test.ts:2:100)

not ok test/killed.test.ts > hangs > before that

not ok test/killed.test.ts > hangs
    exitCode: null
    signal: SIGTERM

not ok test/exit.test.ts
    exitCode: 3
    signal: null

not ok test/endless.test.ts > a long diff
${long}
`,
  );
  t.strictSame(
    during?.split('\n').filter((line) => !line.startsWith('     ')),
    [
      '    test/good.test.ts > needs a tool # SKIP go is not here',
      '    test/good.test.ts > not yet # TODO later',
      'ok test/good.test.ts 12.5ms',
      'not ok test/bad.test.ts > a webhook > is delivered > the body of #7',
      '    diff: |',
      '    stack: |',
      'not ok test/bad.test.ts 4ms',
      'not ok test/killed.test.ts > hangs > before that',
      'not ok test/killed.test.ts > hangs',
      '    exitCode: null',
      '    signal: SIGTERM',
      'not ok test/killed.test.ts 1200000ms',
      'not ok test/exit.test.ts',
      '    exitCode: 3',
      '    signal: null',
      'not ok test/exit.test.ts 5ms',
      'not ok test/endless.test.ts > a long diff',
      '    diff: |',
      '    …',
      'not ok test/endless.test.ts 5ms',
      '# { total: 9, pass: 4, fail: 5 }',
      '',
    ],
  );
  for (const pieces of [2, 3, 7, 50, 500, 5_000])
    t.equal(await reportOf(FAILING, pieces), said, `in ${pieces} pieces`);
});

t.test('a run without a failure ends with its figures, and names what it skipped', async (t) => {
  const good = `${FAILING.slice(0, FAILING.indexOf('# Subtest: test/bad'))}# { total: 3, pass: 1 }\n`;
  t.equal(
    await reportOf(good, 1),
    `\
    test/good.test.ts > needs a tool # SKIP go is not here
    test/good.test.ts > not yet # TODO later
ok test/good.test.ts 12.5ms
# { total: 3, pass: 1 }
`,
  );
});
