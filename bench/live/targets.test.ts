import { expect, test } from 'vitest';
import { judgeLive } from './targets.js';

const nothing = { latency: {}, client: null, watchers: null, watched: 10_000 };

test('what was not measured is not judged', () => {
  expect(judgeLive(nothing)).toEqual([]);
});

test('a latency is judged by its median and its 99th percentile', () => {
  const judge = (applied: number[]) =>
    judgeLive({ ...nothing, latency: { postgres: { samples: { applied } } } });
  const fast = Array.from({ length: 100 }, () => 1);
  expect(judge(fast)).toMatchObject([{ measured: '1.0 / 1.0', met: true }]);
  expect(judge([...fast.slice(2), 16, 16])).toMatchObject([{ met: false }]);
  expect(judge(fast.map(() => 4))).toMatchObject([{ met: false }]);
});

test('rates must reach their target, heap and counts must not exceed it', () => {
  const client = {
    rates: { 'ours applied': 1_000_000 },
    counts: { 'ours begun': 3_001, 'ours completed': 3_000 },
  };
  const watchers = { counts: { 'one run: snapshot queries': 2, 'many runs: snapshot queries': 10 } };
  const judged = judgeLive({ ...nothing, client, watchers });
  expect(judged.map(({ met }) => met)).toEqual([true, false, true, false, true]);
});
