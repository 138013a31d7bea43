import type { RunOrigin, RunValues } from './change.js';
import type { Run } from './run.js';

/** What a change that begins the run says of it. */
export function originOf(run: Run): RunOrigin {
  const { flowSlug, version, input, startedAt, retryOf } = run;
  return { flowSlug, version, input, startedAt, retryOf };
}

/** What any change up to the run's seq says of it. */
export function valuesOf(run: Run, cancelReason: string | null): RunValues {
  const { status, output, error, remainingSteps, completedAt, failedAt, cancelledAt } = run;
  return { status, output, error, remainingSteps, completedAt, failedAt, cancelledAt, cancelReason };
}
