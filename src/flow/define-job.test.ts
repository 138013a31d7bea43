import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineJob } from './define-job.js';

const nothing = () => null;

describe('defineJob', () => {
  it('is a flow of one step that has its slug', () => {
    const schema = z.object({ to: z.string() });
    const job = defineJob({ slug: 'send_email', input: schema, maxAttempts: 5 }, nothing);
    expect(job).toEqual({
      kind: 'job',
      slug: 'send_email',
      input: schema,
      steps: [
        {
          slug: 'send_email',
          index: 0,
          kind: 'single',
          dependsOn: [],
          over: null,
          options: { maxAttempts: 5, baseDelay: 1, timeout: 60, startDelay: 0 },
          conditions: { if: undefined, ifNot: undefined, whenUnmet: 'skip', whenExhausted: 'fail' },
          handler: nothing,
        },
      ],
    });
  });

  it('cannot be altered', () => {
    const job = defineJob({ slug: 'j' }, nothing);
    for (const part of [job, job.steps, job.steps[0], job.steps[0]!.options, job.steps[0]!.conditions]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it.each([
    ['a slug', () => defineJob({ slug: 'a-b' }, nothing), '`a-b` cannot be the slug of a job'],
    ['an option', () => defineJob({ slug: 'j', timeout: 0 }, nothing), '`timeout` of job `j` must be'],
    ['a name', () => defineJob({ slug: 'j', dependsOn: [] } as any, nothing), 'is no option of job `j`'],
    ['a condition', () => defineJob({ slug: 'j', if: {} } as any, nothing), '`if` is no option of job `j`'],
    ['a schema', () => defineJob({ slug: 'j', input: {} as any }, nothing), 'The `input` of job `j`'],
    ['a handler', () => defineJob({ slug: 'j' }, undefined as any), 'The last argument of job `j`'],
    ['no options', () => defineJob(undefined as any, nothing), 'must be an object'],
  ])('refuses %s like a flow', (_what, define, message) => {
    expect(define).toThrow(expect.objectContaining({ code: 'INVALID_DEFINITION' }));
    expect(define).toThrow(message);
  });
});
