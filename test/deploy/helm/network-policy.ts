import { BlockList, isIPv6 } from 'node:net';
import t from 'tap';
import {
  DENIED_IPV4,
  DENIED_IPV6,
  judgeAddress,
  parseNetworks,
} from '../../../src/http/address-guard.ts';
import { parsePorts } from '../../../src/http/ports.ts';
import { whyNo } from '../tools.ts';
import { type Rendered, render } from './render.ts';

const skip = await whyNo('helm');

interface IpBlock {
  readonly cidr: string;
  readonly except?: readonly string[];
}

/** The rule of the policy by which deliveries leave. */
function deliveryRule({ find }: Rendered, role = 'worker') {
  const { egress } = find('NetworkPolicy', role)?.spec ?? {};
  return egress.find(({ to = [] }: { to?: { ipBlock?: IpBlock }[] }) =>
    to.some((one) => one.ipBlock),
  );
}

/** Whether the rule lets packets to the address pass, as Kubernetes defines it. */
function passes(rule: { to: { ipBlock: IpBlock }[] }, address: string): boolean {
  return rule.to.some(
    ({ ipBlock: { cidr, except = [] } }) =>
      isIn(cidr, address) && !except.some((network) => isIn(network, address)),
  );
}

function isIn(cidr: string, address: string): boolean {
  const [network = '', prefix] = cidr.split('/');
  if (isIPv6(network) !== isIPv6(address)) return false;
  const list = new BlockList();
  const family = isIPv6(network) ? 'ipv6' : 'ipv4';
  list.addSubnet(network, Number(prefix), family);
  return list.check(address, family);
}

/** The first and the last IPv4 address of a network, and their neighbours outside. */
function edges(network: string, prefix: number): string[] {
  const first = network.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const last = first + 2 ** (32 - prefix) - 1;
  return [first - 1, first, last, last + 1]
    .filter((address) => address >= 0 && address < 2 ** 32)
    .map((address) =>
      [24, 16, 8, 0].map((bits) => Math.floor(address / 2 ** bits) % 256).join('.'),
    );
}

/** In and around what the guard denies of IPv6. */
const IPV6 = [
  ...DENIED_IPV6.map(([network]) => network),
  ...['2001:200::1', '2001:db7:ffff::', '2001:db9::', '2003::1', '3fff:1000::', '3ffe::1'],
  ...['1fff::1', '4000::', 'fd00::1', 'fe80::1', '::1', '64:ff9b::808:808', '2606:4700::1'],
];
const IPV4 = [
  ...DENIED_IPV4.flatMap(([network, prefix]) => edges(network, prefix)),
  ...['1.1.1.1', '8.8.8.8', '93.184.215.14'],
];

t.test(
  'the policies let pass what the address guard lets pass, and nothing else',
  { skip },
  async (t) => {
    const rule = deliveryRule(await render());
    const none = parseNetworks('');
    for (const address of [...IPV4, ...IPV6])
      t.equal(
        passes(rule, address),
        judgeAddress(address, { allowNetworks: none, denyNetworks: none }) === null,
        address,
      );
    t.strictSame(
      rule.ports.map(({ port }: { port: number }) => port),
      [80, 443],
    );
  },
);

t.test('the settings of the guard change the policies too', { skip }, async (t) => {
  const allow = '10.20.0.0/16, 192.168.7.1,fd00:1::/32';
  const deny = '8.8.8.0/24,2606:4700::/32,fd00:9::1';
  const rendered = await render({
    settings: {
      POSTHORN_ALLOW_NETWORKS: allow,
      POSTHORN_DENY_NETWORKS: deny,
      POSTHORN_ALLOW_PORTS: '8443, 9000-9100',
    },
  });
  const networks = { allowNetworks: parseNetworks(allow), denyNetworks: parseNetworks(deny) };
  const ports = parsePorts('8443, 9000-9100');
  // The API sends test requests.
  for (const role of ['api', 'worker']) {
    const rule = deliveryRule(rendered, role);
    for (const address of [...IPV4, ...IPV6, '10.20.0.1', '10.21.0.1', '192.168.7.1', 'fd00:1::5'])
      t.equal(passes(rule, address), judgeAddress(address, networks) === null, address);
    const isOpen = (asked: number) =>
      rule.ports.some(
        ({ port, endPort = port }: { port: number; endPort?: number }) =>
          port <= asked && asked <= endPort,
      );
    for (const port of [80, 443, 444, 8443, 8999, 9000, 9100, 9101, 5432])
      t.equal(isOpen(port), ports.contains(port), `port ${port}`);
  }
  const all = deliveryRule(await render({ settings: { POSTHORN_ALLOW_PORTS: '*' } }));
  t.strictSame(all.ports, [{ protocol: 'TCP' }]);
});

t.test('pods reach Postgres and DNS, and the migration nothing else', { skip }, async (t) => {
  const { find } = await render();
  const database = [
    {
      ports: [
        { protocol: 'UDP', port: 53 },
        { protocol: 'TCP', port: 53 },
      ],
    },
    { ports: [{ protocol: 'TCP', port: 5432 }] },
  ];
  t.strictSame(find('NetworkPolicy', 'migrate')?.spec.egress, database);
  for (const role of ['api', 'worker'])
    t.strictSame(find('NetworkPolicy', role)?.spec.egress.slice(0, 2), database, role);
});
