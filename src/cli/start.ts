import cluster from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { collectWhenIdle } from '../app/idle-collection.ts';
import { createLog } from '../app/log.ts';
import type { Service } from '../app/service.ts';
import { endWithSupervisor } from '../app/sibling-processes.ts';
import { isLoopback, loadSettings, type Settings } from '../config/settings.ts';
import { VERSION } from '../version.ts';

/** Interrupts within this time count as the same Ctrl-C. */
const SAME_INTERRUPT_MS = 500;
/** The time that the embedded Postgres has to stop before this process ends. */
const LAST_WORDS_MS = 2_000;
/** A stop that exceeds its grace period by this time will not finish. */
const OVERDUE_MS = 1_000;
const LOOK_FOR_PARENT_MS = 500;

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
  const settings = loadSettings();
  const log = await createLog(settings);
  if (cluster.isPrimary) log.info(startOf(settings), 'starting');
  endWithSupervisor(log);
  // Imported here, so that --help and --version do not load the service.
  const several = settings.processes > 1 && cluster.isPrimary;
  const { startProcesses, killProcesses } = several
    ? await import('../app/supervisor.ts')
    : { startProcesses: (await import('../app/service.ts')).startService, killProcesses: () => {} };

  // The listeners are set before the start: a stop during it must not leave a database behind.
  let stopRequestedAt: number | undefined;
  const stopRequested = new AbortController();
  let service: Service | undefined;
  const requestStop = (reason: string) => {
    if (stopRequestedAt !== undefined) return;
    stopRequestedAt = performance.now();
    stopRequested.abort();
    if (!cluster.isWorker) {
      log.info({ reason }, 'stopping: letting deliveries in flight finish; Ctrl-C stops at once');
    }
    void stop();
  };
  const onInterrupt = async () => {
    if (stopRequestedAt === undefined) return requestStop('SIGINT');
    // The same Ctrl-C arrives several times: from the terminal, and from npm or another parent process.
    if (performance.now() - stopRequestedAt < SAME_INTERRUPT_MS) return;
    log.warn('stopping at once');
    await endAtOnce(130);
  };
  const endAtOnce = async (code: number) => {
    killProcesses();
    await Promise.race([service?.embedded?.stop().catch(() => {}), sleep(LAST_WORDS_MS)]);
    process.exit(code);
  };
  const stop = async () => {
    if (service === undefined) return;
    // The processes under a supervisor have a shorter limit of their own.
    const overdueMs =
      settings.shutdownDelayMs + settings.shutdownGraceMs + OVERDUE_MS * (several ? 2 : 1);
    setTimeout(() => {
      log.warn(
        'stopping at once: the grace period is over; others take what this process still had',
      );
      log.flush();
      void endAtOnce(1);
    }, overdueMs).unref();
    try {
      await service.stop();
      log.info('stopped');
    } catch (error) {
      log.error({ err: error }, 'stopping failed');
      process.exitCode = 1;
    }
    log.flush();
    // Open handles, such as a receiver's socket, must not keep the process alive any longer.
    process.exit();
  };
  // A terminal's Ctrl-C goes to every process of the group; the supervisor passes it on as SIGTERM.
  process.on('SIGINT', cluster.isWorker ? () => {} : onInterrupt);
  process.on('SIGTERM', () => requestStop('SIGTERM'));
  if (process.env.npm_lifecycle_event !== undefined && cluster.isPrimary)
    stopWithParent(() => requestStop('npm has ended'));

  try {
    service = await startProcesses(settings, log, stopRequested.signal);
  } catch (error) {
    if (stopRequestedAt === undefined) throw error;
    // All that had been started was stopped again.
    log.info('stopped');
    log.flush();
    process.exit();
  }
  if (stopRequestedAt !== undefined) return await stop();
  collectWhenIdle();
  if (process.stdout.isTTY && !cluster.isWorker) process.stdout.write(banner(service, settings));
}

/**
 * npm starts this process through a shell, and a shell that gets a signal does not pass it on. Without this,
 * `kill` on npm would leave the service running.
 */
function stopWithParent(stop: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop();
  }, LOOK_FOR_PARENT_MS);
  timer.unref();
}

/** Says with which database it starts: the first start creates one, which may take some seconds. */
function startOf({ databaseUrl, dataDir, role }: Settings) {
  const database =
    databaseUrl === undefined
      ? `an embedded Postgres in ${dataDir}`
      : databaseUrl.replace(/\/\/[^@/]*@/, '//');
  return { version: VERSION, role, database };
}

function banner(
  { url, embedded }: Service,
  { databaseUrl, authRequired, host, role }: Settings,
): string {
  const key = authRequired ? " \\\n       -H 'authorization: Bearer <POSTHORN_ADMIN_KEY>'" : '';
  const lines = [
    ['API', url],
    ...(role === 'worker' ? [] : [['Swagger UI', `${url}/api/docs/`]]),
    embedded === undefined
      ? ['Database', (databaseUrl ?? '').replace(/\/\/[^@/]*@/, '//')]
      : ['Data', embedded.dataDir],
    ...(embedded === undefined ? [] : [['psql', `psql '${embedded.url}'`]]),
    ...(authRequired
      ? []
      : [
          [
            'Access',
            `open to ${isLoopback(host) ? 'this machine' : 'every machine that can reach it'}, without a key; POSTHORN_ADMIN_KEY closes it`,
          ],
        ]),
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
