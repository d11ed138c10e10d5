import { endWithParent, leaveSignalsToParent } from './runtime/end-with-parent.ts';
import { systemClock } from './runtime/system-clock.ts';
import { DESCRIPTOR, type ExecutorArguments, LIFELINE } from './server/executor/arguments.ts';
import { serve } from './server/executor/serve.ts';

/** The process that carries out clients' SQL for a server, which starts it: see `server/executors/executor-process.ts`. */
const parent = process.ppid;
const options = JSON.parse(process.argv[2] ?? '') as ExecutorArguments;
Error.stackTraceLimit = 0;
leaveSignalsToParent();
endWithParent(LIFELINE);
serve({ ...options, descriptor: DESCRIPTOR, clock: systemClock, isOrphan: () => process.ppid !== parent });
// Not by `process.exit`, which closes connections: see `serve`.
process.kill(process.pid, 'SIGKILL');
