// The package as a library: `import { createPosthorn, send } from 'posthorn'`. See docs/library.md.
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import type { Service } from '../app/service.ts';
import type { SettingName } from '../config/known-settings.ts';
import { loadSettings, type Settings } from '../config/settings.ts';
import { OperatorError } from '../lib/errors.ts';
import { type AnyEvents, type SqlClient, send, type Webhook } from './send.ts';

export { type AnyEvents, type SqlClient, send, type Webhook };

export interface PosthornOptions {
  /** The URL of the Postgres to use. Without it, an embedded Postgres is started, as by `posthorn start`. */
  readonly databaseUrl?: string;
  /**
   * Further settings by their names in the README: `{ PORT: '5000', POSTHORN_RETENTION: '7d' }`. The environment and
   * a `.env` file are not read, since they are the application's.
   */
  readonly settings?: Readonly<Partial<Record<SettingName, string>>>;
  /** Gets the log. Without it, JSON lines go to stderr, from the setting `LOG_LEVEL` on. */
  readonly log?: Logger;
}

/** A Posthorn in the process of an application. `Events` has the type of the data by the name of the event type. */
export interface Posthorn<Events extends object = AnyEvents> {
  /**
   * Migrates the database, and starts the API and the worker. Resolves when they run.
   *
   * @throws Error with one line that says what to do, when the database cannot be used or the port is taken.
   */
  start(): Promise<void>;
  /** Lets deliveries in flight finish, within `POSTHORN_SHUTDOWN_GRACE`, and stops all. It may be started again. */
  stop(): Promise<void>;
  /** Sends a webhook in the transaction of the client, and returns its id. It needs no `start`. */
  send(client: SqlClient, webhook: Webhook<Events>): Promise<string>;
  /** The URL of the API, such as `http://127.0.0.1:5000`. @throws Error unless it runs. */
  readonly url: string;
  /** The URL of the database, of the embedded one too. @throws Error unless it runs. */
  readonly databaseUrl: string;
}

/**
 * Creates a Posthorn that runs in this process, with connections of its own to the database.
 *
 * @throws Error that lists every wrong setting, with what would be right.
 */
export function createPosthorn<Events extends object = AnyEvents>(
  options: PosthornOptions = {},
): Posthorn<Events> {
  const settings = settingsOf(options);
  let ending = new AbortController();
  let starting: Promise<Service> | undefined;
  let service: Service | undefined;

  function running(): Service {
    if (service === undefined) throw new Error('Posthorn does not run. Call start() first.');
    return service;
  }

  return {
    send: (client, webhook) => send<Events>(client, webhook),
    async start() {
      if (starting !== undefined) throw new Error('Posthorn has been started. Call stop() first.');
      ending = new AbortController();
      starting = startHere(settings, options.log, ending.signal);
      try {
        service = await starting;
      } catch (error) {
        starting = undefined;
        throw error;
      }
    },
    async stop() {
      ending.abort(new Error('Posthorn was stopped while it started.'));
      const started = await starting?.catch(() => undefined);
      starting = undefined;
      service = undefined;
      await started?.stop();
    },
    get url() {
      return running().url;
    },
    get databaseUrl() {
      return running().databaseUrl;
    },
  };
}

/** Loads the service only now: an application that only sends does not need it. */
async function startHere(
  settings: Settings,
  given: Logger | undefined,
  signal: AbortSignal,
): Promise<Service> {
  const { startService } = await import('../app/service.ts');
  const log = given ?? (await (await import('../app/log.ts')).createLog(settings));
  return await startService(settings, log, signal);
}

function settingsOf({ databaseUrl, settings = {} }: PosthornOptions): Settings {
  if ('POSTHORN_PROCESSES' in settings) {
    throw new OperatorError(
      'POSTHORN_PROCESSES is a setting of posthorn start. As a library, Posthorn runs in the process that starts it.',
    );
  }
  const dataDir = resolve(settings.POSTHORN_DATA_DIR ?? '.posthorn');
  const given = { ...settings, POSTHORN_DATA_DIR: dataDir };
  // From a folder without a .env file.
  return loadSettings(
    databaseUrl === undefined ? given : { ...given, DATABASE_URL: databaseUrl },
    import.meta.dirname,
  );
}
