import { quantile } from '../measure.js';
import { type Condition, isFilled } from './conditions.js';
import { OUR_CONDITIONS } from './contenders.js';
import { halfAndMost, number, times } from './print.js';
import { type Column, countOf, medianOf, type Result, ratioOf, samplesOf, seriesOf } from './results.js';

/** What is asked of the engine, what was measured, and whether that is enough; null when it was not measured. */
export interface Target {
  readonly what: string;
  readonly must: string;
  readonly measured: string;
  readonly met: boolean | null;
  readonly stretch: string;
  readonly stretchMet: boolean | null;
}

const SIDE_BY_SIDE: readonly Condition[] = ['fresh', 'analysed'];

/** Figures that were measured fresh and analysed count by the worse of the two. */
export function judge(results: readonly Result[]): Target[] {
  return [
    ...rates(results),
    ...peers(results),
    ...latencies(results),
    ...conditions(results),
    ...workers(results),
  ];
}

function rates(results: readonly Result[]): Target[] {
  const rate = (name: string, must: number, stretch: number) => {
    const value = worst(
      SIDE_BY_SIDE.map((condition) => medianOf(seriesOf(results, name, { contender: 'ours', condition }))),
    );
    return target(`${name}, per second`, [must, number], value, stretch);
  };
  return [
    rate('linear', 3500, 6000),
    rate('dag', 2600, 4900),
    rate('one-by-one', 7000, 12_000),
    rate('map', 20_000, 33_000),
  ];
}

function peers(results: readonly Result[]): Target[] {
  const against = (rate: string, contender: string, must: number, stretch?: number, theirRate = rate) => {
    const value = worst(
      SIDE_BY_SIDE.map((condition) =>
        medianOf(
          ratioOf(
            seriesOf(results, rate, { contender: 'ours', condition }),
            seriesOf(results, theirRate, { contender, condition }),
          ),
        ),
      ),
    );
    const theirs = theirRate === rate ? '' : ` (${theirRate})`;
    return target(`${rate} ÷ ${contender}${theirs}`, [must, times], value, stretch);
  };
  return [
    against('linear', 'dbos', 10),
    against('linear', 'pg-boss-batches', 8),
    against('dag', 'bullmq', 3),
    against('bulk: processed', 'pg-boss-batches', 1, 1.2),
    against('bulk: both', 'pg-boss-batches', 1, 1.2),
    against('bulk: processed', 'graphile-worker-local-queue', 0.8, 1.2),
    against('bulk: both', 'graphile-worker-local-queue', 0.8, 1.2),
    against('one-by-one', 'graphile-worker', 5, undefined, 'enqueue'),
  ];
}

function latencies(results: readonly Result[]): Target[] {
  const ours: Column = { contender: 'ours', condition: 'fresh' };
  const handler = samplesOf(results, 'handler', ours);
  const completed = samplesOf(results, 'completed', ours);
  const bullmq = samplesOf(results, 'handler', { contender: 'bullmq', condition: 'fresh' });
  return [
    {
      what: 'idle: start → handler begins, p50 / p99 ms',
      must: '≤ 2 / 6',
      measured: halfAndMost(handler),
      met: within(handler, 2, 6),
      stretch: `below BullMQ on Redis, ${halfAndMost(bullmq)}`,
      stretchMet: bullmq.length === 0 ? null : within(handler, quantile(bullmq, 0.5), quantile(bullmq, 0.99)),
    },
    {
      what: 'idle: start → a watcher in the process sees it completed, p50 / p99 ms',
      must: '≤ 3.5 / 9',
      measured: halfAndMost(completed),
      met: within(completed, 3.5, 9),
      stretch: '≤ 2.5 / 5',
      stretchMet: within(completed, 2.5, 5),
    },
  ];
}

/** Where the figures stand under a condition, against those without it in the same round. */
export const BASE_OF: Readonly<Partial<Record<Condition, Condition>>> = {
  finished: 'analysed',
  foreign: 'analysed',
  delayed: 'analysed',
  'live-on': 'live-off',
  'workers-2': 'workers-1',
};

function conditions(results: readonly Result[]): Target[] {
  return (['finished', 'foreign', 'delayed', 'live-on'] as const).map((condition) => {
    const ratios = (OUR_CONDITIONS[condition] ?? [])
      .flatMap((work) => (work === 'bulk' ? ['bulk: processed', 'bulk: both'] : [work]))
      .map((rate) => conditionRatio(results, rate, condition));
    const idle = isFilled(condition) ? [idleRatio(results, condition)] : [];
    return target(
      `${condition}, the worst ratio to ${BASE_OF[condition]}`,
      [0.9, times],
      worst([...ratios, ...idle]),
    );
  });
}

function workers(results: readonly Result[]): Target[] {
  const deadlocks = countOf(results, 'deadlocks', 'workers-2');
  return [
    target('two worker processes ÷ one', [1, times], conditionRatio(results, 'drain', 'workers-2')),
    {
      what: 'deadlocks of two worker processes',
      must: '0',
      measured: deadlocks === null ? '–' : String(deadlocks),
      met: deadlocks === null ? null : deadlocks === 0,
      stretch: '',
      stretchMet: null,
    },
  ];
}

export function conditionRatio(
  results: readonly Result[],
  rate: string,
  condition: Condition,
): number | null {
  const column = (of: Condition): Column => ({ contender: 'ours', condition: of });
  return medianOf(
    ratioOf(seriesOf(results, rate, column(condition)), seriesOf(results, rate, column(BASE_OF[condition]!))),
  );
}

/** How fast a handler begins, the median: 0.5 is twice as slow. An idle system is measured fresh only. */
export function idleRatio(results: readonly Result[], condition: Condition): number | null {
  const fresh = samplesOf(results, 'handler', { contender: 'ours', condition: 'fresh' });
  const samples = samplesOf(results, 'handler', { contender: 'ours', condition });
  return fresh.length === 0 || samples.length === 0 ? null : quantile(fresh, 0.5) / quantile(samples, 0.5);
}

function target(
  what: string,
  [must, show]: readonly [number, (value: number) => string],
  value: number | null,
  stretch?: number,
): Target {
  return {
    what,
    must: `≥ ${show(must)}`,
    measured: value === null ? '–' : show(value),
    met: value === null ? null : value >= must,
    stretch: stretch === undefined ? '' : `≥ ${show(stretch)}`,
    stretchMet: stretch === undefined || value === null ? null : value >= stretch,
  };
}

function worst(values: readonly (number | null)[]): number | null {
  const measured = values.filter((value) => value !== null);
  return measured.length === 0 ? null : Math.min(...measured);
}

function within(samples: readonly number[], half: number, most: number): boolean | null {
  return samples.length === 0 ? null : quantile(samples, 0.5) <= half && quantile(samples, 0.99) <= most;
}
