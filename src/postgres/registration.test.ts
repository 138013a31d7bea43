import { describe, expect, it } from 'vitest';
import { defineFlow } from '../flow/define-flow.js';
import { defineJob } from '../flow/define-job.js';
import { registrationOf } from './registration.js';

const nothing = () => null;
const OPTIONS = { maxAttempts: 3, baseDelay: 1, timeout: 60, startDelay: 0 };

/** The registration of a flow whose second step was given these options. */
function registered(options: object, kind: 'step' | 'map' = 'step') {
  const flow: any = defineFlow({ slug: 'f' }).step('a', () => [1]);
  const registration = registrationOf(flow[kind]('b', options, nothing));
  return { shape: registration.shape, step: registration.steps[1]! };
}

describe('registrationOf', () => {
  it('names steps by their place', () => {
    const flow = defineFlow({ slug: 'f', maxAttempts: 5 })
      .step('a', () => [1])
      .step('b', { dependsOn: ['a'], timeout: 2 }, nothing)
      .map('c', { over: 'a', dependsOn: ['b', 'a'], startDelay: 3 }, nothing);
    expect(registrationOf(flow)).toMatchObject({
      slug: 'f',
      kind: 'flow',
      steps: [
        { ...OPTIONS, maxAttempts: 5, slug: 'a', kind: 'single', dependsOn: [], over: null },
        { ...OPTIONS, maxAttempts: 5, timeout: 2, slug: 'b', kind: 'single', dependsOn: [0], over: null },
        { ...OPTIONS, maxAttempts: 5, startDelay: 3, slug: 'c', kind: 'map', dependsOn: [1, 0], over: 0 },
      ],
    });
  });

  it('is of one step for a job', () => {
    const { slug, kind, steps } = registrationOf(defineJob({ slug: 'j' }, nothing));
    expect({ slug, kind, steps }).toEqual({
      slug: 'j',
      kind: 'job',
      steps: [
        {
          ...OPTIONS,
          slug: 'j',
          kind: 'single',
          dependsOn: [],
          over: null,
          whenUnmet: 'skip',
          whenExhausted: 'fail',
          signature: expect.stringMatching(/^[0-9a-f]{32}$/),
        },
      ],
    });
  });

  it('has the keys of the patterns that were given only, because null is a pattern', () => {
    expect(registered({}).step).not.toHaveProperty('if');
    expect(registered({}).step).not.toHaveProperty('ifNot');
    expect(registered({ if: null }).step).toHaveProperty('if', null);
    expect(registered({ if: null }).step).not.toHaveProperty('ifNot');
    expect(registered({ ifNot: false, whenUnmet: 'fail', whenExhausted: 'skip-cascade' }).step).toMatchObject(
      {
        ifNot: false,
        whenUnmet: 'fail',
        whenExhausted: 'skip-cascade',
      },
    );
  });
});

describe('the shape', () => {
  it('is the same for the same flow, whatever its attempts, delays and timeouts', () => {
    const { shape } = registered({ dependsOn: ['a'] });
    expect(registered({ dependsOn: ['a', 'a'] }).shape).toBe(shape);
    const options = { maxAttempts: 1, baseDelay: 2, timeout: 3, startDelay: 4 };
    expect(registered({ dependsOn: ['a'], ...options }).shape).toBe(shape);
  });

  it('does not depend on the order of keys, nor on a default being spelled out', () => {
    const first = registered({ if: { x: 1, y: { p: [{ m: 1, n: 2 }], q: null } }, whenExhausted: 'fail' });
    const second = registered({ if: { y: { q: null, p: [{ n: 2, m: 1 }] }, x: 1 }, whenUnmet: 'skip' });
    expect(second.shape).toBe(first.shape);
  });

  it('is another one for other kinds, dependencies and conditions', () => {
    const variants = [
      registered({}),
      registered({}, 'map'),
      registered({ dependsOn: ['a'] }),
      registered({ over: 'a' }, 'map'),
      registered({ dependsOn: ['a'] }, 'map'),
      registered({ if: null }),
      registered({ ifNot: null }),
      registered({ if: {} }),
      registered({ if: [] }),
      registered({ if: { a: 1 } }),
      registered({ if: [['a', 1]] }),
      registered({ if: [1, 2] }),
      registered({ if: [2, 1] }),
      registered({ if: JSON.parse('{"__proto__":1}') }),
      registered({ if: null, whenUnmet: 'fail' }),
      registered({ if: null, whenUnmet: 'skip-cascade' }),
      registered({ whenExhausted: 'skip' }),
      registered({ whenExhausted: 'skip-cascade' }),
    ];
    expect(new Set(variants.map(({ shape }) => shape)).size).toBe(variants.length);
  });
});

describe('the signature', () => {
  it('is of kind, dependencies and over, so old and new workers share what only the conditions changed', () => {
    const { signature } = registered({ dependsOn: ['a'] }).step;
    const conditions = { if: { a: [1] }, ifNot: { a: [2] }, whenUnmet: 'fail', whenExhausted: 'skip' };
    expect(registered({ dependsOn: ['a'], ...conditions, maxAttempts: 1 }).step.signature).toBe(signature);
    expect(registered({}).step.signature).not.toBe(signature);
    expect(registered({ dependsOn: ['a'] }, 'map').step.signature).not.toBe(signature);
    expect(registered({ over: 'a' }, 'map').step.signature).not.toBe(
      registered({ dependsOn: ['a'] }, 'map').step.signature,
    );
  });
});
