// `npm run client`: writes the client of the dashboard anew, from the OpenAPI document.
import { writeFileSync } from 'node:fs';
import { CLIENT_PATH, generateDashboardClient } from './generate-client.ts';

writeFileSync(CLIENT_PATH, await generateDashboardClient());
