/**
 * Under which conditions a work is measured.
 *
 * - `fresh`: a new database, tables never analysed.
 * - `analysed`: a new database, `ANALYZE` before what is measured.
 * - `finished`, `foreign`, `delayed`: only us, in a database that was filled before, as `bench/ours/fill.ts` says.
 * - `live-on`, `live-off`: only us; with watchers, and with nothing published.
 * - `workers-1`, `workers-2`: only us; drained by that many processes.
 * - `pglite`: only us, on PGlite in the process.
 */
export const CONDITIONS = [
  'fresh',
  'analysed',
  'finished',
  'foreign',
  'delayed',
  'live-off',
  'live-on',
  'workers-1',
  'workers-2',
  'pglite',
] as const;

export type Condition = (typeof CONDITIONS)[number];

/** The databases that are filled once and used by all rounds, and with how many runs. */
export const FILLINGS = { finished: 1_000_000, foreign: 100_000, delayed: 100_000 } as const;

export function isFilled(condition: Condition): condition is keyof typeof FILLINGS {
  return condition in FILLINGS;
}
