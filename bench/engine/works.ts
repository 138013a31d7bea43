import type { Work } from '../measured/assignment.js';

/** What is measured, and how the results call it. */
export const WORKS = {
  linear: '3-step linear runs/s, started by 20 callers and driven',
  dag: '5-step DAG (1 → 3 → 1) runs/s, the same way',
  bulk: 'single jobs/s, 10,000 enqueued in bulk, then processed',
  'one-by-one': 'single jobs/s, enqueued one by one by 20 callers, processing included',
  enqueue: 'single jobs/s, enqueued one by one by 20 callers, no worker',
  map: 'one run with a map of 10,000: tasks/s',
  idle: 'idle latency, ms',
  drain: 'runs/s that worker processes drain, half of them jobs, half of three steps',
} as const satisfies Record<Work, string>;

/** The rates that are reported; `bulk` has three. */
export const RATES = {
  linear: WORKS.linear,
  dag: WORKS.dag,
  'bulk: processed': 'single jobs/s, 10,000 enqueued in bulk, then processed: the processing',
  'bulk: both': 'single jobs/s, 10,000 enqueued in bulk, then processed: enqueuing and processing',
  'bulk: enqueued': 'single jobs/s, 10,000 enqueued in bulk: the enqueuing',
  'one-by-one': WORKS['one-by-one'],
  enqueue: WORKS.enqueue,
  map: WORKS.map,
} as const;

export type Rate = keyof typeof RATES;
