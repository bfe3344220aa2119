// Loaded by `node --import`: appends the URL of each module that is loaded to the file of the variable LOADED_TO.
import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

const file = process.env.LOADED_TO;
if (file === undefined) throw new Error('LOADED_TO names no file');
registerHooks({
  load(url, context, nextLoad) {
    appendFileSync(file, `${url}\n`);
    return nextLoad(url, context);
  },
});
