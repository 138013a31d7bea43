import type { ClaimedTask } from '../postgres/task-store.js';
import { freezeDeep } from '../run/freeze.js';
import type { Handler } from './execution.js';

export interface TaskInputs {
  readonly input: unknown;
  readonly deps: Readonly<Record<string, unknown>>;
}

/**
 * Says what each task of a claim gets: its run's input and the outputs that its step depends on come once, with the first
 * task of each run and step.
 */
export function shareInputs(
  tasks: readonly ClaimedTask[],
  handlers: ReadonlyMap<number, Handler>,
): (task: ClaimedTask) => TaskInputs {
  const firsts = new Map<string, ClaimedTask>();
  for (const task of tasks) {
    if (!task.deps || handlers.get(task.handlerId)!.step.kind !== 'map') continue;
    // The tasks of a map share one parsed input: none may alter it under the others.
    freezeDeep(task.input);
    freezeDeep(task.deps);
    firsts.set(stepOf(task), task);
  }
  return (task) => {
    const { input, deps = {} } = task.deps ? task : (firsts.get(stepOf(task)) ?? task);
    return { input, deps };
  };
}

function stepOf({ runId, stepIndex }: ClaimedTask): string {
  return `${runId}:${stepIndex}`;
}
