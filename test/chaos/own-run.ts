import { isTerminalRun, type Run } from '../../src/run/run.js';
import { differencesOf } from '../harness/auditor.js';
import { pause } from './fixtures/commands.js';
import type { StormWatcher } from './storm-watchers.js';

/** What a tenant knows of a run of its own. */
export interface OwnRun {
  readonly runId: string;
  readonly watchers: StormWatcher[];
  /** Our own cancel won. */
  cancelled: boolean;
  retried: boolean;
  /** Somebody was told that there is no such run. */
  missed: boolean;
}

/** What became of a run: its row, or the status with which it was pruned; neither: it was lost. */
export interface Outcome {
  readonly row: Run | null;
  readonly pruned: string | undefined;
}

/** As far as its tenant knows. */
export function isOver(run: OwnRun): boolean {
  return run.missed || run.watchers.some(isAtEnd);
}

/** Waits until every watcher shows the end of the run, or was told that it is gone. Says what is wrong. */
export async function settle(run: OwnRun, outcome: Outcome, deadline: number): Promise<string[]> {
  const { runId, cancelled, missed, watchers } = run;
  const { row, pruned } = outcome;
  const status = row?.status ?? pruned;
  if (status === undefined) return [`Q1: run ${runId} was acknowledged and is not there`];
  const problems: string[] = [];
  if (pruned !== undefined && row !== null) problems.push(`Q1: run ${runId} was pruned and is there again`);
  if (pruned === undefined && missed) problems.push(`C1: run ${runId} was said to be missing, and is there`);
  if (cancelled && status !== 'cancelled') {
    problems.push(`Q1: the cancel of run ${runId} was acknowledged, and it is ${status}`);
  }
  for (const watcher of watchers) {
    // A socket of a run that is gone keeps what it shows.
    if (row === null && watcher.isGone() === null) continue;
    while (!isAtEnd(watcher) && performance.now() < deadline) await pause(50);
    const wrong = row === null ? wrongOfPruned(watcher) : wrongOf(watcher, row);
    problems.push(...(wrong === null ? watcher.complaints() : [wrong]));
  }
  return problems;
}

function wrongOf(watcher: StormWatcher, row: Run): string | null {
  const shown = watcher.shown();
  const wrong = shown ? differencesOf(shown, row) : 'it shows nothing';
  const name = `${watcher.kind} of run ${row.runId}, which is ${row.status} at seq ${row.seq}`;
  return wrong && `C1: ${name}: ${wrong}`;
}

/** Its last state is known to the audit alone, which is shown all that was seen. */
function wrongOfPruned(watcher: StormWatcher): string | null {
  if (isAtEnd(watcher)) return null;
  const seq = watcher.shown()?.seq ?? null;
  return `C1: ${watcher.kind} of run ${watcher.runId}, which was pruned, shows seq ${seq} and was not told that it is gone`;
}

function isAtEnd(watcher: StormWatcher): boolean {
  const shown = watcher.shown();
  return watcher.isGone() === true || (shown !== null && isTerminalRun(shown.status));
}
