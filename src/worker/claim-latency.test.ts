import { expect, test } from 'vitest';
import { ClaimLatencies } from './claim-latency.js';

test('says nothing before the first claim', () => {
  expect(new ClaimLatencies().read()).toBeNull();
});

test('one claim is all percentiles', () => {
  const latencies = new ClaimLatencies();
  latencies.add(0.25);
  expect(latencies.read()).toEqual({ p50: 0.25, p99: 0.25 });
});

test('takes percentiles by rank, whatever the order', () => {
  const latencies = new ClaimLatencies();
  for (let n = 100; n >= 1; n -= 1) latencies.add(n);
  expect(latencies.read()).toEqual({ p50: 50, p99: 99 });
});

test('forgets what is older than 1,000 claims', () => {
  const latencies = new ClaimLatencies();
  for (let n = 0; n < 700; n += 1) latencies.add(60);
  for (let n = 0; n < 1_000; n += 1) latencies.add(1);
  expect(latencies.read()).toEqual({ p50: 1, p99: 1 });
});
