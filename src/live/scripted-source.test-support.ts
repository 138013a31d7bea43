import type { Change } from '../run/change.js';
import type { ScriptedRun } from '../run/scripted-run.test-support.js';
import type { RunCursor, RunSource } from './source.js';

/** A database of scripted runs. What is asked is written down; answers can be held back, or fail. */
export class ScriptedSource implements RunSource {
  readonly runs = new Map<string, ScriptedRun>();
  /** The cursors of each `readChanges`. */
  readonly reads: (readonly RunCursor[])[] = [];
  /** The ids of each `readSeqs`. */
  readonly looks: (readonly string[])[] = [];
  /** Called once the rows are read, before they are answered; may wait, may throw. */
  beforeAnswer: (asked: 'changes' | 'seqs') => unknown = () => {};

  add(...runs: ScriptedRun[]): this {
    for (const run of runs) this.runs.set(run.runId, run);
    return this;
  }

  async readChanges(cursors: readonly RunCursor[]): Promise<Change[]> {
    this.reads.push(cursors);
    const changes = cursors.flatMap(({ runId, since }) => {
      const run = this.runs.get(runId);
      return run !== undefined && run.seq > since ? [{ ...run.change(since), tasks: [] }] : [];
    });
    await this.beforeAnswer('changes');
    return changes;
  }

  async readSeqs(runIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    this.looks.push(runIds);
    const seqs = new Map<string, number>();
    for (const runId of runIds) {
      const run = this.runs.get(runId);
      if (run !== undefined) seqs.set(runId, run.seq);
    }
    await this.beforeAnswer('seqs');
    return seqs;
  }
}
