import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { Test } from 'tap';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

const CA_CONFIG = `
[ca]
default_ca = posthorn
[posthorn]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = policy
copy_extensions = copy
[policy]
commonName = supplied
`;

/**
 * Makes a certificate that signs itself, with openssl, in a folder of the test.
 *
 * @param names such as `DNS:a.example` and `IP:127.0.0.1`.
 * @param validity from and to, as openssl has them; the next two days if left out.
 */
export function certify(
  t: Pick<Test, 'testdir'>,
  names: string[],
  validity?: [from: string, to: string],
): Certificate {
  const dir = t.testdir({ 'ca.cnf': CA_CONFIG, 'index.txt': '' });
  const openssl = (...words: string[]) =>
    execFileSync('openssl', words, { cwd: dir, stdio: 'pipe' });
  openssl(
    ...'req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem'.split(' '),
    ...['-subj', '/CN=posthorn test', '-addext', `subjectAltName=${names.join()}`],
    ...(validity === undefined
      ? '-x509 -days 2 -out cert.pem'.split(' ')
      : '-out request.pem'.split(' ')),
  );
  if (validity !== undefined) {
    const [from, to] = validity;
    openssl(
      ...'ca -batch -notext -config ca.cnf -selfsign -keyfile key.pem'.split(' '),
      ...['-in', 'request.pem', '-out', 'cert.pem', '-startdate', from, '-enddate', to],
    );
  }
  const read = (name: string) => readFileSync(join(dir, name), 'utf8');
  return { key: read('key.pem'), cert: read('cert.pem') };
}

/** Makes this process trust a certificate until the test ends. */
export function trust(t: Test, { cert }: Certificate): void {
  const before = getCACertificates('default');
  t.teardown(() => setDefaultCACertificates(before));
  setDefaultCACertificates([...before, cert]);
}
