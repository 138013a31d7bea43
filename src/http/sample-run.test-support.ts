import { applyChange } from '../run/apply-change.js';
import type { Change, RunValues, StepChange } from '../run/change.js';
import type { Run, StepState, StepStatus } from '../run/run.js';

const AT = new Date('2026-01-01T00:00:00.000Z');

export const RUN_ID = '0190a000-0000-7000-8000-000000000001';
export const OTHER_ID = '0190a000-0000-7000-8000-000000000002';

/** The changes of a run whose steps start and complete one after the other: 1 + 2 · steps of them. */
export function sampleChanges(runId: string, slugs: readonly string[], outputs: unknown = null): Change[] {
  const count = slugs.length;
  const steps = slugs.map((slug, index) => ({ index, seq: 1, state: stepState(slug, 'created', null) }));
  const origin = { flowSlug: 'process_order', version: 1, input: { a: 1 }, startedAt: AT, retryOf: null };
  const changes: Change[] = [change(runId, 1, runValues(count), steps, origin)];
  for (const [index, slug] of slugs.entries()) {
    const seq = 2 + 2 * index;
    const started = { index, seq, state: stepState(slug, 'started', null) };
    const completed = { index, seq: seq + 1, state: stepState(slug, 'completed', outputs) };
    changes.push(change(runId, seq, runValues(count - index), [started], null));
    changes.push(change(runId, seq + 1, runValues(count - index - 1), [completed], null));
  }
  return changes;
}

/** Every state of that run, by its seq; index 0 is empty. */
export function statesOf(changes: readonly Change[]): Run[] {
  const states: Run[] = [];
  let run: Run | null = null;
  for (const next of changes) {
    run = applyChange(run, next).run!;
    states[run.seq] = run;
  }
  return states;
}

function change(
  runId: string,
  seq: number,
  run: RunValues,
  steps: StepChange[],
  origin: Change['origin'],
): Change {
  return { runId, since: seq - 1, seq, origin, run, steps, tasks: [] };
}

function runValues(remainingSteps: number): RunValues {
  const isOver = remainingSteps === 0;
  return {
    status: isOver ? 'completed' : 'started',
    output: isOver ? { done: true } : null,
    error: null,
    remainingSteps,
    completedAt: isOver ? AT : null,
    failedAt: null,
    cancelledAt: null,
    cancelReason: null,
  };
}

function stepState(stepSlug: string, status: StepStatus, output: unknown): StepState {
  return {
    stepSlug,
    status,
    remainingDeps: 0,
    initialTasks: 1,
    remainingTasks: status === 'completed' ? 0 : 1,
    attempt: status === 'created' ? 0 : 1,
    output: status === 'completed' ? output : null,
    errorMessage: null,
    skipReason: null,
    progress: null,
    createdAt: AT,
    startedAt: status === 'created' ? null : AT,
    completedAt: status === 'completed' ? AT : null,
    failedAt: null,
    skippedAt: null,
    cancelledAt: null,
  };
}
