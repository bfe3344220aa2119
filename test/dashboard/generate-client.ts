import { join } from 'node:path';
import { pino } from 'pino';
import { generateApi } from 'swagger-typescript-api';
import { createApp } from '../../src/api/app.ts';
import type { ApiServices } from '../../src/api/services.ts';
import { loadSettings } from '../../src/config/settings.ts';

/** The file that `generateDashboardClient` makes the text of. */
export const CLIENT_PATH = join(
  import.meta.dirname,
  '..',
  '..',
  'src',
  'dashboard',
  'api',
  'client.ts',
);

/** Makes the client of the dashboard: a function for each route under /v1, and the types of what it takes and answers. */
export async function generateDashboardClient(): Promise<string> {
  const { files } = await generateApi({
    spec: await describeApi(),
    output: false,
    silent: true,
    templates: join(import.meta.dirname, 'client-templates'),
    generateUnionEnums: true,
    extractRequestBody: true,
    extractResponseBody: true,
    sortRoutes: true,
    sortTypes: true,
    hooks: {
      // The routes of the first system, of ingestion and of Prometheus are not for the dashboard.
      onCreateRoute: (route) => (route.raw.route.startsWith('/v1/') ? route : false),
    },
  });
  const [file] = files;
  if (file === undefined) throw new Error('The generator of the client made no file.');
  const text = file.fileContent
    .replaceAll('Partial<Record<any, string>>', 'Record<string, string>')
    .replaceAll(/: any\b/g, ': unknown');
  return `// Generated from the OpenAPI document by \`npm run client\`. Do not edit.\n${text}`;
}

/** The OpenAPI document. It needs no database: routes use their services only when a request comes. */
export async function describeApi() {
  const described: Pick<ApiServices, 'settings' | 'log' | 'serves'> = {
    settings: loadSettings({}, import.meta.dirname),
    log: pino({ level: 'silent' }),
    serves: 'everything',
  };
  const app = await createApp(described as ApiServices);
  const document = app.swagger();
  await app.close();
  return document as Parameters<typeof generateApi>[0]['spec'];
}
