import { halfAndMost, number, table, times } from '../engine/print.js';
import { median } from '../measure.js';
import type { Figures } from '../measured/assignment.js';
import { judgeLive } from './targets.js';

export type Path = 'postgres' | 'redis' | 'bullmq';

/** What was measured; null or missing what was not. */
export interface LiveResults {
  readonly latency: Readonly<Partial<Record<Path, Figures>>>;
  readonly client: Figures | null;
  readonly watchers: Figures | null;
  /** How many watched. */
  readonly watched: number;
}

const PATHS: Readonly<Record<Path, string>> = {
  postgres: 'PgFlow Live over PostgreSQL',
  redis: 'PgFlow Live, changes over Redis',
  bullmq: 'BullMQ, QueueEvents, all in Redis',
};

/** The measured part of the results, as Markdown; sections of what was not measured are left out. */
export function reportLive(results: LiveResults): string {
  return [
    '## What is asked for',
    table(
      ['what', 'must', 'measured', 'met'],
      judgeLive(results).map(({ what, must, measured, met }) => [
        what,
        must,
        measured,
        met ? 'yes' : '**no**',
      ]),
    ),
    latency(results),
    client(results),
    watchers(results),
  ]
    .filter((section) => section !== '')
    .join('\n\n');
}

function latency({ latency: measured }: LiveResults): string {
  const rows = (Object.keys(PATHS) as Path[]).flatMap((path) => {
    const samples = measured[path]?.samples;
    return samples ? [[PATHS[path], halfAndMost(samples.applied!), halfAndMost(samples.completed!)]] : [];
  });
  if (rows.length === 0) return '';
  const head = ['p50 / p99 ms', 'committed → applied', 'enqueued → completed'];
  const { postgres, bullmq } = measured;
  const ratio = bullmq && postgres && middle(bullmq) / middle(postgres);
  const note = ratio
    ? `BullMQ ÷ us over PostgreSQL, enqueued → completed, medians: ${times(ratio)}. What is below 0 was seen before the worker
had handled the answer to its own commit.`
    : 'BullMQ and Redis are missing: there is no redis-server here.';
  return `## From process to process, idle\n\n${table(head, rows)}\n\n${note}`;
}

function middle({ samples }: Figures): number {
  return median(samples!.completed!);
}

function client({ client: figures }: LiveResults): string {
  if (figures === null) return '';
  const { rates = {}, counts = {} } = figures;
  const row = (what: string, of: Readonly<Record<string, number>>, name: string, moreIsBetter: boolean) => {
    const [ours, theirs] = [of[`ours ${name}`]!, of[`@pgflow/client ${name}`]!];
    return [what, number(ours), number(theirs), times(moreIsBetter ? ours / theirs : theirs / ours)];
  };
  return `## The client, beside @pgflow/client\n\n${table(
    ['ten-step runs', 'PgFlow Live', '@pgflow/client', 'we are better by'],
    [
      row('changes (its: events) applied, per second', rates, 'applied', true),
      row('the least disturbed repetition', rates, 'applied, best', true),
      row('messages heard, text to watcher, per second', rates, 'heard', true),
      row('the least disturbed repetition', rates, 'heard, best', true),
      row('heap of a tracked run that has begun, bytes', counts, 'begun', false),
      row('half way', counts, 'half', false),
      row('completed', counts, 'completed', false),
    ],
  )}`;
}

function watchers({ watchers: figures, watched }: LiveResults): string {
  if (figures === null) return '';
  const { counts = {} } = figures;
  const names = Object.keys(counts)
    .filter((name) => name.startsWith('one run: '))
    .map((name) => name.slice('one run: '.length));
  return `## ${number(watched)} watchers\n\n${table(
    ['', `${number(watched)} of one run`, `one of each of ${number(watched)} runs`],
    names.map((name) => [name, number(counts[`one run: ${name}`]!), number(counts[`many runs: ${name}`]!)]),
  )}`;
}
