import { hasPrograms } from '../../helpers/debian-packages.ts';
import type { Host } from './hosts.ts';
import { type Posthorn, startPosthorn } from './posthorn.ts';
import { during } from './processes.ts';
import { type Run, Skipped } from './scenario.ts';

const FAKETIME = '/usr/bin/faketime';
/** Like systemd, which starts a service again after a moment. */
const AGAIN_MS = 500;

export interface PosthornHostOptions {
  readonly host: Host;
  readonly databaseUrl: string;
  readonly env: Readonly<Record<string, string>>;
  /** How much the host's clock is ahead, in seconds. */
  readonly clockOffset: number;
}

/** A host that runs Posthorn and starts it again when it ends, as systemd does. */
export interface PosthornHost {
  readonly host: Host;
  readonly clockOffset: number;
  /** Starts Posthorn; resolves when it is up. */
  start(): Promise<void>;
  /** Starts it no more. Ending it is left to the host. */
  giveUp(): void;
  /** What it said when it ended although nobody had ended it, after it had been up. */
  readonly endedByItself: readonly string[];
  readonly current: Posthorn | undefined;
}

/** @throws Skipped where faketime is neither here nor can be installed. */
export function createPosthornHost(run: Run, options: PosthornHostOptions): PosthornHost {
  const { host, databaseUrl, env, clockOffset } = options;
  if (!hasPrograms([FAKETIME], ['faketime'])) throw new Skipped('apt-get install faketime');
  const endedByItself: string[] = [];
  let current: Posthorn | undefined;
  /** Changes with each start and each end that is wanted. */
  let generation = 0;

  async function keepRunning(mine: number, onUp: () => void): Promise<void> {
    while (mine === generation) {
      const posthorn = startPosthorn(run, {
        databaseUrl,
        through: [...host.through, FAKETIME, '-f', `${clockOffset < 0 ? '' : '+'}${clockOffset}s`],
        env: {
          HOST: host.address,
          PORT: '8000',
          POSTHORN_AUTH: 'off',
          DONT_FAKE_MONOTONIC: '1',
          NO_FAKE_STAT: '1',
          ...env,
        },
      });
      current = posthorn;
      let wasUp = false;
      posthorn.up().then(
        () => {
          wasUp = true;
          onUp();
        },
        () => {},
      );
      await posthorn.exited();
      if (wasUp && mine === generation)
        endedByItself.push(
          `${host.name}: ${posthorn.log
            .slice(-3)
            .map(({ text }) => text)
            .join(' ')}`,
        );
      await during(AGAIN_MS);
    }
  }

  function giveUp(): void {
    generation += 1;
  }

  run.onEnd(giveUp);
  return {
    host,
    clockOffset,
    start() {
      generation += 1;
      return new Promise((resolve, reject) => {
        keepRunning(generation, resolve).catch(reject);
      });
    },
    giveUp,
    endedByItself,
    get current() {
      return current;
    },
  };
}
