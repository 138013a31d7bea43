import type { EventType, RunEvent } from '../../src/run/event.js';
import { isTerminalRun, isTerminalStep, type Run } from '../../src/run/run.js';

export const EVENT_TYPES: readonly EventType[] = [
  'run_started',
  'run_completed',
  'run_failed',
  'run_cancelled',
  'step_started',
  'step_completed',
  'step_failed',
  'step_skipped',
  'step_cancelled',
  'task_started',
  'task_completed',
  'task_failed',
  'task_logged',
];

export function nameOf({ type, stepSlug }: RunEvent): string {
  return type.startsWith('run_') ? type : `${type} ${stepSlug}`;
}

/** The run and step events, by name, that whoever saw both of these states must have been told between them. */
export function expectedEvents(first: Run, last: Run): string[] {
  const names = last.stepStates.flatMap((step, i) => {
    const before = first.stepStates[i]!;
    const started = before.startedAt === null && step.startedAt !== null && step.initialTasks !== 0;
    const ended = !isTerminalStep(before.status) && isTerminalStep(step.status);
    return [
      ...(started ? [`step_started ${step.stepSlug}`] : []),
      ...(ended ? [`step_${step.status} ${step.stepSlug}`] : []),
    ];
  });
  const ended = !isTerminalRun(first.status) && isTerminalRun(last.status);
  return ended ? [...names, `run_${last.status}`] : names;
}
