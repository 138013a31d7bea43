import type { LocalAudience } from './audience.js';
import type { RunLists } from './live/run-lists.js';
import type { Tracker } from './live/tracker.js';
import type { PgFlow } from './pgflow.js';
import type { Store } from './postgres/store.js';
import type { PubSub, Topics } from './pubsub/pubsub.js';
import type { Change } from './run/change.js';
import { GONE } from './run/codec.js';
import type { RunStatus } from './run/run.js';
import type { TaskEnding } from './telemetry/task-trace.js';
import type { Telemetry } from './telemetry/telemetry.js';
import type { Worker } from './worker/worker.js';

export interface AnnouncerPorts {
  readonly pgflow: PgFlow;
  readonly store: Pick<Store, 'readSeqs'>;
  readonly tracker: Tracker;
  readonly audience: Pick<LocalAudience, 'forget' | 'isHeardElsewhere'>;
  readonly lists: RunLists;
  readonly telemetry: Telemetry;
  readonly notifications: PubSub;
  readonly topics: Topics;
  /** Of this process, if it has one. */
  worker(): Worker | undefined;
  onError(message: string, error: unknown): void;
}

/** Tells what is committed, in this process and in the others: whoever misses the message reads the rows. */
export class Announcer {
  readonly #ports: AnnouncerPorts;

  constructor(ports: AnnouncerPorts) {
    this.#ports = ports;
  }

  /** Runs changed: `changes` are those that anybody may want to hear of. */
  changed(changes: readonly Change[], endings?: readonly TaskEnding[]): void {
    const { pgflow, tracker, audience, lists, telemetry } = this.#ports;
    lists.tell();
    for (const change of changes) {
      const { runId, seq } = change;
      audience.forget(runId);
      tracker.apply(change);
      telemetry.moved({ pgflow, runId, seq, change, elsewhere: audience.isHeardElsewhere(change) });
      const { status } = change.run;
      if (status === 'failed' || status === 'cancelled') this.#abandon(runId, status);
    }
    telemetry.committed(changes, endings);
  }

  /** They were pruned; or deleted with their flow, `abandoned` by handlers that may still be at work. */
  gone(runIds: readonly string[], { abandoned = false } = {}): void {
    const { pgflow, tracker, audience, lists, telemetry } = this.#ports;
    lists.tell();
    for (const runId of runIds) {
      audience.forget(runId);
      tracker.hint(runId, GONE);
      telemetry.moved({ pgflow, runId, seq: 'gone', change: null, elsewhere: true });
      if (abandoned) this.#abandon(runId, 'cancelled');
    }
  }

  /** Tasks are queued: other processes' workers look, and this one's if it has not done so. */
  ready({ here }: { here: boolean }): void {
    const { notifications, topics, worker } = this.#ports;
    if (here) worker()?.wake();
    notifications.publish(topics.wake, {}).catch(() => {});
  }

  /** Something may have been committed to these runs without us hearing of it. */
  async moved(runIds: readonly string[]): Promise<void> {
    const { pgflow, store, tracker, lists, telemetry, onError } = this.#ports;
    try {
      for (const [runId, seq] of await store.readSeqs(runIds)) {
        tracker.hint(runId, seq);
        telemetry.moved({ pgflow, runId, seq, change: null, elsewhere: true });
      }
      lists.tell();
    } catch (error) {
      onError('Reading runs again failed; their watchers catch up later', error);
    }
  }

  /** Nobody is to go on with handlers of a run that ended without them. */
  #abandon(runId: string, status: RunStatus): void {
    const { notifications, topics, worker } = this.#ports;
    worker()?.abandon(runId);
    notifications.publish(topics.runs, { runId, status }).catch(() => {});
  }
}
