import { PgFlowError } from '../errors.js';

export function runNotFound(runId: string): PgFlowError {
  return new PgFlowError(
    'RUN_NOT_FOUND',
    `There is no run ${runId}. Check the id; a finished run may have been pruned.`,
    { data: { runId } },
  );
}

export function runUnreadable(runId: string): PgFlowError {
  return new PgFlowError(
    'DATABASE_UNAVAILABLE',
    `Run ${runId} was read, but not all of its steps are there. Check its rows in run_steps.`,
    { data: { runId } },
  );
}

export function nobodyWatches(runId: string): PgFlowError {
  return new PgFlowError('CLOSED', `Nobody watches run ${runId} any more. Track it again.`, {
    data: { runId },
  });
}

export function nobodyWatchesList(): PgFlowError {
  return new PgFlowError('CLOSED', 'Nobody watches this list of runs any more. Track it again.');
}

export function trackerClosed(): PgFlowError {
  return new PgFlowError('CLOSED', 'Live runs were ended, because pgflow was stopped. Create a new one.');
}
