import { PgFlowError } from 'pgflow-live';
import { CannotStart } from './cannot-start.js';

let isStopping = false;

/** Runs an example. What goes wrong is said, and ends the process. */
export function runProgram(main: () => Promise<void>): void {
  main().catch((error) => {
    // What was stopped on its way up fails because of that.
    if (!isStopping) fail(error);
  });
}

/** The first signal stops in good order, the second at once. */
export function stopOnSignal(stop: () => Promise<void>): void {
  const begin = () => {
    if (isStopping) return;
    isStopping = true;
    console.log('\nStopping; running tasks get 10 seconds. Once more to stop at once.');
    stop().then(() => {
      console.log('Stopped.');
      process.exit(0);
    }, fail);
  };
  const onSignal = () => {
    if (!isStopping) return begin();
    console.log('Stopped at once. What was running goes on after the next start.');
    process.exit(1);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  whenNpmIsGone(begin);
}

/** npm passes a SIGTERM on to the shell that it started us with, which ends and tells us nothing. */
function whenNpmIsGone(fn: () => void): void {
  if (!process.env.npm_lifecycle_event) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    fn();
  }, 500);
  timer.unref();
}

function fail(error: unknown): never {
  if (error instanceof PgFlowError) console.error(`\n${error.code}: ${error.message}`);
  else if (error instanceof CannotStart) console.error(`\n${error.message}`);
  else console.error(error);
  process.exit(1);
}
