import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import { createSchemaJudge, NotJudgedError } from '../../src/event-types/schema-judge.ts';

const execute = promisify(execFile);
const INTEGER = '{"type":"integer"}';

t.test('messages that node --watch has threads send are not taken for answers', async (t) => {
  // What --watch sets; in a process of its own, since these messages would reach the test runner.
  const script = `
    import { createSchemaJudge } from '#src/event-types/schema-judge.ts';
    const keepsRunning = setInterval(() => {}, 1_000);
    const judge = createSchemaJudge();
    const data = ['1', '"one"', '2', '"two"'];
    const judged = await Promise.all(data.map((text) => judge.judge('a', '${INTEGER}', text)));
    console.log(JSON.stringify(judged.map(({ problem, errors }) => problem ?? errors.length)));
    await judge.stop();
    clearInterval(keepsRunning);`;
  const { stdout } = await execute(process.execPath, ['--input-type=module', '--eval', script], {
    env: { PATH: process.env.PATH, WATCH_REPORT_DEPENDENCIES: '1' },
    timeout: 300_000,
  });
  t.equal(stdout.trim(), '[0,1,0,1]');
});

t.test('a schema that uses all memory is given up, and the next one works', async (t) => {
  const judge = createSchemaJudge();
  t.teardown(() => judge.stop());
  // Each level writes its errors down twice.
  const levels = Array.from({ length: 30 }, (_, n) => {
    const next = { $ref: `#/$defs/d${n + 1}` };
    return [`d${n}`, n === 29 ? { type: 'string' } : { anyOf: [next, next] }];
  });
  const schema = JSON.stringify({ $ref: '#/$defs/d0', $defs: Object.fromEntries(levels) });
  const [hungry, other] = await Promise.all([
    judge.judge('a', schema, '1'),
    judge.judge('b', INTEGER, '1'),
  ]);
  t.match(hungry, { gaveUp: 'now', problem: /took (longer|more memory) than .*; simplify it/ });
  t.match(other, { problem: null, errors: [] });
  t.match(await judge.judge('a', schema, '1'), { gaveUp: 'ago', problem: /a moment ago/ });
  t.match(await judge.judge('a', INTEGER, '1'), { problem: null, errors: [] });
});

t.test('a stop rejects waiting and later validations', async (t) => {
  const judge = createSchemaJudge();
  const waiting = Array.from({ length: 5 }, () => judge.judge('a', INTEGER, '1'));
  const refused = Promise.all(waiting.map((asked) => t.rejects(asked, NotJudgedError)));
  await judge.stop();
  await refused;
  await t.rejects(judge.judge('a', INTEGER, '1'), NotJudgedError);
  await t.rejects(judge.readDocument('a', '{}'), NotJudgedError);
});
