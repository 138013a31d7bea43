/**
 * Everything at once: web processes with watchers, worker processes, one PostgreSQL, and all the faults that can be
 * injected from outside, round after round. See `conductor.ts`.
 *
 * `CHAOS_MINUTES` how long (default 1.5), `CHAOS_BUS` over which buses (default `postgres,redis`), `CHAOS_SEED` to replay one, `CHAOS_ROUND` seconds of storm in a round,
 * `CHAOS_PATIENCE` seconds that coming to rest may take, `CHAOS_FAULTS` a list of beginnings of faults' names.
 */
import { beforeAll, expect, test } from 'vitest';
import type { Program } from '../harness/apt.js';
import { ensureRedis } from '../harness/redis-server.js';
import { conductStorm } from './conductor.js';
import type { StormBus } from './stage.js';
import { describeStorm } from './storm-report.js';

const {
  CHAOS_MINUTES = '1.5',
  CHAOS_SEED = String(Math.floor(Math.random() * 2 ** 31)),
  CHAOS_ROUND = '30',
  CHAOS_PATIENCE = '240',
  CHAOS_FAULTS = '',
  CHAOS_BUS = 'postgres,redis',
} = process.env;
const BUSES = CHAOS_BUS.split(',') as StormBus[];
const seconds = (Number(CHAOS_MINUTES) * 60) / BUSES.length;
const INSTALLING = 600_000;
const patience = Number(CHAOS_PATIENCE);
const rounds = Math.ceil(seconds / Number(CHAOS_ROUND));
const round = seconds / rounds;

let redis: Program;
beforeAll(() => {
  redis = ensureRedis();
}, INSTALLING);

test.for(BUSES)(
  'a storm of faults, over %s: nothing is lost, doubled or wrong, and every watcher sees the end',
  {
    timeout: (seconds + rounds * (8 * patience + 360)) * 1000,
  },
  async (bus, ctx) => {
    ctx.skip(bus === 'redis' && redis.missing !== undefined, redis.missing);
    const report = await conductStorm({
      bus,
      seed: Number(CHAOS_SEED),
      rounds,
      round,
      patience,
      faults: CHAOS_FAULTS.split(',').filter(Boolean),
    });

    console.log(describeStorm(report));
    expect(report.violations.length, `violations; CHAOS_SEED=${CHAOS_SEED}`).toBe(0);
    expect(report.executions).toBeGreaterThan(0);
    expect(report.states).toBeGreaterThan(0);
  },
);
