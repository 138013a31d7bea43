import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { PgFlowError } from '../errors.js';
import { defineFlow } from './define-flow.js';
import type { StepConditions } from './flow.js';

const nothing = () => null;

/** As JavaScript sees it, where the compiler refuses nothing. */
const flow: any = defineFlow({ slug: 'f' })
  .step('a', () => [1])
  .step('b', nothing);

function conditionsOf(options: object, kind: 'step' | 'map' = 'step'): StepConditions {
  return flow[kind]('s', options, nothing).steps[2].conditions;
}

function refusal(options: object, kind: 'step' | 'map' = 'step'): PgFlowError {
  try {
    conditionsOf(options, kind);
  } catch (error) {
    expect(error).toBeInstanceOf(PgFlowError);
    expect((error as PgFlowError).code).toBe('INVALID_DEFINITION');
    return error as PgFlowError;
  }
  throw new Error('It was accepted');
}

function nested(levels: number): unknown {
  let pattern: unknown = null;
  for (let n = 0; n < levels; n++) pattern = n % 2 === 0 ? [pattern] : { a: pattern };
  return pattern;
}

describe('conditions', () => {
  it('default to none: what is skipped is skipped alone, what is exhausted fails', () => {
    const none = { if: undefined, ifNot: undefined, whenUnmet: 'skip', whenExhausted: 'fail' };
    expect(flow.steps[0].conditions).toEqual(none);
    for (const kind of ['step', 'map'] as const) {
      expect(conditionsOf({}, kind)).toEqual(none);
      expect(conditionsOf({ if: undefined, whenUnmet: undefined, whenExhausted: undefined }, kind)).toEqual(
        none,
      );
    }
  });

  it.each(['step', 'map'] as const)('are kept as given on a %s', (kind) => {
    const given = {
      if: { a: [{ price: 0 }] },
      ifNot: { b: {} },
      whenUnmet: 'skip-cascade',
      whenExhausted: 'skip',
    };
    expect(conditionsOf({ dependsOn: ['a', 'b'], ...given }, kind)).toEqual(given);
    expect(conditionsOf({ if: 1, whenUnmet: 'fail', whenExhausted: 'skip-cascade' }, kind)).toEqual({
      if: 1,
      ifNot: undefined,
      whenUnmet: 'fail',
      whenExhausted: 'skip-cascade',
    });
  });

  it('refuse a whenUnmet without a condition, which would do nothing', () => {
    for (const whenUnmet of ['skip', 'skip-cascade', 'fail']) {
      expect(refusal({ whenUnmet, if: undefined }).message).toBe(
        '`whenUnmet` of step `s` of flow `f` does nothing without a condition. Add `if` or `ifNot`, or take it out.',
      );
    }
    expect(conditionsOf({ whenUnmet: 'fail', ifNot: null })).toMatchObject({
      whenUnmet: 'fail',
      ifNot: null,
    });
  });

  it('cannot be altered, nor through what they were made of', () => {
    const pattern = { lines: [{ sku: 'a' }] };
    const conditions = conditionsOf({ if: pattern, ifNot: pattern });
    pattern.lines[0]!.sku = 'b';
    pattern.lines.push({ sku: 'c' });
    expect(conditions.if).toEqual({ lines: [{ sku: 'a' }] });
    const copy = conditions.if as typeof pattern;
    for (const part of [conditions, copy, copy.lines, copy.lines[0]]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });
});

describe('the pattern of a step that waits for nothing', () => {
  it.each<[pattern: unknown]>([
    [null],
    [false],
    [0],
    [-1.5e300],
    [''],
    ['null'],
    ['Ünï 😀 \\u0000'],
    [[]],
    [{}],
    [[null, [true]]],
    [{ '': { 'a.b': [] } }],
    [{ anything: 1, a: 2 }],
  ])('may be any JSON: %j', (pattern) => {
    for (const kind of ['step', 'map'] as const) {
      expect(conditionsOf({ if: pattern, ifNot: pattern }, kind)).toMatchObject({
        if: pattern,
        ifNot: pattern,
      });
    }
  });

  it('keeps own __proto__ and constructor keys as data', () => {
    const text = '{"__proto__":{"polluted":true},"constructor":{"a":1}}';
    const pattern = conditionsOf({ if: JSON.parse(text) }).if;
    expect(JSON.stringify(pattern)).toBe(text);
    expect(({} as any).polluted).toBeUndefined();
  });

  it('may be an object without a prototype or of another realm', () => {
    const bare = Object.assign(Object.create(null), { a: 1 });
    const foreign = runInNewContext('({ a: [{ b: 1 }] })');
    expect(conditionsOf({ if: { bare, foreign } }).if).toEqual({
      bare: { a: 1 },
      foreign: { a: [{ b: 1 }] },
    });
  });

  const cycle: Record<string, unknown> = {};
  cycle.self = [cycle];
  const sparse: unknown[] = [1];
  sparse.length = 2;

  it.each<[string, unknown, string, string]>([
    ['a bigint', { total: 5n }, 'if.total', 'is 5n'],
    ['NaN', [1, Number.NaN], 'if[1]', 'is NaN'],
    ['an infinite number', Infinity, 'if', 'is Infinity'],
    ['undefined', { plan: undefined }, 'if.plan', 'is undefined'],
    ['a hole', sparse, 'if[1]', 'is undefined'],
    ['a function', { a: [{ b: nothing }] }, 'if.a[0].b', 'is a function'],
    ['a symbol', { 'a b': Symbol('x') }, 'if["a b"]', 'is Symbol(x)'],
    ['a Date', { at: new Date(0) }, 'if.at', 'is an object of a class. Give its JSON'],
    ['a Map', new Map(), 'if', 'is an object of a class. Give its JSON'],
    ['NUL', { a: 'x\0' }, 'if.a', 'has a NUL character, which Postgres cannot store'],
    ['NUL in a key', { a: { 'x\0': 1 } }, 'if.a', 'has a key with a NUL character, which'],
    ['half of a character', ['\ud83d'], 'if[0]', 'has a lone surrogate (half of a character), which'],
    ['half of one in a key', { '\udc00': 1 }, 'if', 'has a key with a lone surrogate'],
    ['a cycle', cycle, 'if.self[0]', 'contains itself'],
    ['too many levels', { a: nested(100) }, `if.a${'.a[0]'.repeat(49)}.a`, 'is nested more than 100'],
  ])('is refused with its path when it has %s', (_what, pattern, path, reason) => {
    const error = refusal({ if: pattern });
    expect(error.message).toContain(`\`${path}\` of step \`s\` of flow \`f\` must be JSON, but it ${reason}`);
    expect(error.data).toEqual({ path });
    expect(refusal({ ifNot: pattern }).data).toEqual({ path: path.replace('if', 'ifNot') });
  });

  it('may have 100 levels, and one part in two places', () => {
    const part = { b: 1 };
    expect(conditionsOf({ if: nested(100) }).if).toEqual(nested(100));
    expect(conditionsOf({ if: [part, part] }).if).toEqual([{ b: 1 }, { b: 1 }]);
  });
});

describe('the pattern of a step that waits for others', () => {
  it('has their slugs as keys, what a map runs over among them', () => {
    expect(conditionsOf({ over: 'a', dependsOn: ['b'], if: { a: [], b: 1 } }, 'map').if).toEqual({
      a: [],
      b: 1,
    });
    expect(conditionsOf({ over: 'a', ifNot: { a: [1] } }, 'map').ifNot).toEqual({ a: [1] });
    expect(conditionsOf({ dependsOn: ['a'], if: {} }).if).toEqual({});
  });

  it('is refused when it names another step, because it could never match', () => {
    expect(refusal({ dependsOn: ['b'], if: { b: 1, a: 2 } }).message).toBe(
      '`if` of step `s` of flow `f` can never match: it names `a`, which the step does not depend on. ' +
        'Add it to `dependsOn` or use the keys `b`.',
    );
    expect(refusal({ over: 'a', ifNot: { b: 1 } }, 'map').message).toContain('`ifNot` of step `s`');
    expect(refusal({ dependsOn: ['b'], if: JSON.parse('{"__proto__":1}') }).message).toContain('`__proto__`');
  });

  it.each([[null], ['b'], [5], [[]], [['b']]])('is refused when it is no object: %j', (pattern) => {
    expect(refusal({ dependsOn: ['a', 'b'], if: pattern }).message).toMatch(
      /^`if` of step `s` of flow `f` can never match: .* so it must be an object with keys of `a`, `b`, not /,
    );
  });
});
