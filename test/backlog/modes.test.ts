import t from 'tap';
import {
  createModes,
  type HasMode,
  LEAVING,
  type Mode,
  PROBING,
  pauseFor,
  READY,
  waitFor,
} from '../../src/backlog/modes.ts';
import { until } from '../helpers/until.ts';

const SENDING: Mode = { kind: 'sending', most: 1 };

function createTestModes() {
  let wakings = 0;
  const modes = createModes<HasMode>(() => {
    wakings += 1;
  });
  return { modes, wakings: () => wakings };
}

t.test('something that happens makes these ready, and those not', async (t) => {
  const after: [Mode, Mode['kind'], wakes: boolean][] = [
    [READY, 'ready', true],
    [SENDING, 'ready', true],
    [waitFor('room'), 'ready', true],
    [waitFor('due time', 60_000), 'ready', true],
    // It would be visited all the time.
    [pauseFor('failure', 60_000), 'pausing', false],
    // Nothing is sent beside a probe.
    [PROBING, 'probing', false],
    // A round sees whether its last attempt has ended.
    [LEAVING, 'leaving', true],
  ];
  for (const [mode, kind, wakes] of after) {
    const { modes, wakings } = createTestModes();
    const backlog: HasMode = { mode: READY, timer: undefined };
    modes.setMode(backlog, mode);
    modes.stir(backlog);
    t.equal(backlog.mode.kind, kind, mode.kind);
    t.equal(wakings() > 0, wakes, `${mode.kind} wakes`);
    t.strictSame(modes.ready(10), kind === 'ready' ? [backlog] : []);
    t.strictSame(modes.leaving(), kind === 'leaving' ? [backlog] : []);
    modes.forget(backlog);
    t.strictSame([...modes.ready(10), ...modes.leaving()], []);
  }
});

t.test('a time that is up makes a backlog ready and asks for a round', async (t) => {
  for (const mode of [waitFor('rate limit', 5), pauseFor('refill', 5)]) {
    const { modes, wakings } = createTestModes();
    const backlog: HasMode = { mode: READY, timer: undefined };
    modes.setMode(backlog, mode);
    t.strictSame(modes.ready(10), []);
    await until('it is ready', () => modes.ready(10).length === 1);
    t.equal(wakings(), 1);
  }
});

t.test(
  'a backlog that is forgotten, or that waits for something else, is not woken by its old timer',
  async (t) => {
    const { modes, wakings } = createTestModes();
    const gone: HasMode = { mode: READY, timer: undefined };
    const other: HasMode = { mode: READY, timer: undefined };
    const last: HasMode = { mode: READY, timer: undefined };
    modes.setMode(gone, waitFor('room', 1));
    modes.setMode(other, waitFor('room', 1));
    modes.forget(gone);
    modes.setMode(other, waitFor('deliveries'));
    modes.setMode(last, waitFor('room', 20));
    await until('a later timer has fired', () => wakings() > 0);
    t.strictSame(modes.ready(10), [last]);
  },
);
