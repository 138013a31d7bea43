import { expect, it } from 'vitest';
import { freezeDeep } from './freeze.js';

it('freezes through and through, in place', () => {
  const value = { list: [{ x: [] }, null, 1], empty: {} };
  expect(freezeDeep(value)).toBe(value);
  for (const part of [value, value.list, value.list[0], value.empty])
    expect(Object.isFrozen(part)).toBe(true);
});

it('takes what is no object, and cycles', () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  expect(freezeDeep(cycle)).toBe(cycle);
  for (const value of [null, undefined, 0, 'text', true]) expect(freezeDeep(value)).toBe(value);
});
