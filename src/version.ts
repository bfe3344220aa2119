import { readFileSync } from 'node:fs';

const manifest = JSON.parse(
  readFileSync(new URL(import.meta.resolve('#package.json')), 'utf8'),
) as {
  version: string;
};

/** The version in package.json, as the API, the CLI and the `user-agent` header show it. */
export const VERSION: string = manifest.version;
