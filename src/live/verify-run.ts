import { applyChange } from '../run/apply-change.js';
import type { Change } from '../run/change.js';
import type { Run } from '../run/run.js';
import { compareRuns } from './compare-runs.js';
import type { Verification } from './live-run.js';
import type { SharedRun, Watcher } from './shared-run.js';

/** What verifying needs of whoever keeps the run up to date. */
export interface VerifyPorts {
  /** Reads the whole run; rejects when it is not there. */
  readSnapshot(): Promise<Change>;
  /** Takes the snapshot as a catch-up. */
  take(snapshot: Change): void;
  /** Takes the snapshot in place of what is shown. */
  replace(snapshot: Change): void;
}

const MOST_READS = 5;

/**
 * Compares what is shown with the row, as of the row's seq. The live run goes on meanwhile, so what it
 * showed while the row was read is remembered; if it went past the row's seq in one step, the row is read again.
 */
export async function verifyRun(shared: SharedRun, ports: VerifyPorts): Promise<Verification> {
  for (let reads = 1; ; reads++) {
    const shown = shared.run.seq;
    const { snapshot, seen } = await readMeanwhile(shared, ports);
    const applied = applyChange(null, snapshot);
    if (applied.kind !== 'applied') throw new TypeError(`The snapshot of run ${shared.runId} is not whole.`);
    const isBehind = snapshot.seq < shown;
    const live = isBehind || reads === MOST_READS ? shared.run : seen.get(snapshot.seq);
    if (live === undefined) continue;
    const differences = compareRuns(live, applied.run);
    if (differences.length > 0 && (isBehind || shared.run === live)) ports.replace(snapshot);
    return { ok: differences.length === 0, differences };
  }
}

async function readMeanwhile(shared: SharedRun, ports: VerifyPorts) {
  const seen = new Map<number, Run>([[shared.run.seq, shared.run]]);
  const ignore = () => {};
  const watcher: Watcher = {
    wantsEvents: () => false,
    tellChange: () => seen.set(shared.run.seq, shared.run),
    tellFreshness: ignore,
    tellEnd: ignore,
  };
  shared.watch(watcher);
  try {
    const snapshot = await ports.readSnapshot();
    ports.take(snapshot);
    return { snapshot, seen };
  } finally {
    shared.unwatch(watcher);
  }
}
