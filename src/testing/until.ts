import { PgFlowError } from '../errors.js';
import type { AnyFlow } from '../flow/flow.js';
import type { LiveRun } from '../live/live-run.js';
import { isTerminalRun, type Run } from '../run/run.js';

/**
 * The first state of a live run for which that holds, from the one that it shows now on.
 *
 * @param timeout seconds.
 * @throws {PgFlowError} `RUN_UNREACHABLE` when the run ended and it does not hold, `TIMEOUT`, and why the live run
 *   ended; what `holds` throws.
 */
export function until<F extends AnyFlow>(
  live: LiveRun<F>,
  holds: (run: Run<F>) => boolean,
  timeout: number,
): Promise<Run<F>> {
  const stops: (() => void)[] = [];
  return new Promise<Run<F>>((resolve, reject) => {
    const look = () => {
      try {
        const run = live.getSnapshot();
        if (live.ended) reject(live.ended);
        else if (holds(run)) resolve(run);
        else if (isTerminalRun(run.status)) reject(unreachable(run));
      } catch (error) {
        reject(error);
      }
    };
    const timer = setTimeout(() => reject(timedOut(live.getSnapshot(), timeout)), timeout * 1000);
    stops.push(live.subscribe(look), live.onFreshness(look), () => clearTimeout(timer));
    look();
  }).finally(() => {
    for (const stop of stops) stop();
  });
}

function unreachable(run: Run): PgFlowError {
  return new PgFlowError(
    'RUN_UNREACHABLE',
    `${told(run)}, so what the test waits for will not come. A state that a run only passes through can be missed: hold its handler with a gate().`,
    { data: { runId: run.runId, status: run.status } },
  );
}

function timedOut(run: Run, timeout: number): PgFlowError {
  return new PgFlowError('TIMEOUT', `After ${timeout} s it does not hold: ${told(run)}. It goes on.`, {
    data: { runId: run.runId, status: run.status },
  });
}

function told(run: Run): string {
  const error = run.error ? ` (${run.error.stepSlug}: ${run.error.message})` : '';
  const steps = run.stepStates.map(({ stepSlug, status }) => `${stepSlug} ${status}`).join(', ');
  return `Run ${run.runId} of \`${run.flowSlug}\` is ${run.status}${error}, with ${steps}`;
}
