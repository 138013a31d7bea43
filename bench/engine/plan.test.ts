import { expect, test } from 'vitest';
import type { Options } from './options.js';
import { readOptions } from './options.js';
import { planRound } from './plan.js';

const given = (...args: string[]): Options => readOptions(args)!;

test('every other round goes backwards', () => {
  const options = given();
  expect(planRound(options, 3)).toEqual(planRound(options, 2).reverse());
  expect(planRound(options, 4)).toEqual(planRound(options, 2));
});

test('PGlite is measured once', () => {
  const rounds = [1, 2, 3].map((round) => planRound(given(), round));
  const ofPglite = rounds.map((plan) => plan.filter(({ condition }) => condition === 'pglite').length);
  expect(ofPglite).toEqual([6, 0, 0]);
});

test('only what was asked for is measured, and then nothing is kept', () => {
  const options = given('--only', 'linear', '--who', 'ours,dbos', '--with', 'fresh');
  expect(planRound(options, 1).map(({ contender, condition }) => `${contender.id} ${condition}`)).toEqual([
    'dbos fresh',
    'ours fresh',
  ]);
  expect(options.complete).toBe(false);
  expect(given('--rounds', '2').complete).toBe(false);
  expect(given('--quick').complete).toBe(false);
  expect(given('--rounds', '4').complete).toBe(true);
});

test('a quick round measures the same with smaller counts', () => {
  const whole = planRound(given(), 1);
  const quick = planRound(given('--quick'), 1);
  expect(quick).toHaveLength(whole.length);
  expect(quick.every(({ count }, i) => count < whole[i]!.count)).toBe(true);
});

test('statistics are no matter for Redis', () => {
  const conditions = planRound(given('--who', 'bullmq'), 1).map(({ condition }) => condition);
  expect(new Set(conditions)).toEqual(new Set(['fresh']));
});
