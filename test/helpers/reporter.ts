// What `npm test` prints: a line for each file, and each failure twice: when its file ends, and at the end of the
// output, because a log of CI often shows only its tail. `.tap/test-results/` has every assertion.
import { Transform, type TransformCallback } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** A diff of two answers of the service can have thousands of lines, and a body in it a million characters. */
const MAX_LINES = 40;
const MAX_WIDTH = 300;
/** Keys of tap's diagnostics that repeat what the path and the stack of a failure say. */
const NOISE =
  /^(at|source|stdio|cwd|externalID|command|args|jobId|test|typeName|methodName|functionName)$/;

interface Result {
  readonly ok: boolean;
  readonly depth: number;
  /** The file, the subtests, and the assertion. */
  readonly path: readonly string[];
  /** `SKIP` or `TODO`, with the reason. */
  readonly directive: string;
  readonly time: string;
  /** Failures inside of it explain it. */
  readonly isExplained: boolean;
  readonly details: string[];
}

/** Reads the TAP of a run, line by line. `line` returns what to print at once, `end` what stands at the end. */
export function createSummary(): { line(text: string): string; end(): string } {
  const failures: string[] = [];
  /** The file and the subtests that have begun, outermost first. */
  const open: { name: string; failuresBefore: number }[] = [];
  /** The last result: its details may follow. */
  let result: Result | undefined;
  let inDetails = false;
  let isNoise = false;

  function line(text: string): string {
    const body = text.trimStart();
    const indent = text.length - body.length;
    if (result !== undefined && indent >= result.depth * 4 + 2) {
      const detail = text.slice(result.depth * 4 + 2);
      if (detail === '---') inDetails = true;
      else if (detail === '...') inDetails = false;
      else if (inDetails) addDetail(result, detail);
      if (inDetails || detail === '...') return '';
    }
    if (inDetails && body === '') return '';
    const settled = settle();
    const [, begun] = /^# Subtest: (.*)$/.exec(body) ?? [];
    if (begun !== undefined) begin(indent / 4, begun);
    result = parseResult(body, indent / 4);
    if (body.startsWith('Bail out!')) return settled + fail(body);
    return /^# \{ total: /.test(text) ? `${settled}${text}\n` : settled;
  }

  function begin(depth: number, name: string): void {
    open.splice(depth);
    open[depth] = { name: unescapeTap(name), failuresBefore: failures.length };
  }

  function parseResult(body: string, depth: number): Result | undefined {
    const found = /^(not )?ok \d+(?: - (.*?))?(?: # (.*))?$/.exec(body);
    if (found === null) return undefined;
    const [, not, name = '', comment = ''] = found;
    const own = open[depth];
    // A file that was killed has not closed its subtests.
    const within = depth === 0 ? open.slice(1) : [];
    const path = [...open.slice(0, depth), { name: unescapeTap(name) }, ...within];
    open.splice(depth);
    return {
      ok: not === undefined,
      depth,
      path: path.map((part) => part.name),
      directive: comment.replace(/ ?time=\S+/, ''),
      time: /time=(\S+)/.exec(comment)?.[1] ?? '',
      isExplained: own !== undefined && failures.length > own.failuresBefore,
      details: [],
    };
  }

  function addDetail({ details }: Result, detail: string): void {
    const [, key] = /^(\w+):/.exec(detail) ?? [];
    if (key !== undefined) isNoise = NOISE.test(key);
    if (!isNoise && detail.trim() !== '') details.push(detail.slice(0, MAX_WIDTH));
  }

  /** Says of the last result, whose details are complete now, what there is to say. */
  function settle(): string {
    if (result === undefined) return '';
    const { ok, depth, path, directive, time, isExplained, details } = result;
    result = undefined;
    inDetails = false;
    const failed = !ok && !directive.startsWith('TODO');
    const isKilled = details.some((detail) => /^signal: (?!null)/.test(detail));
    const said =
      failed && (!isExplained || isKilled) ? fail(`not ok ${path.join(' > ')}`, details) : '';
    if (depth === 0) return `${said}${failed ? 'not ok' : 'ok'} ${path[0]} ${time}\n`;
    return directive === '' ? said : `${said}    ${path.join(' > ')} # ${directive}\n`;
  }

  function fail(what: string, details: readonly string[] = []): string {
    const shown = details.length <= MAX_LINES ? details : [...details.slice(0, MAX_LINES), '…'];
    const failure = [what, ...shown.map((detail) => `    ${detail}`), ''].join('\n');
    failures.push(failure);
    return failure;
  }

  function end(): string {
    const settled = settle();
    if (failures.length === 0) return settled;
    return `${settled}\n${failures.length} failed:\n\n${failures.join('\n')}`;
  }

  return { line, end };
}

function unescapeTap(name: string): string {
  return name.replace(/\\([#\\])/g, '$1');
}

/** The class that tap makes its reporter of, because .taprc names this file. */
export default class Reporter extends Transform {
  readonly #summary = createSummary();
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = lines.pop() ?? '';
    done(null, lines.map(this.#summary.line).join(''));
  }

  override _flush(done: TransformCallback): void {
    done(null, this.#summary.line(this.#rest) + this.#summary.end());
  }
}
