import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PgFlowError } from '../errors.js';
import { defineFlow, type Flow } from './define-flow.js';

const nothing = () => null;

function refusal(define: () => unknown): string {
  try {
    define();
  } catch (error) {
    expect(error).toBeInstanceOf(PgFlowError);
    expect((error as PgFlowError).code).toBe('INVALID_DEFINITION');
    return (error as PgFlowError).message;
  }
  throw new Error('It was accepted');
}

/** A flow as JavaScript sees it, where the compiler refuses nothing. */
function untyped(flow: object): any {
  return flow;
}

describe('defineFlow', () => {
  it('begins with no steps', () => {
    const flow = defineFlow({ slug: 'empty' });
    expect(flow).toMatchObject({ kind: 'flow', slug: 'empty', steps: [] });
    expect(flow.input).toBeUndefined();
  });

  it('keeps its schema', () => {
    const schema = z.object({ id: z.string() });
    expect(defineFlow({ slug: 'f', input: schema }).step('a', nothing).input).toBe(schema);
  });

  it('takes the schema of a library whose schemas are functions', () => {
    const schema = Object.assign(() => {}, {
      '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
    } as const);
    expect(defineFlow({ slug: 'f', input: schema }).input).toBe(schema);
  });

  it('describes its steps in the order in which they were added', () => {
    const flow = defineFlow({ slug: 'process_order' })
      .step('validate', () => [1])
      .step('charge', { dependsOn: ['validate'] }, nothing)
      .map('notify', { over: 'validate', dependsOn: ['charge'] }, nothing)
      .map('all', nothing);
    expect(flow.steps.map(({ options, conditions, handler, ...step }) => step)).toEqual([
      { slug: 'validate', index: 0, kind: 'single', dependsOn: [], over: null },
      { slug: 'charge', index: 1, kind: 'single', dependsOn: ['validate'], over: null },
      { slug: 'notify', index: 2, kind: 'map', dependsOn: ['charge'], over: 'validate' },
      { slug: 'all', index: 3, kind: 'map', dependsOn: [], over: null },
    ]);
    expect(flow.steps[1]!.handler).toBe(nothing);
  });

  it('leaves a flow as it was when a step is added to it', () => {
    const trunk = defineFlow({ slug: 'f' }).step('a', nothing);
    const left = trunk.step('b', nothing);
    const right = trunk.step('b', { dependsOn: ['a'] }, nothing);
    expect(trunk.steps.map((step) => step.slug)).toEqual(['a']);
    expect(left.steps[1]!.dependsOn).toEqual([]);
    expect(right.steps[1]!.dependsOn).toEqual(['a']);
    expect(left.steps[0]).toBe(trunk.steps[0]);
  });

  it('cannot be altered, nor through what it was made of', () => {
    const dependsOn: 'a'[] = ['a'];
    const options = { dependsOn, maxAttempts: 2 };
    const flow = defineFlow({ slug: 'f' }).step('a', nothing).step('b', options, nothing);
    dependsOn.push('a');
    options.maxAttempts = 9;
    expect(flow.steps[1]).toMatchObject({ dependsOn: ['a'], options: { maxAttempts: 2 } });
    const step = flow.steps[1]!;
    for (const part of [flow, flow.steps, step, step.dependsOn, step.options]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it('builds flows whose steps are known at run time only', () => {
    let flow: Flow = defineFlow({ slug: 'chain' }).step('s0', nothing);
    for (let n = 1; n < 60; n++) flow = flow.step(`s${n}`, { dependsOn: [`s${n - 1}`] }, nothing);
    expect(flow.steps).toHaveLength(60);
    expect(flow.steps[59]).toMatchObject({ slug: 's59', index: 59, dependsOn: ['s58'] });
  });
});

describe('options', () => {
  it('default to 3 attempts, 1 s base delay, 60 s timeout, no start delay', () => {
    expect(defineFlow({ slug: 'f' }).step('a', nothing).steps[0]!.options).toEqual({
      maxAttempts: 3,
      baseDelay: 1,
      timeout: 60,
      startDelay: 0,
    });
  });

  it('come from the step, else from the flow; undefined counts as not given', () => {
    const flow = defineFlow({ slug: 'f', maxAttempts: 7, baseDelay: 0, timeout: 0.5 })
      .step('a', { maxAttempts: 1, startDelay: 2.5, timeout: undefined }, nothing)
      .map('b', { baseDelay: 4 }, nothing);
    expect(flow.steps.map((step) => step.options)).toEqual([
      { maxAttempts: 1, baseDelay: 0, timeout: 0.5, startDelay: 2.5 },
      { maxAttempts: 7, baseDelay: 4, timeout: 0.5, startDelay: 0 },
    ]);
  });
});

describe('option-ranges', () => {
  const attempts = 'a whole number from 1 to 2147483647';
  const delay = 'a number of seconds from 0 to 3153600000';
  const timeout = 'a number of seconds, more than 0 and at most 2147483';

  it.each([
    ['maxAttempts', [0, -1, 1.5, Number.NaN, Infinity, 2 ** 31, '3', null, 1n], attempts],
    ['baseDelay', [-1, -0.001, 3_153_600_000.5, Number.NaN, Infinity, '1', null], delay],
    ['timeout', [0, -1, 2_147_483.5, Number.NaN, Infinity, '1', null], timeout],
    ['startDelay', [-1, 3_153_600_001, Number.NaN, Infinity, -Infinity, '1', null], delay],
  ])('refuses %s out of range on a step and says the range', (name, values, allowed) => {
    const flow = untyped(defineFlow({ slug: 'f' }));
    for (const value of values) {
      for (const kind of ['step', 'map']) {
        const message = refusal(() => flow[kind]('a', { [name]: value }, nothing));
        expect(message).toContain(`\`${name}\` of step \`a\` of flow \`f\` must be ${allowed}, not `);
      }
    }
  });

  it('refuses them on a flow too', () => {
    expect(refusal(() => defineFlow({ slug: 'f', maxAttempts: 0 }))).toBe(
      `\`maxAttempts\` of flow \`f\` must be ${attempts}, not 0.`,
    );
    expect(refusal(() => defineFlow({ slug: 'f', baseDelay: 3_153_600_001 }))).toContain(delay);
    expect(refusal(() => defineFlow({ slug: 'f', timeout: 2_147_484 }))).toContain(timeout);
  });

  it.each([
    { maxAttempts: 1, baseDelay: 0, timeout: 0.001, startDelay: 0 },
    {
      maxAttempts: 2_147_483_647,
      baseDelay: 3_153_600_000,
      timeout: 2_147_483,
      startDelay: 3_153_600_000,
    },
  ])('accepts the ends of the ranges', (ends) => {
    expect(defineFlow({ slug: 'f' }).step('a', ends, nothing).steps[0]!.options).toEqual(ends);
  });

  it.each([
    ['whenUnmet', '`skip`, `skip-cascade`, `fail`'],
    ['whenExhausted', '`fail`, `skip`, `skip-cascade`'],
  ])('refuses an unknown %s and says which there are', (name, allowed) => {
    const flow = untyped(defineFlow({ slug: 'f' }));
    for (const value of ['nope', '', null, 3, 'toString']) {
      expect(refusal(() => flow.step('a', { [name]: value }, nothing))).toContain(
        `\`${name}\` of step \`a\` of flow \`f\` must be one of ${allowed}, not `,
      );
    }
  });

  it('refuses an unknown option and says which there are', () => {
    const flow = untyped(defineFlow({ slug: 'f' }).step('a', () => []));
    expect(refusal(() => flow.step('b', { retries: 3 }, nothing))).toBe(
      '`retries` is no option of step `b` of flow `f`. ' +
        'Its options are `dependsOn`, `maxAttempts`, `baseDelay`, `timeout`, `startDelay`, ' +
        '`if`, `ifNot`, `whenUnmet`, `whenExhausted`.',
    );
    expect(refusal(() => flow.step('b', { over: 'a' }, nothing))).toContain(
      '`over` is no option of step `b`',
    );
    expect(refusal(() => flow.map('b', { dependsON: ['a'] }, nothing))).toContain('`over`, `dependsOn`');
  });

  it.each(['startDelay', 'dependsOn', 'if', 'ifNot', 'whenUnmet', 'whenExhausted'])(
    'refuses the option %s of a step on a flow',
    (name) => {
      expect(refusal(() => defineFlow({ slug: 'f', [name]: 1 }))).toBe(
        `\`${name}\` is no option of flow \`f\`. ` +
          'Its options are `slug`, `input`, `maxAttempts`, `baseDelay`, `timeout`.',
      );
    },
  );

  it('refuses options that are no object', () => {
    const flow = untyped(defineFlow({ slug: 'f' }));
    for (const options of [null, undefined, 'a', 3, [], nothing]) {
      expect(refusal(() => flow.step('a', options, nothing))).toContain('options of step `a` of flow `f`');
      expect(refusal(() => defineFlow(options as any))).toContain('must be an object');
    }
  });

  it('refuses an input that is no Standard Schema', () => {
    for (const input of [null, 'string', {}, { '~standard': {} }, nothing]) {
      expect(refusal(() => defineFlow({ slug: 'f', input: input as any }))).toContain(
        'The `input` of flow `f` must be a Standard Schema',
      );
    }
  });
});

describe('slug-rules', () => {
  it('hold for flows', () => {
    expect(refusal(() => defineFlow({ slug: 'a-b' }))).toContain('`a-b` cannot be the slug of a flow');
    expect(refusal(() => defineFlow({} as any))).toContain('cannot be the slug of a flow');
  });

  it('hold for steps and maps, and the message names the flow', () => {
    const flow = untyped(defineFlow({ slug: 'f' }));
    for (const slug of ['', 'a b', 'run', '__proto__', 'constructor', 7, undefined]) {
      expect(refusal(() => flow.step(slug, nothing))).toContain('cannot be the slug of a step of flow `f`');
      expect(refusal(() => flow.map(slug, nothing))).toContain('cannot be the slug of a step of flow `f`');
    }
  });
});

describe('deps-must-exist', () => {
  const flow = untyped(defineFlow({ slug: 'process_order' }).step('a', nothing));

  it('refuses a step that depends on an unknown one and names both', () => {
    for (const kind of ['step', 'map']) {
      expect(refusal(() => flow[kind]('charge', { dependsOn: ['a', 'validate'] }, nothing))).toBe(
        'Step `charge` depends on `validate`, which flow `process_order` does not have. ' +
          'Add it before `charge` or take it out of `dependsOn`.',
      );
    }
  });

  it('refuses a step that depends on itself and names it twice', () => {
    expect(refusal(() => flow.step('b', { dependsOn: ['b'] }, nothing))).toBe(
      'Step `b` of flow `process_order` depends on `b`, itself. Take it out of `dependsOn`.',
    );
  });

  it('does not take a name that every object has for a step', () => {
    expect(refusal(() => flow.step('b', { dependsOn: ['constructor'] }, nothing))).toContain('`constructor`');
    expect(refusal(() => flow.step('b', { dependsOn: ['__proto__'] }, nothing))).toContain('`__proto__`');
  });

  it('refuses a dependsOn that is no array of slugs', () => {
    for (const dependsOn of ['a', null, { 0: 'a' }, new Set(['a'])]) {
      expect(refusal(() => flow.step('b', { dependsOn }, nothing))).toContain('must be an array of slugs');
    }
    expect(refusal(() => flow.step('b', { dependsOn: [null] }, nothing))).toContain('depends on null');
  });

  it('counts a dependency that is named twice once', () => {
    expect(flow.step('b', { dependsOn: ['a', 'a'] }, nothing).steps[1].dependsOn).toEqual(['a']);
  });

  it('refuses a second step of one slug', () => {
    for (const kind of ['step', 'map']) {
      expect(refusal(() => flow[kind]('a', nothing))).toBe(
        'Flow `process_order` already has a step `a`. Give one of them another slug.',
      );
    }
  });

  it('refuses a handler that is no function', () => {
    for (const args of [[], [undefined], [{}], [{}, undefined], [{}, 'charge'], ['charge']]) {
      expect(refusal(() => flow.step('b', ...args))).toContain(
        'The last argument of step `b` of flow `process_order` must be its handler, a function, not ',
      );
    }
  });
});

describe('map-one-source', () => {
  const flow = untyped(
    defineFlow({ slug: 'f' })
      .step('a', () => [])
      .step('b', () => []),
  );

  it('accepts one step, and the input of the run', () => {
    expect(flow.map('m', { over: 'a' }, nothing).steps[2].over).toBe('a');
    expect(flow.map('m', nothing).steps[2].over).toBeNull();
    expect(flow.map('m', {}, nothing).steps[2].over).toBeNull();
    expect(flow.map('m', { over: undefined }, nothing).steps[2].over).toBeNull();
  });

  it('refuses two steps', () => {
    expect(refusal(() => flow.map('m', { over: ['a', 'b'] }, nothing))).toBe(
      "Map `m` of flow `f` runs over one step, named by its slug, or over the run's input without `over`; " +
        'its `over` is an array. Name one step, and the others in `dependsOn`.',
    );
  });

  it('refuses what is no slug', () => {
    for (const over of [['a'], null, 0, {}]) {
      expect(refusal(() => flow.map('m', { over }, nothing))).toContain(
        'Map `m` of flow `f` runs over one step',
      );
    }
  });

  it('refuses an unknown step and itself, and names both', () => {
    expect(refusal(() => flow.map('m', { over: 'x' }, nothing))).toBe(
      'Map `m` runs over `x`, which flow `f` does not have. ' +
        "Add it before `m` or leave `over` out to run over the run's input.",
    );
    expect(refusal(() => flow.map('m', { over: 'm' }, nothing))).toContain(
      'Map `m` of flow `f` runs over `m`, itself',
    );
  });
});
