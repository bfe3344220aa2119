// Writes the tables of docs/scaling.md again: node bench/scaling/main.ts
import { readFileSync, writeFileSync } from 'node:fs';
import { PAGE, readRun, withTables } from './page.ts';

writeFileSync(PAGE, withTables(readFileSync(PAGE, 'utf8'), readRun()));
