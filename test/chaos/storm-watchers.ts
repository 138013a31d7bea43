import type { PgFlowClient } from '../../src/http/client.js';
import { LiveClient, type LiveMessage, type PgFlow, type Run } from '../../src/index.js';
import { EVENT_TYPES } from '../../src/run/event.js';
import { expectedEvents, nameOf } from '../engine/expected-events.js';
import type { Sightings } from './sightings.js';

/** One of many who watch a run. */
export interface StormWatcher {
  readonly kind: string;
  readonly runId: string;
  /** What it shows; null: nothing yet. */
  shown(): Run | null;
  /** Whether it was told that the run is gone; a socket never is, and keeps what it shows. */
  isGone(): boolean | null;
  /** What is wrong with what it was told, now that the run is at rest. */
  complaints(): string[];
  close(): void;
}

/** A handle of `pgflow.track`, which counts the events that it is told. One in some throws at whatever it is told. */
export async function watchHandle(
  pgflow: PgFlow,
  runId: string,
  sightings: Sightings,
  throws: boolean,
): Promise<StormWatcher> {
  const live = await pgflow.track(runId);
  const first = live.getSnapshot();
  const told: string[] = [];
  let last = first;
  sightings.add('track', runId, null, first);
  live.subscribe(() => {
    const run = live.getSnapshot();
    if (run !== last) sightings.add('track', runId, last, run);
    last = run;
    if (throws) throw new Error('A watcher that throws');
  });
  for (const type of EVENT_TYPES) {
    live.on(type, (event) => {
      if (!type.startsWith('task_')) told.push(nameOf(event));
      if (throws) throw new Error('A listener that throws');
    });
  }
  return {
    kind: 'track',
    runId,
    shown: () => live.getSnapshot(),
    isGone: () => live.ended?.code === 'RUN_NOT_FOUND',
    complaints: () => {
      const expected = expectedEvents(first, live.getSnapshot()).sort().join(', ');
      const got = told.toSorted().join(', ');
      return got === expected ? [] : [`E1: track of run ${runId} was told ${got}, not ${expected}`];
    },
    close: () => live.close(),
  };
}

/** A live view's socket, with a mailbox that drops, delays and doubles. */
export async function watchSocket(
  pgflow: PgFlow,
  runId: string,
  sightings: Sightings,
  random: () => number,
): Promise<StormWatcher> {
  let last: Run | null = null;
  const socket = {
    assigns: {} as Record<string, any>,
    assign(values: Record<string, any>) {
      Object.assign(this.assigns, values);
      const run: Run | null = this.assigns.flowRun;
      if (run !== null && run !== last) sightings.add('socket', runId, last, run);
      last = run ?? last;
    },
    sendInfo(message: LiveMessage) {
      const copies = Math.floor(random() * 3);
      for (let copy = 0; copy < copies; copy += 1) {
        setTimeout(() => LiveClient.handleInfo(message, socket), random() * 30);
      }
    },
  };
  LiveClient.init(socket, { pgflow });
  const result = await LiveClient.subscribe(socket, runId);
  if (!result.ok) {
    LiveClient.dispose(socket);
    throw result.error;
  }
  return {
    kind: 'socket',
    runId,
    shown: () => socket.assigns.flowRun,
    isGone: () => null,
    complaints: () => [],
    close: () => LiveClient.dispose(socket),
  };
}

/** A browser's reader of an event stream. A trespasser asks for a run that is not its own. */
export function watchReader(
  client: PgFlowClient,
  runId: string,
  sightings: Sightings,
  kind: 'reader' | 'trespasser' = 'reader',
): StormWatcher {
  const store = client.watch(runId);
  let last: Run | null = null;
  const stop = store.subscribe(() => {
    const { run } = store.getSnapshot();
    if (run === null || run === last) return;
    if (kind === 'trespasser')
      sightings.problems.push(`X1: a reader was shown run ${runId} of somebody else`);
    else sightings.add(kind, runId, last, run);
    last = run;
  });
  return {
    kind,
    runId,
    shown: () => store.getSnapshot().run,
    isGone: () => store.getSnapshot().state === 'missing',
    complaints: () => [],
    close: stop,
  };
}
