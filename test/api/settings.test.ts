import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { SettingInForce } from '../../src/config/in-force.ts';
import { SETTINGS } from '../../src/config/known-settings.ts';
import { loadSettings } from '../../src/config/settings.ts';
import { startCli } from '../helpers/cli.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { startTestService } from '../helpers/service.ts';

const WORD = 'canary0123456789abcdef';
/** Texts with a secret in each of the places where settings may have one. */
const SECRET_TEXTS = [
  WORD,
  `${WORD} and more of it`,
  Buffer.from(WORD.padEnd(32, '-')).toString('base64'),
  Buffer.from(WORD.padEnd(32, '-')).toString('hex'),
  `postgres://user:${WORD}@db.internal:5432/posthorn`,
  `postgres://${WORD}@db.internal/posthorn`,
  `postgres://user@db.internal/posthorn?password=${WORD}&sslmode=require`,
  `postgres://user:12/${WORD}@db.internal/posthorn`,
  `postgres://user:12?${WORD}@db.internal/posthorn`,
  `postgres://user:12#${WORD}@db.internal/posthorn`,
  `postgres://user:${WORD}@/posthorn?host=/run/postgresql`,
  `postgres://user:${WORD}@one,two:5433/posthorn`,
  `http://user:${WORD}@proxy.internal:4750`,
  `http://${WORD}@proxy.internal:4750`,
];
/** Settings that take any text, and are shown: nobody would write a secret into them. */
const ANY_TEXT = [
  'HOST',
  'POSTHORN_DATA_DIR',
  'POSTHORN_ARCHIVE_DIR',
  'POSTHORN_ALLOW_HOSTS',
  'POSTHORN_PUBLIC_CATALOGUE',
];

function shown(env: Record<string, string>, dir: string): SettingInForce[] {
  return [...loadSettings({ POSTHORN_AUTH: 'off', ...env }, dir).inForce];
}

t.test('no setting shows a secret, whatever form it has', async (t) => {
  const dir = t.testdir();
  const hidden: string[] = [];
  for (const name of Object.keys(SETTINGS)) {
    for (const text of SECRET_TEXTS) {
      let settings: SettingInForce[];
      try {
        settings = shown({ [name]: text }, dir);
      } catch {
        continue;
      }
      if (ANY_TEXT.includes(name)) continue;
      const said = JSON.stringify(settings);
      for (const form of [WORD, text, Buffer.from(WORD).toString('hex')])
        t.notOk(said.includes(form), `${name} does not show ${text}`);
      t.match(
        settings.find((one) => one.name === name),
        { is_secret: true, source: 'environment' },
        `${name} says that it is set`,
      );
      hidden.push(name);
    }
  }
  t.strictSame(
    [...new Set(hidden)].sort(),
    [
      'DATABASE_URL',
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      'POSTHORN_ADMIN_KEY',
      'POSTHORN_EGRESS_PROXY',
      'POSTHORN_ENCRYPTION_KEY',
      'POSTHORN_REPORTING_URL',
    ],
    'every setting that could take one was tried',
  );
});

t.test('every setting says its value, its default and where it comes from', async (t) => {
  const dir = t.testdir();
  await writeFile(join(dir, '.env'), 'LOG_LEVEL=warn\nPORT=1234\nPOSTHORN_RETENTION=\n');
  const settings = shown(
    { PORT: '5001', DATABASE_URL: 'postgres://user:hush@db.internal:5433/posthorn' },
    dir,
  );
  t.strictSame(
    settings.map(({ name, default: fallback, meaning }) => [name, fallback, meaning]),
    Object.entries(SETTINGS).map(([name, one]) => [name, one.fallback ?? null, one.meaning]),
  );
  const find = (name: string) => settings.find((one) => one.name === name);
  t.match(find('PORT'), { value: '5001', default: '5000', source: 'environment' });
  t.match(find('LOG_LEVEL'), { value: 'warn', default: 'info', source: '.env' });
  t.match(find('POSTHORN_RETENTION'), { value: '30d', default: '30d', source: 'default' });
  t.match(find('POSTHORN_ARCHIVE_DIR'), { value: null, source: 'default', is_secret: false });
  t.match(find('POSTHORN_ADMIN_KEY'), { value: null, source: 'default', is_secret: true });
  t.match(find('DATABASE_URL'), {
    value: 'postgres://db.internal:5433/posthorn',
    source: 'environment',
    is_secret: true,
  });
});

const KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${KEY}` };

t.test('GET /v1/settings answers an admin key, and no other', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: KEY });
  const { json: made } = await posthorn.request(
    'POST',
    '/v1/keys',
    { scopes: ['manage', 'send', 'read'] },
    admin,
  );
  const refused = await posthorn.request('GET', '/v1/settings', undefined, {
    authorization: `Bearer ${made.key}`,
  });
  t.equal(refused.status, 403);
  t.match(refused.json.detail, /the scope "admin"/);
  const { status, json, text } = await posthorn.request('GET', '/v1/settings', undefined, admin);
  t.equal(status, 200);
  t.strictSame(
    json.settings.map(({ name }: SettingInForce) => name),
    Object.keys(SETTINGS),
  );
  t.notMatch(text, new RegExp(KEY));
});

t.test('processes of a supervisor show the settings of the supervisor', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const cli = await startCli(t, ['start'], { DATABASE_URL: databaseUrl, POSTHORN_PROCESSES: '2' });
  const response = await fetch(`${await cli.url()}/v1/settings`);
  const { settings } = (await response.json()) as { settings: SettingInForce[] };
  const find = (name: string) => settings.find((one) => one.name === name);
  t.match(find('POSTHORN_ROLE'), { value: 'all', source: 'default' });
  t.match(find('POSTHORN_PROCESSES'), { value: '2', source: 'environment' });
  cli.kill('SIGTERM');
  t.equal(await cli.exited, 0);
});
