// Runs `posthorn …`, and kills itself when a phase of a move begins, or so many milliseconds later.
import { runCli } from '../../src/cli/cli.ts';

const [phase, afterMs, ...args] = process.argv.slice(2);
const write = process.stderr.write.bind(process.stderr);
process.stderr.write = ((text: string) => {
  const die = () => process.kill(process.pid, 'SIGKILL');
  if (text.startsWith(`${phase}:`)) {
    if (afterMs === '0') die();
    else setTimeout(die, Number(afterMs));
  }
  return write(text);
}) as typeof process.stderr.write;
await runCli([process.execPath, 'posthorn', ...args]);
