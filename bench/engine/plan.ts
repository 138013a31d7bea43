import type { Work } from '../measured/assignment.js';
import type { Condition } from './conditions.js';
import { CONTENDERS, type Contender, DRAINED, ON_PGLITE, OUR_CONDITIONS, OURS } from './contenders.js';
import type { Options } from './options.js';
import { WORKS } from './works.js';

/** One measurement of a round. */
export interface Measurement {
  readonly work: Work;
  readonly contender: Contender;
  readonly condition: Condition;
  readonly program: string;
  readonly variant: string | undefined;
  readonly count: number;
  readonly warmUp: number;
}

/** `--quick` does a tenth. */
const QUICK = 0.1;

/**
 * What a round measures: work by work, so that what is compared is measured shortly after each other, whatever else the
 * machine does. Every other round goes backwards.
 */
export function planRound(options: Options, round: number): Measurement[] {
  const plan = (Object.keys(WORKS) as Work[])
    .filter((work) => options.works.includes(work))
    .flatMap((work) => [...sideBySide(work), ...onlyOurs(work)])
    .filter(({ contender }) => options.contenders.includes(contender.id))
    .filter(({ condition }) => options.conditions.includes(condition))
    // Reported only, and slow to open.
    .filter(({ condition }) => condition !== 'pglite' || round === 1)
    .map((measurement) => scale(measurement, options.quick));
  return round % 2 === 1 ? plan : plan.reverse();
}

function sideBySide(work: Work): Measurement[] {
  // One job at a time has a table of a few rows: statistics make no difference.
  const conditions: Condition[] = work === 'idle' ? ['fresh'] : ['fresh', 'analysed'];
  // We come last, next to what only we are measured under.
  return conditions.flatMap((condition) =>
    CONTENDERS.toReversed()
      .filter(({ counts }) => counts[work] !== undefined)
      // Redis has no statistics.
      .filter(({ store }) => store === 'postgres' || condition === 'fresh')
      .map((contender) => measurementOf(work, contender, condition, contender.counts[work]!)),
  );
}

function onlyOurs(work: Work): Measurement[] {
  return (Object.keys(OUR_CONDITIONS) as Condition[])
    .filter((condition) => OUR_CONDITIONS[condition]?.includes(work))
    .map((condition) => {
      const count = work === 'drain' ? DRAINED : OURS.counts[work]!;
      const share = condition === 'pglite' && work !== 'idle' ? ON_PGLITE : 1;
      return measurementOf(work, OURS, condition, count * share);
    });
}

function measurementOf(work: Work, contender: Contender, condition: Condition, count: number): Measurement {
  const [, workers] = /^workers-(\d)$/.exec(condition) ?? [];
  const ofLive = condition.startsWith('live-') ? condition : undefined;
  return {
    work,
    contender,
    condition,
    program: work === 'drain' ? 'ours/drain.ts' : contender.program,
    variant: workers ?? ofLive ?? contender.variant,
    count,
    warmUp: work === 'idle' ? 50 : Math.ceil(count / 10),
  };
}

function scale(measurement: Measurement, quick: boolean): Measurement {
  if (!quick) return measurement;
  const { count, warmUp } = measurement;
  return { ...measurement, count: Math.ceil(count * QUICK), warmUp: Math.ceil(warmUp * QUICK) };
}
