import { expect, test } from 'vitest';
import type { Figures } from '../measured/assignment.js';
import type { Condition } from './conditions.js';
import { CONTENDERS } from './contenders.js';
import type { Result } from './results.js';
import { judge } from './targets.js';

test('what was measured fresh and analysed counts by the worse', () => {
  const results = [linear(1, 'ours', 'fresh', 6100), linear(1, 'ours', 'analysed', 3000)];
  expect(found(results, 'linear, per second')).toMatchObject({
    measured: '3,000',
    met: false,
    stretchMet: false,
  });
});

test('ratios are taken within each round, whatever the other rounds were', () => {
  // The second round was slow as a whole.
  const results = [
    linear(1, 'ours', 'fresh', 5000),
    linear(1, 'dbos', 'fresh', 400),
    linear(2, 'ours', 'fresh', 50),
    linear(2, 'dbos', 'fresh', 4),
    linear(3, 'ours', 'fresh', 5000),
  ];
  expect(found(results, 'linear ÷ dbos')).toMatchObject({ measured: '12.5 ×', met: true });
});

test('what was not measured, or failed, is neither met nor missed', () => {
  const results = [linear(1, 'ours', 'fresh', 5000), { ...linear(1, 'dbos', 'fresh', 1), figures: null }];
  expect(found(results, 'linear ÷ dbos')).toMatchObject({ measured: '–', met: null });
  expect(found([], 'deadlocks of two worker processes').met).toBeNull();
});

test('latencies of all rounds count together, by both quantiles', () => {
  const quick = Array.from({ length: 98 }, () => 1);
  const late = [...quick, 7, 7];
  const what = 'idle: start → handler begins, p50 / p99 ms';
  expect(found([idle(1, quick), idle(2, quick)], what)).toMatchObject({ measured: '1.0 / 1.0', met: true });
  expect(found([idle(1, late), idle(2, late)], what)).toMatchObject({ measured: '1.0 / 7.0', met: false });
});

function found(results: readonly Result[], what: string) {
  return judge(results).find((target) => target.what === what)!;
}

function linear(round: number, contender: string, condition: Condition, rate: number): Result {
  return result(round, contender, condition, 'linear', { rates: { linear: rate } });
}

function idle(round: number, handler: number[]): Result {
  return result(round, 'ours', 'fresh', 'idle', { samples: { handler } });
}

function result(
  round: number,
  id: string,
  condition: Condition,
  work: 'linear' | 'idle',
  figures: Figures,
): Result {
  const contender = CONTENDERS.find((one) => one.id === id)!;
  return {
    round,
    figures,
    measurement: { work, contender, condition, program: '', variant: undefined, count: 1, warmUp: 0 },
  };
}
