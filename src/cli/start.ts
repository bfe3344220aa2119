import { Command } from 'commander';
import { isLoopback, loadSettings, type Settings } from '../config.ts';
import { createLog } from '../log.ts';
import type { Service } from '../service.ts';
import { VERSION } from '../version.ts';

/** `posthorn start`: runs the service until it is told to stop. */
export function startCommand(): Command {
  return new Command('start')
    .description('run the API and the worker')
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn start
  $ PORT=8080 POSTHORN_ALLOW_NETWORKS=127.0.0.0/8,::1/128 posthorn start
  $ DATABASE_URL=postgres://posthorn:secret@db/posthorn POSTHORN_ROLE=worker posthorn start`,
    )
    .action(start);
}

async function start(): Promise<void> {
  // Here, so that --help and --version need not load all of the service.
  const { startService } = await import('../service.ts');
  const settings = loadSettings();
  const log = createLog(settings);

  // Listened for from the beginning: a stop during start-up must not leave a database behind.
  let stopRequested = false;
  let service: Service | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopRequested) {
      log.warn({ signal }, 'stopping at once');
      process.exit(130);
    }
    stopRequested = true;
    log.info(
      { signal },
      'stopping: letting deliveries in flight finish; the same again stops at once',
    );
    void stop();
  };
  const stop = async () => {
    if (service === undefined) return;
    try {
      await service.stop();
      log.info('stopped');
    } catch (error) {
      log.error({ err: error }, 'stopping failed');
      process.exitCode = 1;
    }
    log.flush();
    // What may still hold the process, such as a receiver's socket, has had its time.
    process.exit();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);

  service = await startService(settings, log);
  if (stopRequested) return await stop();
  if (process.stdout.isTTY) process.stdout.write(banner(service, settings));
}

function banner({ url, embedded }: Service, { databaseUrl, authRequired, host }: Settings): string {
  const key = authRequired ? " \\\n       -H 'authorization: Bearer <POSTHORN_ADMIN_KEY>'" : '';
  const lines = [
    ['API', url],
    ['Swagger UI', `${url}/api/docs/`],
    embedded === undefined
      ? ['Database', (databaseUrl ?? '').replace(/\/\/[^@/]*@/, '//')]
      : ['Data', embedded.dataDir],
    ...(embedded === undefined ? [] : [['psql', `psql '${embedded.url}'`]]),
    ...(authRequired || !isLoopback(host)
      ? []
      : [['Access', 'open to this machine, without a key']]),
  ].map(([name = '', value]) => `  ${name.padEnd(11)}${value}`);
  return `
  Posthorn ${VERSION}

${lines.join('\n')}

  Try:
    curl ${url}/subscriptions/createsubscription${key} \\
       -H 'content-type: application/json' -d '{"url":"https://example.com/webhooks"}'

  Ctrl-C stops it.

`;
}
