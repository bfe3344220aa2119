import cluster from 'node:cluster';
import type pg from 'pg';
import type { Logger } from 'pino';
import { errorMessage } from '../lib/errors.ts';
import type { SealingKey } from '../lib/sealing.ts';
import { countSecrets, missingKeys, type StoredSecrets } from './reseal.ts';

/**
 * Logs at the start if secrets are stored in plain text, or if some cannot be read. If there are several
 * processes, only the first logs it.
 */
export async function reportSecrets(
  pool: pg.Pool,
  keys: readonly SealingKey[],
  log: Logger,
): Promise<void> {
  if (cluster.isWorker && cluster.worker?.id !== 1) return;
  if (keys.length === 0)
    log.info('secrets are stored in plain text: POSTHORN_ENCRYPTION_KEY is not set');
  let stored: StoredSecrets;
  try {
    stored = await countSecrets(pool);
  } catch (error) {
    // With very many subscriptions this may exceed the statement timeout, which must not prevent the start.
    log.warn({ reason: errorMessage(error) }, 'could not check how secrets are stored');
    return;
  }
  for (const [key, secrets] of missingKeys(stored, keys)) {
    log.warn(
      { key, secrets },
      'secrets are encrypted with a key that POSTHORN_ENCRYPTION_KEY does not contain: nothing is sent to their subscriptions until it does',
    );
  }
  if (keys.length > 0 && stored.plain > 0) {
    log.info(
      { secrets: stored.plain },
      'secrets from before POSTHORN_ENCRYPTION_KEY are stored in plain text; posthorn keys rotate-encryption encrypts them',
    );
  }
}
