import { readFileSync } from 'node:fs';
import t from 'tap';
import { CLIENT_PATH, generateDashboardClient } from './generate-client.ts';

t.test('the client of the dashboard fits the OpenAPI document', async (t) => {
  t.ok(
    readFileSync(CLIENT_PATH, 'utf8') === (await generateDashboardClient()),
    'src/dashboard/api/client.ts is up to date; if it is not, run `npm run client`',
  );
});
