import { describe, expect, it } from 'vitest';
import { defineFlow } from '../flow/define-flow.js';
import type { ClaimedTask } from '../postgres/change-rows.js';
import { type Execution, handlersOf } from './execution.js';
import { countFollowing } from './settler.js';

const flow = defineFlow<{ lines: string[] }>({ slug: 'order' })
  .step('read', ({ input }) => input.lines)
  .step('weigh', { dependsOn: ['read'] }, () => 1)
  .step('price', { dependsOn: ['read'] }, () => 2)
  .step('check', { dependsOn: ['read'] }, () => 3)
  .step('sum', { dependsOn: ['weigh', 'price', 'check'] }, () => 6)
  .map('send', { over: 'read', dependsOn: ['sum'] }, () => true)
  .step('close', { dependsOn: ['send'] }, () => null);
const handlers = new Map(handlersOf(flow, [0, 1, 2, 3, 4, 5, 6]));
const place = (slug: string) => flow.steps.findIndex((step) => step.slug === slug);

const ended = (slug: string, taskIndex = 0) => ({
  execution: {
    handler: handlers.get(place(slug))!,
    task: { taskIndex } as ClaimedTask,
  } as unknown as Execution,
  end: { outcome: 'completed', output: '1' } as const,
});

describe('how many tasks may follow', () => {
  it('counts a step with several parents by parts', () => {
    const siblings = ['weigh', 'price', 'check'].map((slug) => ended(slug));
    expect(countFollowing(siblings)).toBe(1);
    expect(countFollowing([...siblings, ...siblings])).toBe(2);
  });

  it('keeps enough for what one of them may release', () => {
    expect(countFollowing([ended('weigh')])).toBe(1);
    expect(countFollowing([ended('read')])).toBeGreaterThan(500);
  });

  it('counts what follows on a map once', () => {
    const tasks = Array.from({ length: 100 }, (_, i) => ended('send', i));
    expect(countFollowing(tasks)).toBe(1);
    expect(countFollowing(tasks.slice(50))).toBe(1);
  });

  it('expects nothing of begins and of last steps', () => {
    expect(countFollowing([{ ...ended('read'), end: null }, ended('close')])).toBe(0);
  });
});
