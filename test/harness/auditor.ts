import { compareRuns, type Difference } from '../../src/live/compare-runs.js';
import type { Run } from '../../src/run/run.js';
import { type AuditedTransaction, installAuditLog, type RowVersion, readAuditLog } from './audit-log.js';
import { checkState, checkTask, checkTerminal, type Parents, parentsKey } from './audit-rules.js';
import { AuditedRun, taskKey } from './audited-run.js';
import type { TestDatabase } from './test-database.js';

/**
 * Watches a database from the inside: triggers keep every version of every row, and `audit` goes through
 * them transaction by transaction and checks what must always hold:
 *
 * - S1 to S7 of each state that was committed (`audit-rules.ts`),
 * - L1: each change takes the next seq, and nothing changes without one,
 * - L2: the changes 1…k, folded, are the snapshot at k, for every k.
 */
export interface Auditor {
  /**
   * Checks all that happened since the audit was installed.
   *
   * @throws Error with all that is wrong.
   */
  audit(): Promise<History>;
}

/** What the rows of each run said at each seq. */
export interface History {
  /** By run id, then by seq. */
  readonly snapshots: ReadonlyMap<string, ReadonlyMap<number, Run>>;
}

/** Installs the audit on a schema that is migrated and has no runs yet. */
export async function installAuditor(db: TestDatabase, schema = 'pgflow'): Promise<Auditor> {
  await installAuditLog(db, schema);
  return {
    async audit() {
      const trail = new Trail(await readParents(db, schema));
      for (const transaction of await readAuditLog(db, schema)) trail.follow(transaction);
      if (trail.wrong.length > 0) throw new Error(describeWrong(trail.wrong));
      return { snapshots: trail.snapshots };
    },
  };
}

/** The places where two runs differ, for a message; null when they are equal. */
export function differencesOf(one: Run, other: Run): string | null {
  const differences = compareRuns(one, other);
  return differences.length === 0 ? null : differences.map(describeDifference).join('; ');
}

/** What the transactions left, followed one after the other, and what is wrong with it. */
export class Trail {
  readonly wrong: string[] = [];
  readonly snapshots = new Map<string, Map<number, Run>>();
  readonly #parents: Parents;
  readonly #runs = new Map<string, AuditedRun>();

  constructor(parents: Parents) {
    this.#parents = parents;
  }

  follow(transaction: AuditedTransaction): void {
    const byRun = new Map<string, RowVersion[]>();
    for (const version of lastOfEachRow(transaction.versions)) {
      const runId: string = version.row.run_id;
      const versions = byRun.get(runId);
      if (versions) versions.push(version);
      else byRun.set(runId, [version]);
    }
    for (const [runId, versions] of byRun) {
      if (versions.some(({ operation }) => operation === 'DELETE')) this.#runs.delete(runId);
      else this.#step(this.#runOf(runId), versions, transaction);
    }
  }

  #runOf(runId: string): AuditedRun {
    const audited = this.#runs.get(runId) ?? new AuditedRun(runId);
    this.#runs.set(runId, audited);
    this.snapshots.set(runId, audited.snapshots);
    return audited;
  }

  #step(audited: AuditedRun, versions: readonly RowVersion[], transaction: AuditedTransaction): void {
    const seq: number = audited.run.seq ?? 0;
    const wrong: string[] = [];
    for (const version of versions) {
      const before = rowBefore(audited, version);
      if (before === undefined) continue;
      const after = { ...before, ...version.row };
      wrong.push(...checkTerminal(version.source, before, after));
      if (version.source === 'step_tasks') wrong.push(...checkTask(before, after, transaction));
    }
    for (const version of versions) audited.write(version);
    wrong.push(...this.#closeChange(audited, versions, seq), ...checkState(audited, this.#parents));
    for (const text of wrong) {
      this.wrong.push(
        `run ${audited.runId} at seq ${audited.run.seq}, transaction ${transaction.xid}: ${text}`,
      );
    }
  }

  #closeChange(audited: AuditedRun, versions: readonly RowVersion[], before: number): string[] {
    const seq: number = audited.run.seq;
    if (versions.every(({ source }) => source === 'step_tasks')) return [];
    if (seq !== before + 1) return [`L1: seq went from ${before} to ${seq}, not to ${before + 1}`];
    audited.close();
    if (audited.folded === null) return [`L2: change ${seq} does not follow on the changes before it`];
    const differences = differencesOf(audited.folded, audited.snapshots.get(seq)!);
    return differences === null
      ? []
      : [`L2: the changes 1 to ${seq}, folded, are not the rows: ${differences}`];
  }
}

/** What a transaction left, whatever it wrote in between. */
function lastOfEachRow(versions: readonly RowVersion[]): Iterable<RowVersion> {
  const last = new Map<string, RowVersion>();
  for (const version of versions) {
    const { source, row } = version;
    const key = `${source}:${row.run_id}:${row.step_index}:${row.task_index}`;
    const earlier = last.get(key);
    last.set(key, earlier ? { ...version, row: { ...earlier.row, ...row } } : version);
  }
  return last.values();
}

function rowBefore(audited: AuditedRun, { source, row }: RowVersion): RowVersion['row'] | undefined {
  if (source === 'runs') return audited.run.run_id === undefined ? undefined : audited.run;
  return source === 'step_states' ? audited.steps[row.step_index] : audited.tasks.get(taskKey(row));
}

export async function readParents(db: TestDatabase, schema: string): Promise<Parents> {
  const rows = await db.query<{
    flow_slug: string;
    version: number;
    step_index: number;
    depends_on: number[];
    over: number | null;
  }>(`select flow_slug, version, step_index, depends_on, over from "${schema}".steps`);
  return new Map(
    rows.map((row) => {
      const parents = new Set(row.over === null ? row.depends_on : [...row.depends_on, row.over]);
      return [parentsKey(row.flow_slug, row.version, row.step_index), [...parents]];
    }),
  );
}

const MOST_SHOWN = 20;

function describeWrong(wrong: readonly string[]): string {
  const more = wrong.length > MOST_SHOWN ? `\n… and ${wrong.length - MOST_SHOWN} more` : '';
  return `The audit found ${wrong.length} violations:\n${wrong.slice(0, MOST_SHOWN).join('\n')}${more}`;
}

function describeDifference({ path, live, row }: Difference): string {
  return `${path}: ${JSON.stringify(live)} instead of ${JSON.stringify(row)}`;
}
