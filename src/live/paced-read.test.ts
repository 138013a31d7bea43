import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { PacedRead } from './paced-read.js';

let reads: number;
/** What a read does, after it was counted. */
let answer: () => Promise<void>;
let pace: PacedRead;

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  reads = 0;
  answer = async () => {};
  pace = new PacedRead(() => {
    reads++;
    return answer();
  });
});

afterEach(() => {
  pace.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

it('reads at once, and then at most once a second, however often it is asked', async () => {
  for (let n = 0; n < 10; n++) pace.ask();
  expect(reads).toBe(1);
  await pass(999);
  for (let n = 0; n < 10; n++) pace.ask();
  expect(reads).toBe(1);
  await pass(1);
  expect(reads).toBe(2);
  await pass(60_000);
  expect(reads).toBe(2);
  pace.ask();
  expect(reads).toBe(3);
});

it('never reads twice at once: what is asked meanwhile is read afterwards', async () => {
  let finish = () => {};
  answer = () => new Promise((resolve) => (finish = resolve));
  pace.ask();
  pace.ask();
  await pass(5_000);
  expect(reads).toBe(1);
  finish();
  await pass(44_999);
  expect(reads).toBe(1);
  // It took five seconds, so it has nine times that to rest.
  await pass(1);
  expect(reads).toBe(2);
  finish();
});

it('reads again by itself what failed, later and later, and at the usual pace after that', async () => {
  let failures = 6;
  answer = async () => {
    if (failures-- > 0) throw new Error('away');
  };
  pace.ask();
  await pass(1_000 + 2_000 + 4_000);
  expect(reads).toBeLessThan(7);
  await pass(120_000);
  expect(reads).toBe(7);
  pace.ask();
  pace.ask();
  await pass(1_000);
  expect(reads).toBe(9);
});

it('does nothing once it is closed, also while it reads', async () => {
  let finish = () => {};
  answer = () => new Promise((resolve) => (finish = resolve));
  pace.ask();
  pace.ask();
  pace.close();
  finish();
  await pass(60_000);
  pace.ask();
  expect(reads).toBe(1);
});
