import type { ClaimedTask, StepKey } from '../postgres/task-store.js';
import { freezeDeep } from '../run/freeze.js';

export interface TaskInputs {
  readonly input: unknown;
  readonly deps: Readonly<Record<string, unknown>>;
}

interface Shared extends TaskInputs, StepKey {
  holders: number;
}

/** Most steps of maps that a claim names: it looks through them for each step that it finds. */
const MOST_KNOWN = 20;

/**
 * The inputs of maps: their tasks share one parsed value, frozen, since none may alter it under the others. It comes with
 * the first task of a step in each claim, unless the worker holds a task of that step already: of a wide map it is sent
 * once, not with each claim.
 */
export class SharedInputs {
  readonly #steps = new Map<string, Shared>();

  /** What a task of a map gets, until it is released. */
  hold(task: ClaimedTask): TaskInputs {
    const key = keyOf(task);
    let shared = this.#steps.get(key);
    if (!shared) {
      const { runId, stepIndex, input, deps = {} } = task;
      shared = { runId, stepIndex, input: freezeDeep(input), deps: freezeDeep(deps), holders: 0 };
      this.#steps.set(key, shared);
    }
    shared.holders += 1;
    return shared;
  }

  release(step: StepKey): void {
    const key = keyOf(step);
    const shared = this.#steps.get(key)!;
    shared.holders -= 1;
    if (shared.holders === 0) this.#steps.delete(key);
  }

  /** The steps whose inputs need not be sent; they stay until they are released. */
  holdKnown(): readonly StepKey[] {
    const known: Shared[] = [];
    for (const shared of this.#steps.values()) {
      if (known.length === MOST_KNOWN) break;
      shared.holders += 1;
      known.push(shared);
    }
    return known;
  }
}

function keyOf({ runId, stepIndex }: StepKey): string {
  return `${runId}:${stepIndex}`;
}
