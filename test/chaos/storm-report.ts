/** What a storm came to. */
export interface StormReport {
  readonly seed: number;
  readonly bus: string;
  rounds: number;
  /** From the first fault to the last check. */
  seconds: number;
  /** By status. */
  readonly runs: Record<string, number>;
  /** Of them: deleted while they were watched. */
  pruned: number;
  /** Different states that watchers showed, each compared with the row at that seq. */
  states: number;
  watchers: number;
  faults: ReadonlyMap<string, number>;
  readonly messages: { lost: number; doubled: number; late: number; newer: number };
  executions: number;
  /** Executions of a task whose attempt before was cut off. */
  repeated: number;
  /** Effects that were written twice. */
  completedTwice: number;
  /** Transactions that the audit followed. */
  transactions: number;
  violations: string[];
}

/** Violations that are told in full. */
const MOST_SHOWN = 15;

export function describeStorm(report: StormReport): string {
  const { runs, messages, violations } = report;
  const sum = (counts: Iterable<number>) => [...counts].reduce((a, b) => a + b, 0);
  const byStatus = Object.entries(runs).map(([status, count]) => `${count} ${status}`);
  const rows: [string, string | number][] = [
    ['seed', report.seed],
    ['bus', report.bus],
    ['rounds', `${report.rounds} in ${report.seconds} s`],
    ['runs', `${sum(Object.values(runs))}: ${byStatus.join(', ')}`],
    ['pruned while watched', report.pruned],
    ['watchers', `${report.watchers}, which showed ${report.states} states`],
    ['transactions audited', report.transactions],
    [
      'messages',
      `${messages.lost} lost, ${messages.doubled} doubled, ${messages.late} late, ${messages.newer} of a later version`,
    ],
    ['executions', report.executions],
    ['duplicate executions', report.repeated],
    ['duplicate completions', report.completedTwice],
    ['faults', sum(report.faults.values())],
    ...[...report.faults].sort().map(([name, count]): [string, number] => [`  ${name}`, count]),
    ['violations', violations.length],
  ];
  const table = rows.map(([name, value]) => `${name.padEnd(38)} ${value}`).join('\n');
  const shown = violations.slice(0, MOST_SHOWN).map((text) => `- ${text}`);
  const replay =
    violations.length > 0 ? [`Again: CHAOS_SEED=${report.seed} npm run test:chaos -- storm`] : [];
  return [table, ...shown, ...replay].join('\n');
}
