// `npm run clients`: writes the generated parts of the clients anew, from the OpenAPI document.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../helpers/packages.ts';
import { GO_FILE, generateGo, generatePython, generateTypeScript } from './generate.ts';

const CLIENTS = join(import.meta.dirname, '..', '..', 'clients');
const LANGUAGES: Readonly<Record<string, () => Promise<void>>> = {
  typescript: () => generateTypeScript(join(CLIENTS, 'typescript', 'src', 'api.d.ts')),
  python: () => generatePython(join(CLIENTS, 'python', 'src', 'posthorn', 'api')),
  go: async () => {
    writeFileSync(GO_FILE, await generateGo());
    // The hand-written part names types that may have other names now, as in lists.go.
    await run(['go', 'build', '-buildvcs=false', './...'], join(CLIENTS, 'go'), {
      CGO_ENABLED: '0',
    });
  },
};

const named = process.argv.slice(2);
for (const name of named.length === 0 ? Object.keys(LANGUAGES) : named) {
  const write = LANGUAGES[name];
  if (write === undefined) throw new Error(`There is no client for ${name}.`);
  await write();
  console.log(`clients/${name} is written.`);
}
