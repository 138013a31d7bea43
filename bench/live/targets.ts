import { halfAndMost, number } from '../engine/print.js';
import { quantile } from '../measure.js';
import type { LiveResults } from './report.js';

/** What is asked of live runs, what was measured, and whether that is enough. */
export interface LiveTarget {
  readonly what: string;
  readonly must: string;
  readonly measured: string;
  readonly met: boolean;
}

/** Targets of what was not measured are left out. */
export function judgeLive({ latency, client, watchers, watched }: LiveResults): LiveTarget[] {
  return [
    ...applied('PostgreSQL', latency.postgres?.samples?.applied),
    ...applied('Redis', latency.redis?.samples?.applied),
    ...atLeast('changes applied per second', 1_000_000, client?.rates?.['ours applied']),
    ...atMost('bytes of heap of a tracked ten-step run, as it began', 3_000, client?.counts?.['ours begun']),
    ...atMost(
      'bytes of heap of a tracked ten-step run, completed',
      3_000,
      client?.counts?.['ours completed'],
    ),
    ...['one run', 'many runs'].flatMap((name) => [
      ...atMost(
        `listening connections, ${number(watched)} watchers of ${name}`,
        1,
        watchers?.counts?.[`${name}: listening connections`],
      ),
    ]),
    ...atMost('snapshot queries of one run', 1, watchers?.counts?.['one run: snapshot queries']),
    ...atMost(
      `snapshot queries of ${number(watched)} runs, asked for at once`,
      // Of a thousand runs each.
      Math.ceil(watched / 1_000),
      watchers?.counts?.['many runs: snapshot queries'],
    ),
  ];
}

function applied(bus: string, samples: readonly number[] | undefined): LiveTarget[] {
  if (samples === undefined) return [];
  return [
    {
      what: `committed → applied over ${bus}, idle, p50 / p99 ms`,
      must: '≤ 3 / 15',
      measured: halfAndMost(samples),
      met: quantile(samples, 0.5) <= 3 && quantile(samples, 0.99) <= 15,
    },
  ];
}

function atLeast(what: string, must: number, value: number | undefined): LiveTarget[] {
  if (value === undefined) return [];
  return [{ what, must: `≥ ${number(must)}`, measured: number(value), met: value >= must }];
}

function atMost(what: string, must: number, value: number | undefined): LiveTarget[] {
  if (value === undefined) return [];
  return [{ what, must: `≤ ${number(must)}`, measured: number(value), met: value <= must }];
}
