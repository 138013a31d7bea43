import { expect, onTestFinished, test, vi } from 'vitest';
import { LocalAudience } from './audience.js';
import { defineFlow } from './flow/define-flow.js';
import { applyChange } from './run/apply-change.js';
import { begunRun } from './run/begun-run.js';

const flow = defineFlow<{ n: number }>({ slug: 'begun' })
  .step('first', () => 1)
  .step('second', { dependsOn: ['first'] }, () => 2);
const runIds = ['0198a2b4-0000-7000-8000-000000000001', '0198a2b4-0000-7000-8000-000000000002'] as const;
const runs = runIds.map((runId) => begunRun(flow, 1, runId, { n: 1 }, new Date()));

function createAudience(tracked: readonly string[] = []) {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const doubted: string[] = [];
  const audience = new LocalAudience({
    isTracked: (runId) => tracked.includes(runId),
    doubt: (runId) => doubted.push(runId),
    hearsUntracked: () => false,
  });
  return { audience, doubted };
}

const task = (runId: string) => ({ runId, stepIndex: 0, taskIndex: 0, claim: 1 });

test('a run that began is read as it began, until something happens to it', () => {
  const { audience } = createAudience();
  audience.remember(runs);
  const change = audience.readBegun(runIds[0])!;
  expect(applyChange(null, change)).toEqual({ kind: 'applied', run: runs[0] });
  audience.forget(runIds[0]);
  expect(audience.readBegun(runIds[0])).toBeNull();
  expect(audience.readBegun(runIds[1])).not.toBeNull();
});

test('and not for long: somebody else may have it by now', () => {
  const { audience } = createAudience();
  audience.remember([runs[0]!]);
  vi.advanceTimersByTime(50);
  expect(audience.readBegun(runIds[0])).not.toBeNull();
  vi.advanceTimersByTime(1);
  expect(audience.readBegun(runIds[0])).toBeNull();
});

test('a statement is told which of its runs are tracked here; the others are doubted when it has ended', async () => {
  const { audience, doubted } = createAudience([runIds[0]]);
  audience.remember(runs);
  const answer = await audience.during(
    [task(runIds[0]), task(runIds[0]), task(runIds[1])],
    async (watched) => {
      expect(watched).toEqual([runIds[0]]);
      expect(runIds.map((runId) => audience.readBegun(runId))).toEqual([null, null]);
      expect(doubted).toEqual([]);
      return 'answer';
    },
  );
  expect([answer, doubted]).toEqual(['answer', [runIds[1]]]);
});

test('also when it fails: it may have been applied', async () => {
  const { audience, doubted } = createAudience();
  const failed = audience.during([task(runIds[0])], () => Promise.reject(new Error('cut')));
  await expect(failed).rejects.toThrow('cut');
  expect(doubted).toEqual([runIds[0]]);
});

test('what its own tracker alone wants is not for elsewhere', () => {
  const { audience } = createAudience();
  audience.remember([runs[0]!]);
  const change = audience.readBegun(runIds[0])!;
  const isHeard = (trackedBy: number | null | undefined) =>
    audience.isHeardElsewhere({ ...change, trackedBy });
  const others = [0, (audience.trackerId % 1000) + 1].filter((id) => id !== audience.trackerId);
  expect([null, audience.trackerId].map(isHeard)).toEqual([false, false]);
  expect(others.map(isHeard)).toEqual(others.map(() => true));
});
