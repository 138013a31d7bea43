import type { Run } from '../../src/run/run.js';
import { installAuditLog, readAuditLog } from './audit-log.js';
import type { Parents } from './audit-rules.js';
import { readParents, Trail } from './auditor.js';
import type { TestDatabase } from './test-database.js';

/**
 * The audit of a database that others are at work on: each look checks what was committed since the last one
 * and deletes it from the log, so that the log stays small however long it goes.
 *
 * What one look sees is whole: whatever a visible transaction waited for is visible too. A look that fails (the
 * server is away) changes nothing; the next one sees the rest.
 *
 * @example
 * const audit = await startAudit(db);
 * await audit.look();
 * expect(audit.wrong).toEqual([]);
 */
export interface RunningAudit {
  /** All that was wrong so far: S1 to S7, L1, L2. */
  readonly wrong: readonly string[];
  /** Transactions checked so far. */
  readonly transactions: number;
  /** What the rows of a run said at a seq, since the last `forget`. */
  snapshot(runId: string, seq: number): Run | undefined;
  look(): Promise<void>;
  /** Drops what it knows of runs that are at rest. Should one of them change all the same, L1 tells. */
  forget(): void;
}

/** Installs the audit on a schema that is migrated and has no runs yet. */
export async function startAudit(db: TestDatabase, schema = 'pgflow'): Promise<RunningAudit> {
  await installAuditLog(db, schema);
  const parents = new Map<string, readonly number[]>() satisfies Parents;
  /** Checked, and still in the log. */
  const checked = new Set<string>();
  const wrong: string[] = [];
  let trail = new Trail(parents);
  let transactions = 0;

  async function look(): Promise<void> {
    const log = await readAuditLog(db, schema);
    // After the log: a flow whose runs are in it is registered.
    for (const [key, value] of await readParents(db, schema)) parents.set(key, value);
    for (const transaction of log) {
      if (checked.has(transaction.xid)) continue;
      trail.follow(transaction);
      checked.add(transaction.xid);
      transactions += 1;
    }
    wrong.push(...trail.wrong.splice(0));
    for (const table of ['log', 'settlements']) {
      await db.query(`delete from "${schema}_audit".${table} where xid = any ($1)`, [[...checked]]);
    }
    checked.clear();
  }

  let looking: Promise<void> = Promise.resolve();
  return {
    wrong,
    get transactions() {
      return transactions;
    },
    snapshot: (runId, seq) => trail.snapshots.get(runId)?.get(seq),
    look() {
      const next = looking.catch(() => {}).then(look);
      looking = next;
      return next;
    },
    forget() {
      trail = new Trail(parents);
    },
  };
}
