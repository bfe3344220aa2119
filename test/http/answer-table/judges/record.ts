// Records what other clients make of the answers in ../cases.ts, into ../verdicts.json:
//
//   npx node test/http/answer-table/judges/record.ts
//
// It needs go, python3 and curl. curl, Go and Python are the judges; what undici and Node's own client
// make of them, as leniently as they can be set, is for docs/decisions/own-http-client.md.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request as nodeRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { request as undiciRequest } from 'undici';
import { CASES } from '../cases.ts';
import { createTableServer } from '../serve.ts';
import { type Recorded, rawHash, type Verdicts } from '../verdicts.ts';

const TIMEOUT_MS = 2_000;
/** Exit codes of curl after which it had an answer: cut short, timed out, or broken off in the body. */
const CURL_ANSWERED = new Set([0, 18, 28, 56]);

const server = createTableServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
const urls = CASES.map((_, index) => `http://127.0.0.1:${port}/${index}`);

async function run(command: string, words: readonly string[], input = ''): Promise<string> {
  const child = spawn(command, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(input);
  const output: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
  await once(child, 'close');
  return Buffer.concat(output).toString('latin1');
}

async function askAll(command: string, words: readonly string[]): Promise<number[]> {
  const lines = (await run(command, words, urls.map((url) => `${url}\n`).join(''))).split('\n');
  return CASES.map((_, index) => Number(lines[index]));
}

async function askEach(ask: (url: string) => Promise<number>): Promise<number[]> {
  const statuses: number[] = [];
  for (const url of urls) {
    const late = sleep(2 * TIMEOUT_MS, 0, { ref: false });
    statuses.push(await Promise.race([ask(url).catch(() => 0), late]));
  }
  return statuses;
}

/** curl tells the status of a head that it then refuses, so its exit code counts too, and the head's end. */
async function curl(url: string): Promise<number> {
  const words = `-s -o /dev/null -D - -w ^%{http_code}^%{exitcode} -d {} --max-time ${TIMEOUT_MS / 1000}`;
  const [head = '', status, exitCode] = (await run('curl', [...words.split(' '), url]))
    .split('^')
    .slice(-3);
  const ended = Number(exitCode) === 0 || /\n\r?\n$/.test(head);
  return ended && CURL_ANSWERED.has(Number(exitCode)) && Number(status) >= 200 ? Number(status) : 0;
}

async function undici(url: string): Promise<number> {
  const { statusCode, body } = await undiciRequest(url, {
    method: 'POST',
    body: '{}',
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    signal: AbortSignal.timeout(TIMEOUT_MS),
    reset: true,
  });
  body.on('error', () => {}).destroy();
  return statusCode;
}

async function node(url: string): Promise<number> {
  const request = nodeRequest(url, {
    method: 'POST',
    agent: false,
    insecureHTTPParser: true,
    maxHeaderSize: 1024 * 1024,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  request.end('{}');
  const [response] = await once(request, 'response');
  request.on('error', () => {});
  response.on('error', () => {}).destroy();
  return response.statusCode;
}

const goJudge = join(tmpdir(), `posthorn-judge-${process.pid}`);
execFileSync('go', ['build', '-o', goJudge, join(import.meta.dirname, 'judge.go')]);
const statuses = await Promise.all([
  askEach(curl),
  askAll(goJudge, []),
  askAll('python3', [join(import.meta.dirname, 'judge.py')]),
  askEach(undici),
  askEach(node),
]);
server.close();

const versionOf = (command: string, word: string) =>
  (spawnSync(command, [word], { encoding: 'utf8' }).stdout.split('\n')[0] ?? '').trim();
const verdicts: Verdicts = {
  judges: [
    versionOf('curl', '--version'),
    versionOf('go', 'version'),
    versionOf('python3', '--version'),
  ],
  cases: Object.fromEntries(
    CASES.map((one, index): [string, Recorded] => {
      const [curl = 0, go = 0, python = 0, undici = 0, node = 0] = statuses.map(
        (all) => all[index],
      );
      return [one.name, { raw: rawHash(one), curl, go, python, undici, node }];
    }),
  ),
};
writeFileSync(
  join(import.meta.dirname, '..', 'verdicts.json'),
  `${JSON.stringify(verdicts, null, 1).replace(/\{\n {3}"raw"[^}]*\}/g, (one) => one.replace(/\n */g, ' '))}\n`,
);
process.exit();
