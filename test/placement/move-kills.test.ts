// A move that is killed, interrupted or undone: nothing is lost, doubled or reordered.
import t from 'tap';
import { startCli } from '../helpers/cli.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { until } from '../helpers/until.ts';
import { numbersOf, numbersSent, ok, sorted, startMovable, startSenders } from './moving.ts';

t.test('a move that is killed in each phase goes on when it is run again', async (t) => {
  const moving = await startMovable(t);
  const { one, two, key, directory, killedMove, move } = moving;
  const [inOrder, other] = [await startReceiver(t), await startReceiver(t)];
  const types = { event_types: ['n.*'] };
  await ok(
    one.request(
      'POST',
      '/v1/subscriptions',
      { ...types, url: inOrder.url, ordering: 'strict' },
      key,
    ),
  );
  await ok(one.request('POST', '/v1/subscriptions', { ...types, url: other.url }, key));
  const senders = startSenders(t, [one, two], key);
  await until('some are sent', () => other.received.length > 20);
  // As if the clock of the directory were an hour ahead of those of the homes.
  await directory.query(
    `alter table posthorn.moves alter started_at set default now() + interval '1 hour'`,
  );
  for (const [phase, afterMs] of [
    ['prepare', 0],
    ['copy', 20],
    ['pause', 0],
    ['close', 0],
    ['close', 15],
    ['open', 0],
    ['clean up', 0],
  ] as const) {
    const { code, stderr } = await killedMove(phase, afterMs);
    t.equal(code, 'SIGKILL', `${phase}: ${stderr}`);
  }
  const { rows } = await directory.query(
    'select from posthorn.moves where started_at < clock_timestamp()',
  );
  t.equal(rows.length, 1, 'the clock of the source says what has changed since the move began');
  const undo = await move(['--undo']);
  t.match(undo, { code: 4, stderr: /acme lives at two already.*cannot be undone/ });
  const done = await move(['--json']);
  t.equal(done.code, 0, done.stderr);
  t.strictSame(JSON.parse(done.stdout), { tenant: 'acme', to: 'two', result: 'moved' });
  t.equal(done.stderr, '');
  const then = inOrder.received.length;
  await until('the target sends', () => inOrder.received.length > then + 20);
  await senders.stop();
  const total = senders.total();
  await Promise.all([inOrder.waitFor(total), other.waitFor(total)]);
  t.strictSame(numbersOf(inOrder), numbersSent(senders), 'each once, and in order');
  t.strictSame(sorted(numbersOf(other)), numbersSent(senders), 'each once');
  for (const ids of senders.sent.values())
    t.strictSame(ids.toSorted(), ids, 'ids are in the order of acceptance');
  t.strictSame((await directory.query('select * from posthorn.moves')).rows, []);
});

t.test('a move is undone before the switch, after a kill and after Ctrl-C', async (t) => {
  const { one, two, key, env, args, killedMove, move } = await startMovable(t);
  const receiver = await startReceiver(t);
  const strict = { url: receiver.url, event_types: ['n.*'], ordering: 'strict' };
  await ok(one.request('POST', '/v1/subscriptions', strict, key));
  const senders = startSenders(t, [one, two], key);
  const works = async (what: string) => {
    const [then, before] = [receiver.received.length, senders.total()];
    await until(what, () => receiver.received.length > then + 20 && senders.total() > before + 5);
  };

  t.equal((await killedMove('close', 15)).code, 'SIGKILL');
  const undone = await move(['--undo']);
  t.match(undone, { code: 0, stdout: /lives where it did/ }, undone.stderr);
  await works('the source goes on after it was undone');

  const cli = await startCli(t, args, env);
  await until('it waits for attempts', () => /^pause:/m.test(cli.output.stderr));
  cli.kill('SIGINT');
  t.equal(await cli.exited, 1, cli.output.stderr);
  t.match(cli.output.stderr, /Interrupted\. acme lives and works at its home as before/);
  await works('the source goes on after Ctrl-C');

  t.match(await move(), { code: 0, stdout: /^acme lives at two\.\n$/ });
  await works('the target goes on');
  await senders.stop();
  await receiver.waitFor(senders.total());
  t.strictSame(numbersOf(receiver), numbersSent(senders), 'each once, and in order');
  const { rows } = await one.client.query(
    `select count(*)::integer as subscriptions from posthorn.subscriptions where deleted_at is null`,
  );
  t.strictSame(rows, [{ subscriptions: 0 }], 'nothing is left at the source');
});
