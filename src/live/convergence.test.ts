import fc from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Change } from '../run/change.js';
import { ScriptedRun } from '../run/scripted-run.test-support.js';
import {
  type Act,
  type Play,
  playAndCheck,
  plays,
  sourceOf,
  UnfoldingSource,
} from './convergence.test-support.js';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

it('C1, C2, C3, C5: a live run ends as its row and shows only what the row was, whatever happens to messages', async () => {
  await fc.assert(
    fc.asyncProperty(plays, (play) => playAndCheck(play)),
    { numRuns: 500 },
  );
}, 120_000);

const commit = (wait: number, ...arrivals: number[]): Act => ({
  wait,
  does: 'commit',
  as: 'change',
  arrivals,
});

/** A run of one step; its messages arrive as given. */
function playOf(...acts: Act[]): Play {
  const run = new ScriptedRun(['s0']);
  run.begin('s0');
  run.commit({ steps: { s0: { attempt: 2 } } });
  run.finish('s0');
  const events = ['1 run_started', '2 step_started s0', '4 step_completed s0', '4 run_completed'];
  return { history: { run, events, dependencies: new Map([['s0', []]]) }, head: 0, acts, latencies: [5] };
}

const gapPlay = playOf(commit(50), commit(50, 10), commit(50, 10));
const lostLastPlay = playOf(commit(50, 1), commit(50, 1), commit(50));

class WithoutCatchUp extends UnfoldingSource {
  override async readChanges(cursors: Parameters<UnfoldingSource['readChanges']>[0]): Promise<Change[]> {
    return cursors[0]!.since === 0 ? super.readChanges(cursors) : [];
  }
}

class WithoutWatchdog extends UnfoldingSource {
  override readSeqs(): Promise<ReadonlyMap<string, number>> {
    return new Promise(() => {});
  }
}

const without = (Source: typeof UnfoldingSource, { history, head, latencies }: Play) =>
  new Source(history.run, head, latencies);

it('the checks go red without the catch-up', async () => {
  await expect(playAndCheck(gapPlay, without(WithoutCatchUp, gapPlay))).rejects.toThrow();
  await playAndCheck(gapPlay, sourceOf(gapPlay));
});

it('the checks go red without the watchdog', async () => {
  await expect(playAndCheck(lostLastPlay, without(WithoutWatchdog, lostLastPlay))).rejects.toThrow();
  await playAndCheck(lostLastPlay, sourceOf(lostLastPlay));
});
