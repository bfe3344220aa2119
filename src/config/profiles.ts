import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { OperatorError } from '../lib/errors.ts';

/** Environment variables of commands. The service itself does not read them. */
export const CLIENT_VARIABLES = [
  'POSTHORN_URL',
  'POSTHORN_KEY',
  'POSTHORN_PROFILE',
  'POSTHORN_TARGET_URL',
] as const;

/** A Posthorn that commands can call. */
export interface Profile {
  readonly url?: string;
  readonly key?: string;
}

/** Returns the path of the file with profiles, as the XDG Base Directory Specification says. */
export function profilesPath(env: Readonly<Record<string, string | undefined>>): string {
  return join(env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'posthorn', 'config.json');
}

/**
 * Reads a profile: `{ "profiles": { "<name>": { "url": "…", "key": "…" } } }`.
 *
 * @param name undefined: the profile `default`, if there is one.
 * @throws OperatorError if the file cannot be read, or has no profile of that name.
 */
export function loadProfile(
  name: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Profile {
  const path = profilesPath(env);
  const profiles = readProfiles(path);
  const profile = profiles[name ?? 'default'];
  if (profile !== undefined) return profile;
  if (name === undefined) return {};
  const names = Object.keys(profiles);
  throw new OperatorError(
    `${path} has no profile "${name}"; ${names.length === 0 ? 'it has none' : `it has ${names.join(', ')}`}.`,
    { exitCode: 2 },
  );
}

function readProfiles(path: string): Readonly<Record<string, Profile>> {
  if (!existsSync(path)) return {};
  let file: unknown;
  try {
    file = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new OperatorError(`${path} cannot be read: ${(error as Error).message}.`, {
      exitCode: 2,
    });
  }
  const { profiles } = (file ?? {}) as { profiles?: unknown };
  const isProfile = (one: unknown) =>
    typeof one === 'object' &&
    one !== null &&
    Object.entries(one).every(
      ([field, value]) => ['url', 'key'].includes(field) && typeof value === 'string',
    );
  if (
    typeof profiles !== 'object' ||
    profiles === null ||
    !Object.values(profiles).every(isProfile)
  )
    throw new OperatorError(`${path} must be {"profiles": {"<name>": {"url": "…", "key": "…"}}}.`, {
      exitCode: 2,
    });
  return profiles as Readonly<Record<string, Profile>>;
}
