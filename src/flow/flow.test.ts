import { describe, expect, it } from 'vitest';
import { assertRunnable } from './assert-runnable.js';
import { defineFlow } from './define-flow.js';
import { parentsOf } from './flow.js';

describe('parentsOf', () => {
  it('is what a step waits for: its dependencies and what it runs over, each once', () => {
    const flow = defineFlow({ slug: 'f' })
      .step('a', () => [1])
      .step('b', { dependsOn: ['a'] }, () => 2)
      .map('over', { over: 'a' }, () => 3)
      .map('beside', { over: 'a', dependsOn: ['b'] }, () => 4)
      .map('both', { over: 'a', dependsOn: ['a', 'b'] }, () => 5);
    expect(flow.steps.map(parentsOf)).toEqual([[], ['a'], ['a'], ['b', 'a'], ['a', 'b']]);
  });
});

describe('assertRunnable', () => {
  it('refuses a flow without steps', () => {
    const flow = defineFlow({ slug: 'empty' });
    expect(() => assertRunnable(flow)).toThrow(expect.objectContaining({ code: 'INVALID_DEFINITION' }));
    expect(() => assertRunnable(flow)).toThrow('Flow `empty` has no steps.');
  });

  it('accepts one with a step', () => {
    expect(() => assertRunnable(defineFlow({ slug: 'f' }).step('a', () => 1))).not.toThrow();
  });
});
