import * as pgflowModule from '@pgflow/client';
import { measureFollowing } from '../live/follow.js';
import type { FollowingClient } from '../live/followed.js';
import {
  FLOW,
  INPUT,
  LAST_SEQ,
  outputOf,
  STEPS,
  type StepAt,
  slugOf,
  stepAt,
  stepsAt,
  timeAt,
} from '../live/ten-steps.js';

/** Its package has types that do not resolve; these are the parts that are used. */
interface FlowStep {
  applySnapshot(row: object): void;
  updateState(event: object): boolean;
  on(event: string, fn: () => void): () => void;
}

interface FlowRun {
  readonly status: string;
  step(slug: string): FlowStep;
  applySnapshot(row: object): void;
  updateState(event: object): boolean;
  on(event: string, fn: () => void): () => void;
}

interface PgflowModule {
  readonly FlowRun: new (initial: object) => FlowRun;
  readonly PgflowClient: new (
    supabase: object,
    options: { schedule: (fn: () => void) => void },
  ) => { getRun(runId: string): Promise<FlowRun | null> };
}

const { FlowRun, PgflowClient } = pgflowModule as unknown as PgflowModule;

interface Broadcast {
  readonly event: string;
  readonly payload: Record<string, unknown>;
}

/** It tells of each channel on stdout. */
console.log = (text: unknown) => String(text).startsWith('figures: ') && process.stdout.write(`${text}\n`);

/** `FlowRun` and `FlowStep` with `updateState`, and the client with a Supabase that has the answers in memory. */
const pgflowClient: FollowingClient = {
  prepare(runIds) {
    const lives = runIds.map((runId) => ({
      snapshot: snapshotOf(runId),
      events: broadcastsOf(runId, 1, LAST_SEQ).map(({ payload }) => payload),
    }));
    return () => {
      let applied = 0;
      for (const { snapshot, events } of lives) {
        const run = begin(snapshot);
        applied++;
        for (const event of events) {
          const updated =
            'step_slug' in event
              ? run.step(event.step_slug as string).updateState(event)
              : run.updateState(event);
          if (updated) applied++;
        }
        if (run.status !== 'completed') throw new Error('A run did not complete.');
      }
      return applied;
    };
  },
  async follow(runIds) {
    const channels = new Map<string, (message: Broadcast) => void>();
    const client = new PgflowClient(supabase(channels), { schedule: (fn) => fn() });
    let told = 0;
    const count = () => void told++;
    const runs: FlowRun[] = [];
    for (const runId of runIds) {
      const run = (await client.getRun(runId))!;
      run.on('*', count);
      for (let step = 1; step <= STEPS; step++) run.step(slugOf(step)).on('*', count);
      runs.push(run);
    }
    return {
      hear(text) {
        const message = JSON.parse(text) as Broadcast;
        channels.get(`pgflow:run:${message.payload.run_id}`)!(message);
      },
      told: () => told,
      statuses: () => runs.map((run) => run.status),
    };
  },
  messages: (runId, since, seq) => broadcastsOf(runId, since, seq).map((message) => JSON.stringify(message)),
};

/** What the client uses of Supabase: a snapshot, and channels that call back. */
function supabase(channels: Map<string, (message: Broadcast) => void>) {
  return {
    channel: (name: string) => ({
      on(type: string, _filter: unknown, fn: (message: Broadcast) => void) {
        if (type === 'broadcast') channels.set(name, fn);
      },
      subscribe: (fn: (status: string) => void) => fn('SUBSCRIBED'),
      unsubscribe: () => channels.delete(name),
    }),
    schema: () => ({
      rpc: async (_name: string, { run_id }: { run_id: string }) => ({
        data: JSON.parse(JSON.stringify(snapshotOf(run_id))),
        error: null,
      }),
    }),
  };
}

type Snapshot = ReturnType<typeof snapshotOf>;

/** As the client itself does it when it gets a run. */
function begin({ run, steps }: Snapshot): FlowRun {
  const followed = new FlowRun({
    run_id: run.run_id,
    flow_slug: run.flow_slug,
    status: run.status,
    input: run.input,
    output: null,
    error: null,
    error_message: null,
    started_at: null,
    completed_at: null,
    failed_at: null,
    remaining_steps: 0,
  });
  followed.applySnapshot(run);
  for (const step of steps) followed.step(step.step_slug).applySnapshot(step);
  return followed;
}

function snapshotOf(runId: string) {
  return {
    run: {
      run_id: runId,
      flow_slug: FLOW,
      status: 'started',
      input: INPUT,
      output: null,
      remaining_steps: STEPS,
      started_at: timeAt(1),
      completed_at: null,
      failed_at: null,
    },
    steps: stepsAt(1).map(({ step, status }) => ({
      run_id: runId,
      step_slug: slugOf(step),
      status,
      started_at: null,
      completed_at: null,
      failed_at: null,
      error_message: null,
    })),
  };
}

/** Its events tell of a step or of the run: the last change is two of them. */
function broadcastsOf(runId: string, since: number, seq: number): Broadcast[] {
  return Array.from({ length: seq - since }, (_, n) => since + n + 1).flatMap((at) => [
    stepEvent(runId, stepAt(Math.floor(at / 2), at)),
    ...(at === LAST_SEQ ? [runEvent(runId)] : []),
  ]);
}

function stepEvent(runId: string, { step, status, startedAt, completedAt }: StepAt): Broadcast {
  const event = `step:${status}`;
  const told = { event_type: event, run_id: runId, step_slug: slugOf(step), status };
  return status === 'completed'
    ? { event, payload: { ...told, completed_at: completedAt, output: outputOf(step) } }
    : { event, payload: { ...told, started_at: startedAt } };
}

function runEvent(runId: string): Broadcast {
  const event = 'run:completed';
  const output = { [slugOf(STEPS)]: outputOf(STEPS) };
  return {
    event,
    payload: {
      event_type: event,
      run_id: runId,
      flow_slug: FLOW,
      status: 'completed',
      completed_at: timeAt(LAST_SEQ),
      output,
    },
  };
}

await measureFollowing({ '@pgflow/client': pgflowClient });
