import { expect, it } from 'vitest';
import type { ClaimedTask } from '../postgres/task-store.js';
import { SharedInputs } from './shared-inputs.js';

const task = (runId: string, taskIndex: number, inputs?: Pick<ClaimedTask, 'input' | 'deps'>) =>
  ({ runId, stepIndex: 1, taskIndex, claim: 1, ...inputs }) as ClaimedTask;

it('gives all tasks of a step the input that came with the first, frozen', () => {
  const inputs = new SharedInputs();
  const first = inputs.hold(task('a', 0, { input: { rows: [1] }, deps: { load: [1] } }));
  const second = inputs.hold(task('a', 1));
  const other = inputs.hold(task('b', 0, { input: 2, deps: {} }));

  expect(second.input).toBe(first.input);
  expect(second.deps).toBe(first.deps);
  expect(other.input).toBe(2);
  expect(() => (first.input as { rows: number[] }).rows.push(2)).toThrow(TypeError);
});

it('knows a step until the last that holds it has released it, a claim under way too', () => {
  const inputs = new SharedInputs();
  inputs.hold(task('a', 0, { input: 1, deps: {} }));
  const known = inputs.holdKnown();
  inputs.release(task('a', 0));

  expect(known).toMatchObject([{ runId: 'a', stepIndex: 1 }]);
  expect(inputs.hold(task('a', 1)).input).toBe(1);
  inputs.release(task('a', 1));
  for (const step of known) inputs.release(step);
  expect(inputs.holdKnown()).toEqual([]);
});
