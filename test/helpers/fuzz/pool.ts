import type { OpenApi } from '../openapi.ts';

/** So many of the first, which the test has made for this, and of the last. */
const KEPT = 20;
/** Names of ids that have no `_id` in queries and bodies. */
const OTHER_NAMES: Record<string, string> = { tenant: 'tenant_id' };
const nameOf = (name: string) => OTHER_NAMES[name] ?? name;

/** Existing values, learned from answers, by the names of their parameters and fields. */
export interface Pool {
  has(name: string): boolean;
  /** Whether each parameter of a path has a value. */
  canAsk(path: string): boolean;
  /** Returns a value of that name, chosen by a number; the name itself if there is no value. */
  pick(name: string, at: number): unknown;
  /** Learns from what an operation answered. */
  learn(path: string, body: unknown): void;
  add(name: string, value: unknown): void;
  /** Forgets what was asked for by a target and is not there, or no longer. */
  forget(target: string): void;
}

/** Knows only what the document asks for: parameters of paths, and fields that end in `_id`. */
export function createPool({ paths }: OpenApi): Pool {
  const params = Object.keys(paths).flatMap((path) => [...path.matchAll(/\{(\w+)\}/g)]);
  const names = new Set([
    ...params.map(([, name = '']) => name),
    'cursor',
    'url',
    'key',
    'link',
    'token',
  ]);
  const values = new Map<string, unknown[]>();

  /** The name that other paths have for the `id` of a row: `task_id` for rows of `/v1/tasks`. */
  function nameOfId(path: string): string | undefined {
    const own = /\{(\w+)\}$/.exec(path)?.[1];
    if (own !== undefined) return own;
    const below = Object.keys(paths).find((one) => one.startsWith(`${path}/{`));
    return below?.slice(path.length).match(/^\/\{(\w+)\}/)?.[1];
  }

  function add(name: string, value: unknown): void {
    if (typeof value !== 'string' && typeof value !== 'number') return;
    const known = values.get(name) ?? [];
    if (known.includes(value)) return;
    values.set(name, [...known.slice(0, KEPT), ...known.slice(KEPT).slice(1 - KEPT), value]);
  }

  function learn(path: string, body: unknown, depth = 0): void {
    if (typeof body !== 'object' || body === null || depth > 5) return;
    for (const [key, value] of Object.entries(body)) {
      const id = key === 'id' || key === 'name' ? nameOfId(path) : undefined;
      if (id !== undefined) add(id, value);
      if (names.has(key) || key.endsWith('_id')) add(key, value);
      if (key === 'next_cursor') add('cursor', value);
      learn(path, value, depth + 1);
    }
  }

  return {
    has: (name) => names.has(nameOf(name)) || /[a-z]_id$/.test(name),
    canAsk: (path) =>
      [...path.matchAll(/\{(\w+)\}/g)].every(
        ([, name = '']) => (values.get(nameOf(name)) ?? []).length > 0,
      ),
    pick(name, at) {
      const known = values.get(nameOf(name)) ?? [];
      return known.length === 0 ? name : known[at % known.length];
    },
    learn,
    add,
    forget(target) {
      const gone = new Set((target.split('?')[0] as string).split('/'));
      for (const [name, known] of values)
        values.set(
          name,
          known.filter((value) => !gone.has(String(value))),
        );
    },
  };
}
