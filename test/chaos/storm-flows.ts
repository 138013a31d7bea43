import fc from 'fast-check';
import type { AnyFlow } from '../../src/index.js';
import { randomFrom } from '../engine/flaky-bus.js';
import { buildFlow, type RandomFlowOptions, randomFlow } from '../engine/random-flow.js';

/** How many flows a storm has. */
export const FLOWS = 8;

export const flowSlug = (index: number): string => `storm_${index}`;

/** Steps whose tasks write a row into `effects` with `commit`; a condition of SQL and of TypeScript. */
export const COMMITTING = ['s0', 's2', 's4'];

/** Seconds that a worker of the storm is believed. */
export const LEASE = 2;

/** Too many for what faults do to a task, so that most runs go on to their end. */
const MOST_ATTEMPTS = 8;
/** Seconds; for the handlers that never resolve. */
const TIMEOUT = 3;

/**
 * The flows of a storm, the same in each process: random shapes by the seed. In the second edition the first of
 * them has another shape, so that two versions of it are at work at once.
 */
export function stormFlows(seed: number, edition: 1 | 2, perform: RandomFlowOptions['perform']): AnyFlow[] {
  const random = randomFrom(seed);
  const options = { maxAttempts: MOST_ATTEMPTS, timeout: TIMEOUT, perform };
  return fc.sample(randomFlow, { seed, numRuns: FLOWS }).map((shape, index) => {
    const last = shape.steps.at(-1)!;
    const steps = index === 0 && edition === 2 ? [...shape.steps, { ...last, failures: 0 }] : shape.steps;
    return buildFlow(flowSlug(index), { ...shape, steps }, random, options);
  });
}
