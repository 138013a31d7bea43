import { type AnyFlow, parentsOf, type StepDefinition } from '../flow/flow.js';
import type { Change } from './change.js';
import { freezeDeep } from './freeze.js';
import { createRun, type Run, type StepState } from './run.js';
import { originOf, valuesOf } from './values-of.js';

/**
 * A run as it is right after its start, when none of its steps has ended at once: what a snapshot
 * of it at seq 1 would say, without asking the database.
 *
 * @param input as it is stored, parsed; it is frozen.
 */
export function begunRun(
  flow: AnyFlow,
  version: number,
  runId: string,
  input: unknown,
  startedAt: Date,
): Run {
  return createRun({
    runId,
    flowSlug: flow.slug,
    version,
    status: 'started',
    input: freezeDeep(input),
    output: null,
    error: null,
    remainingSteps: flow.steps.length,
    seq: 1,
    startedAt,
    completedAt: null,
    failedAt: null,
    cancelledAt: null,
    retryOf: null,
    stepStates: flow.steps.map((step) => begunStep(step, input, startedAt)),
  });
}

/** Such a run as the change that began it. */
export function begunChange(run: Run): Change {
  const { runId, seq } = run;
  return {
    runId,
    since: 0,
    seq,
    origin: originOf(run),
    run: valuesOf(run, null),
    steps: run.stepStates.map((state, index) => ({ index, seq, state })),
    tasks: [],
  };
}

function begunStep(step: StepDefinition, input: unknown, createdAt: Date): StepState {
  const remainingDeps = parentsOf(step).length;
  const tasks = remainingDeps > 0 ? null : step.kind === 'single' ? 1 : (input as readonly unknown[]).length;
  return Object.freeze({
    stepSlug: step.slug,
    status: 'created',
    remainingDeps,
    initialTasks: tasks,
    remainingTasks: tasks,
    attempt: 0,
    output: null,
    errorMessage: null,
    skipReason: null,
    progress: null,
    createdAt,
    startedAt: null,
    completedAt: null,
    failedAt: null,
    skippedAt: null,
    cancelledAt: null,
  });
}
