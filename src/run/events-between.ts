import type { Change, TaskFact } from './change.js';
import type { RunEvent } from './event.js';
import { isTerminalRun, isTerminalStep, type Run, type StepState } from './run.js';

/**
 * The events of a change, from the run before it and the run after it.
 *
 * Run and step events follow from what differs, so they come exactly once, however many changes were
 * lost and read again in one. Task events are the facts that the change carries, never made up.
 *
 * Order: `run_started` (only when there was no run before); then step by step, by the seq that touched
 * the step last and its place in the flow: `step_started`, its tasks, how it ended; tasks of other
 * steps; the run's end last.
 */
export function eventsBetween(before: Run | null, after: Run, change: Change): RunEvent[] {
  const events: RunEvent[] = [];
  if (before === null) {
    events.push({ type: 'run_started', runId: after.runId, seq: 1, at: after.startedAt });
  }
  const facts = factsByStep(change.tasks);
  for (const { index, seq } of change.steps) {
    const step = after.stepStates[index];
    const previous = before?.stepStates[index];
    if (step === undefined || step === previous) continue;
    const started = stepStarted(after.runId, seq, previous, step);
    if (started !== null) events.push(started);
    for (const fact of facts.get(step.stepSlug) ?? []) events.push(taskEvent(fact, change));
    facts.delete(step.stepSlug);
    const ended = stepEnded(after.runId, seq, previous, step);
    if (ended !== null) events.push(ended);
  }
  for (const fact of change.tasks) {
    if (facts.has(fact.stepSlug)) events.push(taskEvent(fact, change));
  }
  const ended = runEnded(before, after, change);
  if (ended !== null) events.push(ended);
  return events;
}

function stepStarted(
  runId: string,
  seq: number,
  before: StepState | undefined,
  after: StepState,
): RunEvent | null {
  if (after.startedAt === null || (before?.startedAt ?? null) !== null) return null;
  // A step without tasks starts and completes in one: only its completion is told.
  if (after.initialTasks === 0) return null;
  const { stepSlug, attempt } = after;
  return { type: 'step_started', runId, seq, at: after.startedAt, stepSlug, attempt };
}

function stepEnded(
  runId: string,
  seq: number,
  before: StepState | undefined,
  after: StepState,
): RunEvent | null {
  if (!isTerminalStep(after.status) || (before !== undefined && isTerminalStep(before.status))) return null;
  const { stepSlug, attempt } = after;
  const error = after.errorMessage === null ? {} : { error: after.errorMessage };
  switch (after.status) {
    case 'completed': {
      const at = after.completedAt as Date;
      return { type: 'step_completed', runId, seq, at, stepSlug, attempt, output: after.output };
    }
    case 'failed':
      return { type: 'step_failed', runId, seq, at: after.failedAt as Date, stepSlug, attempt, ...error };
    case 'skipped': {
      const skip = after.skipReason === null ? {} : { skipReason: after.skipReason };
      const at = after.skippedAt as Date;
      return { type: 'step_skipped', runId, seq, at, stepSlug, attempt, ...skip, ...error };
    }
    default:
      return {
        type: 'step_cancelled',
        runId,
        seq,
        at: after.cancelledAt as Date,
        stepSlug,
        attempt,
        ...error,
      };
  }
}

function runEnded(before: Run | null, after: Run, change: Change): RunEvent | null {
  if (!isTerminalRun(after.status) || (before !== null && isTerminalRun(before.status))) return null;
  const { runId, seq } = after;
  switch (after.status) {
    case 'completed':
      return { type: 'run_completed', runId, seq, at: after.completedAt as Date, output: after.output };
    case 'failed': {
      const { error } = after;
      const why = error === null ? {} : { stepSlug: error.stepSlug, error: error.message };
      const task = error === null || error.taskIndex === null ? {} : { taskIndex: error.taskIndex };
      return { type: 'run_failed', runId, seq, at: after.failedAt as Date, ...why, ...task };
    }
    default: {
      const reason = change.run.cancelReason === null ? {} : { reason: change.run.cancelReason };
      return { type: 'run_cancelled', runId, seq, at: after.cancelledAt as Date, ...reason };
    }
  }
}

function factsByStep(tasks: readonly TaskFact[]): Map<string, TaskFact[]> {
  const facts = new Map<string, TaskFact[]>();
  for (const fact of tasks) {
    const known = facts.get(fact.stepSlug);
    if (known === undefined) facts.set(fact.stepSlug, [fact]);
    else known.push(fact);
  }
  return facts;
}

function taskEvent(fact: TaskFact, { runId, seq }: Change): RunEvent {
  return { ...fact, runId, seq };
}
