import { CONDITIONS } from './conditions.js';
import { CONTENDERS, OUR_CONDITIONS } from './contenders.js';
import { halfAndMost, table, times, withSpread } from './print.js';
import { medianOf, type Result, ratioOf, type Series, samplesOf, seriesOf } from './results.js';
import { BASE_OF, conditionRatio, idleRatio, judge } from './targets.js';
import { RATES, type Rate } from './works.js';

/** The measured part of the results, as Markdown; sections of what was not measured are left out. */
export function reportFigures(results: readonly Result[], commits: Series): string {
  return [
    '## What is asked for',
    targets(results),
    '## Side by side',
    ...(Object.keys(RATES) as Rate[]).map((rate) => sideBySide(results, rate)),
    idle(results),
    '## This engine under other conditions',
    conditions(results),
    `The limit of one commit for each item: ${withSpread(commits)} one-row commits/s on 20 connections.`,
    failures(results),
  ]
    .filter((section) => section !== '')
    .join('\n\n');
}

function targets(results: readonly Result[]): string {
  const verdict = (met: boolean | null) => (met === null ? '' : met ? 'yes' : '**no**');
  return table(
    ['what', 'must', 'measured', 'met', 'stretch', 'met'],
    judge(results)
      .filter(({ met }) => met !== null)
      .map(({ what, must, measured, met, stretch, stretchMet }) => [
        what,
        must,
        measured,
        verdict(met),
        stretch,
        verdict(stretchMet),
      ]),
  );
}

function sideBySide(results: readonly Result[], rate: Rate): string {
  // What others only enqueue stands beside what we enqueue and process.
  const ourRate = rate === 'enqueue' ? 'one-by-one' : rate;
  const rows = CONTENDERS.flatMap(({ id, name }) => {
    const cells = (['fresh', 'analysed'] as const).map((condition) => ({
      theirs: seriesOf(results, id === 'ours' ? ourRate : rate, { contender: id, condition }),
      ours: seriesOf(results, ourRate, { contender: 'ours', condition }),
    }));
    if (cells.every(({ theirs }) => theirs.size === 0)) return [];
    const called = id === 'ours' && rate === 'enqueue' ? `${name}, processing included` : name;
    return [
      [
        called,
        ...cells.flatMap(({ theirs, ours }) => [
          withSpread(theirs),
          id === 'ours' ? '' : times(medianOf(ratioOf(ours, theirs))),
        ]),
      ],
    ];
  });
  if (rows.length === 0) return '';
  return `### ${RATES[rate]}\n\n${table(['', 'fresh', 'we ÷ it', 'analysed', 'we ÷ it'], rows)}`;
}

function idle(results: readonly Result[]): string {
  const rows = CONTENDERS.flatMap(({ id, name }) => {
    const column = { contender: id, condition: 'fresh' } as const;
    const handler = samplesOf(results, 'handler', column);
    if (handler.length === 0) return [];
    return [[name, halfAndMost(handler), halfAndMost(samplesOf(results, 'completed', column))]];
  });
  if (rows.length === 0) return '';
  const head = ['one job at a time', 'started → handler begins', '→ the starting process sees it completed'];
  return `### Idle latency, p50 / p99 ms\n\n${table(head, rows)}`;
}

function conditions(results: readonly Result[]): string {
  const rows = CONDITIONS.filter((condition) => OUR_CONDITIONS[condition]).flatMap((condition) => {
    const column = { contender: 'ours', condition } as const;
    const rates = [...Object.keys(RATES), 'drain'].flatMap((rate) => {
      const series = seriesOf(results, rate, column);
      if (series.size === 0) return [];
      const ratio = BASE_OF[condition] ? conditionRatio(results, rate, condition) : null;
      return [[condition, rate, withSpread(series), BASE_OF[condition] ?? '', times(ratio)]];
    });
    const samples = samplesOf(results, 'handler', column);
    if (samples.length === 0) return rates;
    const ratio = condition === 'pglite' ? null : idleRatio(results, condition);
    return [
      ...rates,
      [condition, 'idle → handler, p50 / p99 ms', halfAndMost(samples), 'fresh', times(ratio)],
    ];
  });
  return rows.length === 0 ? '' : table(['condition', 'work', 'measured', 'against', 'ratio'], rows);
}

function failures(results: readonly Result[]): string {
  const failed = results.filter(({ figures }) => figures === null);
  if (failed.length === 0) return '';
  return `Failed, and missing above: ${failed
    .map(
      ({ round, measurement: { work, contender, condition } }) =>
        `${work} of ${contender.id}, ${condition}, round ${round}`,
    )
    .join('; ')}.`;
}
