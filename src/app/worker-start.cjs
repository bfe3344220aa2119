// Runs first in each process under a supervisor, by --require: while Node starts, it tells the supervisor
// so, and would end with a stack trace (`write EPIPE`) where that has just been killed. Without this
// error the process sees the channel close, and ends by that.
require('node:cluster').worker?.on('error', () => {});
