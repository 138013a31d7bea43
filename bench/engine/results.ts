import { median } from '../measure.js';
import type { Figures } from '../measured/assignment.js';
import type { Condition } from './conditions.js';
import type { Measurement } from './plan.js';

/** One measurement of one round; without figures it failed. */
export interface Result {
  readonly round: number;
  readonly measurement: Measurement;
  readonly figures: Figures | null;
}

/** A rate by round. */
export type Series = ReadonlyMap<number, number>;

/** Whose, under which condition. */
export interface Column {
  readonly contender: string;
  readonly condition: Condition;
}

export function seriesOf(results: readonly Result[], rate: string, { contender, condition }: Column): Series {
  return new Map(
    results
      .filter(
        ({ measurement }) => measurement.contender.id === contender && measurement.condition === condition,
      )
      .flatMap(({ round, figures }) => {
        const value = figures?.rates?.[rate];
        return value === undefined ? [] : [[round, value] as const];
      }),
  );
}

/** The samples of all rounds together. */
export function samplesOf(
  results: readonly Result[],
  name: string,
  { contender, condition }: Column,
): number[] {
  return results
    .filter(({ measurement }) => measurement.work === 'idle')
    .filter(
      ({ measurement }) => measurement.contender.id === contender && measurement.condition === condition,
    )
    .flatMap(({ figures }) => figures?.samples?.[name] ?? []);
}

/** What was counted, added up over all rounds; null if nothing was. */
export function countOf(results: readonly Result[], name: string, condition: Condition): number | null {
  const counts = results
    .filter(({ measurement }) => measurement.condition === condition)
    .flatMap(({ figures }) => figures?.counts?.[name] ?? []);
  return counts.length === 0 ? null : counts.reduce((sum, count) => sum + count, 0);
}

/** Null when there is none. */
export function medianOf(series: Series): number | null {
  return series.size === 0 ? null : median([...series.values()]);
}

/** Of the ratios within each round, so that what slows a whole round down does not count. */
export function ratioOf(series: Series, base: Series): Series {
  return new Map(
    [...series].flatMap(([round, value]) => {
      const other = base.get(round);
      return other === undefined ? [] : [[round, value / other] as const];
    }),
  );
}
