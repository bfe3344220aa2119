/** A server of Postgres. */
export interface Host {
  readonly host: string;
  readonly port: number;
}

/** Which server may be used, by the names of libpq (`target_session_attrs`). */
export type Target = 'primary' | 'standby' | 'any';

const TARGETS: Readonly<Record<string, Target>> = {
  'read-write': 'primary',
  primary: 'primary',
  'read-only': 'standby',
  standby: 'standby',
  any: 'any',
};

/** A server, and the connection URL with it alone, which is all that node-postgres understands. */
export interface HostWithUrl extends Host {
  readonly url: string;
}

export interface ConnectionString {
  readonly hosts: readonly [HostWithUrl, ...HostWithUrl[]];
  readonly target: Target;
}

const DEFAULT_PORT = 5432;
const URL_PARTS =
  /^(?<scheme>postgres(?:ql)?:\/\/)(?<user>[^/?#]*@)?(?<hosts>[^/?#]*)(?<rest>.*)$/s;
const HOST = /^(?<host>\[[^[\]]+\]|[^:[\]\s]*)(?::(?<port>\d{1,5}))?$/;

/**
 * Reads a connection URL that may name several hosts, as libpq does (34.1.1.2 Connection URIs, 34.1.1.3 Specifying
 * Multiple Hosts): `postgres://user:password@first:5432,second:5432/database?target_session_attrs=read-write`.
 *
 * @param fallback what `target_session_attrs` means if it is not given. libpq takes `any`.
 * @throws Error with the reason, which contains neither the user nor the password.
 */
export function readConnectionString(text: string, fallback: Target = 'primary'): ConnectionString {
  const parts = URL_PARTS.exec(text.trim())?.groups;
  if (parts === undefined)
    throw new Error('it must look like postgres://user:password@host:5432/database');
  const { scheme = '', user = '', rest = '' } = parts;
  const names = (parts.hosts ?? '').split(',');
  const hosts = names.map((name) => ({
    ...readHost(name, names.length > 1),
    url: `${scheme}${user}${name}${rest}`,
  }));
  const wanted = URL.parse(`x://x${rest.startsWith('/') ? '' : '/'}${rest}`)?.searchParams.get(
    'target_session_attrs',
  );
  const target = wanted == null ? fallback : TARGETS[wanted];
  if (target === undefined)
    throw new Error(
      `target_session_attrs=${wanted} is not known; write one of ${Object.keys(TARGETS).join(', ')}`,
    );
  return { hosts: hosts as [HostWithUrl, ...HostWithUrl[]], target };
}

/** @param isOfMany then the host must have a name. Without one, node-postgres takes its default. */
function readHost(text: string, isOfMany: boolean): Host {
  const { host = '', port } = HOST.exec(text)?.groups ?? {};
  const number = Number(port ?? DEFAULT_PORT);
  if (isOfMany && (host === '' || number < 1 || number > 65_535))
    throw new Error(`"${text}" in its list of hosts is not a host, with or without a port`);
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: number };
}

/** Returns hosts as text for people, such as `first:5432,second:5432`. */
export function hostsAsText(hosts: readonly Host[]): string {
  return hosts
    .map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`)
    .join(',');
}
