// Writes the tables of docs/scaling.md again: node bench/scaling/main.ts
import { writePage } from './page.ts';

writePage();
