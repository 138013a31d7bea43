import type { Work } from '../measured/assignment.js';
import type { Condition } from './conditions.js';

export interface Contender {
  readonly id: string;
  readonly name: string;
  /** Its program, from bench/. */
  readonly program: string;
  readonly variant?: string;
  readonly store: 'postgres' | 'redis';
  /** Its npm package; none for us. */
  readonly peer?: string;
  /** How many of each work: enough for a second or two on two cores. */
  readonly counts: Readonly<Partial<Record<Work, number>>>;
  /** For the results: the configuration that was measured, and why it is that. */
  readonly configuration: string;
}

const IDLE = 300;

export const OURS: Contender = {
  id: 'ours',
  name: 'PgFlow Live',
  program: 'ours/main.ts',
  store: 'postgres',
  counts: { linear: 5000, dag: 4000, bulk: 10_000, 'one-by-one': 10_000, map: 10_000, idle: IDLE },
  configuration:
    'the built package; one process starts and works; `concurrency: 1000` (idle: 10), all else by default. In bulk: `Promise.all` of `enqueue`, whose calls share statements of up to 500, since there is no call for many',
};

/** Their best sensible configurations, from their documentation or tried out here. */
export const CONTENDERS: readonly Contender[] = [
  OURS,
  {
    id: 'graphile-worker',
    name: 'graphile-worker',
    program: 'peers/graphile-worker.ts',
    store: 'postgres',
    peer: 'graphile-worker',
    counts: { bulk: 10_000, 'one-by-one': 2000, enqueue: 2000, idle: IDLE },
    configuration:
      '`concurrentJobs: 24`, `maxPoolSize: 25` (idle: 10 jobs), `localQueue` off; in bulk by one `addJobs`',
  },
  {
    id: 'graphile-worker-local-queue',
    name: 'graphile-worker, localQueue',
    program: 'peers/graphile-worker.ts',
    variant: 'local-queue',
    store: 'postgres',
    peer: 'graphile-worker',
    counts: { bulk: 10_000, 'one-by-one': 2000, idle: IDLE },
    configuration:
      'the same and `localQueue: { size: 500 }`, `completeJobBatchDelay: 0`, `failJobBatchDelay: 0`, as its page on performance has it',
  },
  {
    id: 'pg-boss',
    name: 'pg-boss, one by one',
    program: 'peers/pg-boss.ts',
    variant: 'single',
    store: 'postgres',
    peer: 'pg-boss',
    counts: { bulk: 2000, 'one-by-one': 1000 },
    configuration:
      '20 loops of `fetch`, handle, `complete` on 20 connections: `work()` with a batch of one pauses for 0.5 s between fetches. In bulk by one `insert` (of 2,000)',
  },
  {
    id: 'pg-boss-batches',
    name: 'pg-boss, batches',
    program: 'peers/pg-boss.ts',
    variant: 'batches',
    store: 'postgres',
    peer: 'pg-boss',
    counts: { linear: 600, dag: 400, bulk: 10_000, 'one-by-one': 3000, idle: IDLE },
    configuration:
      'two `work()` with `batchSize: 1000` (one by one: 50), `burstWhenBatchFull`, polling each 0.5 s; in bulk by one `insert`. Runs are `flow()`s; steps are released by `resolveFlow()`, called again and again instead of each 5 s, and the workers are woken after it. Idle: `useListenNotify`, a queue with `notify`, `batchSize: 1`',
  },
  {
    id: 'dbos',
    name: 'DBOS',
    program: 'peers/dbos.ts',
    store: 'postgres',
    peer: '@dbos-inc/dbos-sdk',
    counts: { linear: 500, dag: 300, idle: IDLE },
    configuration:
      'workflows of `runStep`s, started directly by `startWorkflow` (its queues poll), each caller waits for its own; `systemDatabasePoolSize: 20`',
  },
  {
    id: 'bullmq',
    name: 'BullMQ on Redis',
    program: 'peers/bullmq.ts',
    store: 'redis',
    peer: 'bullmq',
    counts: { linear: 2000, dag: 1500, bulk: 10_000, 'one-by-one': 6000, idle: IDLE },
    configuration:
      'for reference, on a store that keeps nothing (appendonly off, no snapshots); one worker, `concurrency: 100` (idle: 10; with 400 its runs were slower), `removeOnComplete` (idle: not); in bulk by one `addBulk`. Runs are trees of `FlowProducer`: a chain of three; five jobs on three levels, since a tree cannot hold 1 → 3 → 1. Completion is seen by `waitUntilFinished`',
  },
];

/** What only we are measured under, and on which works. */
export const OUR_CONDITIONS: Readonly<Partial<Record<Condition, readonly Work[]>>> = {
  finished: ['linear', 'dag', 'bulk', 'one-by-one', 'map', 'idle'],
  foreign: ['linear', 'dag', 'bulk', 'one-by-one', 'map', 'idle'],
  delayed: ['linear', 'dag', 'bulk', 'one-by-one', 'map', 'idle'],
  'live-off': ['linear', 'one-by-one'],
  'live-on': ['linear', 'one-by-one'],
  'workers-1': ['drain'],
  'workers-2': ['drain'],
  pglite: ['linear', 'dag', 'bulk', 'one-by-one', 'map', 'idle'],
};

/** Runs and as many jobs. */
export const DRAINED = 5000;
/** Of what is done on a server. */
export const ON_PGLITE = 0.2;
