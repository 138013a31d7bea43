import { CASES } from './pubsub-cases.js';
import { CUT_CASES } from './pubsub-cut-cases.js';
import { onStage, type PubSubMedium } from './pubsub-stage.js';

export type { PubSubMedium } from './pubsub-stage.js';

/** One thing that an adapter must do. Rejects with an `AssertionError` or an `Error` that says what it did not. */
export interface ConformanceCase {
  readonly name: string;
  run(): Promise<void>;
}

/**
 * What every `PubSub` must do, as cases for any test runner.
 *
 * Each case opens buses of its own and closes them. Beyond the contract, which lets messages be lost, the cases expect of a
 * medium that nobody disturbs that what was handed over arrives. They leave open in which order, and whether once.
 * With `cut` they also check that connections and subscriptions come back by themselves.
 *
 * @example
 * const medium = { open: async () => [natsPubSub(url), natsPubSub(url)], cut: () => proxy.cut() };
 * for (const { name, run } of pubsubConformance(medium)) test(name, run);
 */
export function pubsubConformance(medium: PubSubMedium): ConformanceCase[] {
  const cases = medium.cut ? { ...CASES, ...CUT_CASES } : CASES;
  return Object.entries(cases).map(([name, check]) => ({ name, run: () => onStage(medium, check) }));
}
