import { validate, version } from 'uuid';
import { expect, it } from 'vitest';
import { newRunId } from './new-run-id.js';

it('makes v7 ids of now, no two alike, in the order of their making', () => {
  const before = Date.now();
  const ids = Array.from({ length: 2_000 }, newRunId);
  const after = Date.now();

  expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
  const times = ids.map((id) => Number.parseInt(id.replace('-', '').slice(0, 12), 16));
  expect(times.every((time) => time >= before && time <= after)).toBe(true);
});

it('does not repeat the random end of an id', () => {
  const ends = Array.from({ length: 2_000 }, () => newRunId().slice(-10));
  expect(new Set(ends).size).toBe(ends.length);
});
