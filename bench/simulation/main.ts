// Simulates a slice of a billion webhooks a day, and writes bench/simulation/figures.json and the tables of
// docs/scaling.md again: npm run simulate
import { writeFileSync } from 'node:fs';
import { writePage } from '../scaling/page.ts';
import { SIMULATED } from './read.ts';
import { runAll } from './runs.ts';

writeFileSync(SIMULATED, `${JSON.stringify(await runAll(), null, 1)}\n`);
writePage();
// Intervals of the code that was simulated may be left.
process.exit();
