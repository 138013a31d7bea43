import type { LiveRun } from 'pgflow-live';
import type { WireChange } from '../../src/run/codec.js';
import type { Run } from '../../src/run/run.js';
import { importBuilt } from './built.js';
import type { FollowingClient } from './followed.js';
import { FLOW, INPUT, LAST_SEQ, outputOf, STEPS, type StepAt, slugOf, stepsAt, timeAt } from './ten-steps.js';

const { applyChange } =
  await importBuilt<typeof import('../../src/run/apply-change.js')>('run/apply-change.js');
const { decodeChange } = await importBuilt<typeof import('../../src/run/codec.js')>('run/codec.js');
const { createTracker } = await importBuilt<typeof import('../../src/live/tracker.js')>('live/tracker.js');

/** `applyChange`, and the tracker with the bus in memory. */
export const ourClient: FollowingClient = {
  prepare(runIds) {
    const changes = runIds.map((runId) => [
      read(changeText(runId, 0, 1)),
      ...this.messages(runId, 1, LAST_SEQ).map(read),
    ]);
    return () => {
      let applied = 0;
      for (const ofRun of changes) {
        let run: Run | null = null;
        for (const change of ofRun) {
          const result = applyChange(run, change);
          if (result.kind === 'applied') applied++;
          run = result.run;
        }
        if (run?.status !== 'completed') throw new Error('A run did not complete.');
      }
      return applied;
    };
  },
  async follow(runIds) {
    const bus = new Map<string, (message: unknown) => void>();
    const tracker = createTracker({
      source: {
        readChanges: async (cursors) => cursors.map(({ runId }) => read(changeText(runId, 0, 1))),
        readSeqs: async () => new Map(),
      },
      pubsub: {
        async subscribe(topic, fn) {
          bus.set(topic, fn);
          return () => bus.delete(topic);
        },
      },
      topics: { run: (runId) => runId },
      watchdogInterval: 3600,
    });
    let told = 0;
    const count = () => told++;
    const lives: LiveRun[] = [];
    for (const runId of runIds) {
      const live = await tracker.track(runId);
      live.subscribe(count);
      lives.push(live);
    }
    return {
      hear(text) {
        const message = JSON.parse(text) as { runId: string };
        bus.get(message.runId)!(message);
      },
      told: () => told,
      statuses: () => lives.map((live) => live.getSnapshot().status),
    };
  },
  messages: (runId, since, seq) =>
    Array.from({ length: seq - since }, (_, n) => changeText(runId, since + n, since + n + 1)),
};

function read(text: string) {
  return decodeChange(JSON.parse(text))!;
}

/** What a publisher tells of `(since, seq]`. */
function changeText(runId: string, since: number, seq: number): string {
  const steps = stepsAt(seq).filter(({ touched }) => touched > since);
  const completedAt = seq === LAST_SEQ ? timeAt(seq) : undefined;
  const left = STEPS - stepsAt(seq).filter(({ status }) => status === 'completed').length;
  return JSON.stringify({
    runId,
    since,
    seq,
    run: {
      status: completedAt ? 'completed' : 'started',
      remainingSteps: left,
      ...(completedAt && { completedAt, output: { [slugOf(STEPS)]: outputOf(STEPS) } }),
    },
    ...(since === 0 && { origin: { flowSlug: FLOW, version: 1, input: INPUT, startedAt: timeAt(1) } }),
    steps: steps.map(wireStep),
    tasks: steps.filter(({ status, touched }) => status !== 'created' && touched === seq).map(wireFact),
  } satisfies WireChange);
}

function wireStep({ step, status, isReady, startedAt, completedAt, touched }: StepAt) {
  return {
    index: step - 1,
    seq: touched,
    stepSlug: slugOf(step),
    status,
    remainingDeps: isReady ? 0 : 1,
    ...(isReady && { initialTasks: 1, remainingTasks: completedAt ? 0 : 1 }),
    attempt: startedAt ? 1 : 0,
    createdAt: timeAt(1),
    ...(startedAt && { startedAt }),
    ...(completedAt && { completedAt, output: outputOf(step) }),
  };
}

function wireFact({ step, status, startedAt, completedAt }: StepAt) {
  const fact = { stepSlug: slugOf(step), taskIndex: 0, attempt: 1 };
  return status === 'completed'
    ? { type: 'task_completed', ...fact, at: completedAt, output: outputOf(step) }
    : { type: 'task_started', ...fact, at: startedAt };
}
