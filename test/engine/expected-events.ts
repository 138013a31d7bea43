import type { RunEvent } from '../../src/run/event.js';
import { isTerminalRun, isTerminalStep, type Run } from '../../src/run/run.js';

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
